"""The full distribution of iMiGUE: one label file for all videos, keypoints a spreadsheet a clip.

    Label/labels_20200831.csv         video_id,class,start_frame,end_frame,subject_id,win_or_lose
    mg_skeleton_only/<id>/<id>_<row>.xlsx
    iMiGUE_RGB_Phase1/imigue_rgb_{train,validate}/<id>/...     <id>.mp4, or a file a clip
    iMiGUE_RGB_Phase2/imigue_rgb_test/<id>/...

The split is where the video lies; without the videos, `splits.csv` (video_id,split) in the root
says it.
"""

import re
from collections import Counter
from pathlib import Path

from imigue_lab.data.index import SPLITS, Problem, Row, Survey
from imigue_lab.data.layouts.inventory import (
    Inventory,
    add_picture_facts,
    attach_clip_files,
    list_videos,
)
from imigue_lab.data.layouts.miga import tell_absent
from imigue_lab.data.layouts.tables import (
    CORRECT_OR_EMPTY,
    WIN,
    check_ids,
    parse_clip,
    read_table,
    split_problems,
)
from imigue_lab.errors import some

LABEL_FILE = re.compile(r"labels_\d+\.csv")
COLUMNS = ["video_id", "class", "start_frame", "end_frame", "subject_id", "win_or_lose"]


def label_file(inventory: Inventory) -> Path | None:
    """The one label file; of several, the newest by the date in its name."""
    names = sorted(name for name in inventory.tables if LABEL_FILE.fullmatch(name))
    return inventory.tables[names[-1]] if names else None


def read_full(inventory: Inventory) -> Survey:
    """Surveys a full distribution, whole or in part."""
    survey = Survey(inventory.root, "full")
    videos = list_videos(inventory, survey)
    if path := label_file(inventory):
        add_labels(videos, path, survey)
    else:
        survey.absent.append("no labels_<date>.csv: no clips, subjects and outcomes are known")
    if others := inventory.of_kind("label"):
        names = some(item.path.name for item in others)
        survey.absent.append(f"the label files of single videos are not read: {names}")
    if "splits.csv" in inventory.tables:
        add_splits(videos, inventory.tables["splits.csv"], survey)
    survey.videos = [videos[video_id] for video_id in sorted(videos)]
    attach_clip_files(videos, survey)
    add_picture_facts(survey.videos, survey)
    tell_absent(survey)
    return survey


def add_labels(videos: dict[str, Row], path: Path, survey: Survey) -> None:
    """Clips, subjects and outcomes; a labelled video without files gets a row of its own."""
    table, problems = read_table(path, COLUMNS)
    survey.problems += problems
    rows: Counter[str] = Counter()
    fileless = []
    for line, *cells in table[COLUMNS].itertuples():
        name, label, start, end, subject, outcome = cells
        if not re.fullmatch(r"[0-9]{1,4}", name):
            what = f"{name!r} is not a video id of four digits"
            survey.problems.append(Problem("id", path, line, what, "correct it"))
            continue
        video_id = name.zfill(4)
        if video_id not in videos:
            videos[video_id] = no_files(video_id)
            fileless.append(video_id)
        number, rows[video_id] = rows[video_id], rows[video_id] + 1
        survey.problems += settle(videos[video_id], subject, outcome, path, line)
        clip = parse_clip(path, line, (label, start, end), hidden=False)
        if isinstance(clip, Problem):
            survey.problems.append(clip)
        else:
            survey.clips.append({"clip_id": f"{video_id}_{number}", "video_id": video_id} | clip)
    survey.clips.sort(key=lambda clip: str(clip["video_id"]))  # stable: rows keep their order
    if fileless:
        survey.absent.append(f"labelled videos without any file: {some(fileless)}")


def settle(video: Row, subject: str, outcome: str, path: Path, line: int) -> list[Problem]:
    """Takes subject and outcome of a video from the first row that has them; later ones agree."""
    if outcome and outcome.lower() not in WIN:
        what = f"outcome {outcome!r} is neither win nor lose"
        return [Problem("outcome", path, line, what, CORRECT_OR_EMPTY)]
    problems = []
    for column, value in (("subject", subject or None), ("outcome", WIN.get(outcome.lower()))):
        before = video.get(column)
        if before is None:
            video[column] = value
        elif value not in (None, before):
            what = f"{column} of video {video['video_id']} is {value} here and {before} above"
            problems.append(Problem(column, path, line, what, "make them agree"))
    return problems


def no_files(video_id: str) -> Row:
    """The row of a video that only a label file names."""
    nothing = dict.fromkeys(("split", "label file", "video", "keypoints"))
    return {"video_id": video_id, **nothing, "clip video": {}, "clip keypoints": {}}


def add_splits(videos: dict[str, Row], path: Path, survey: Survey) -> None:
    """The split of each video that lies in no split's folder."""
    table, problems = read_table(path, ["video_id", "split"])
    good, id_problems = check_ids(path, table.video_id)
    survey.problems += [*problems, *id_problems, *split_problems(path, table.split)]
    told = dict(zip(table.video_id[good], table.split[good], strict=True))
    for video_id, row in videos.items():
        if row["split"] is None and told.get(video_id) in SPLITS:
            row["split"] = told[video_id]

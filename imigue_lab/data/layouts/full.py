"""The full distribution of iMiGUE: one label file for all videos, a keypoint spreadsheet per clip.

    Label/labels_20200831.csv         video_id,class,start_frame,end_frame,subject_id,win_or_lose
    mg_skeleton_only/<id>/<id>_<row>.xlsx
    iMiGUE_RGB_Phase1/imigue_rgb_{train,validate}/<id>/...     <id>.mp4, or one file per clip
    iMiGUE_RGB_Phase2/imigue_rgb_test/<id>/...

The folder of a video is its split; without videos, `splits.csv` (video_id,split) defines it.
"""

import re
from collections import Counter
from pathlib import Path

from imigue_lab.data.index import Row, Survey
from imigue_lab.data.layouts.inventory import Inventory, finish, list_videos, pick_files
from imigue_lab.data.layouts.tables import (
    parse_clip,
    read_table,
    read_values,
    report_outcome,
)
from imigue_lab.data.vocabulary import WORDS

LABEL_FILE = re.compile(r"labels_\d+\.csv")
COLUMNS = ["video_id", "class", "start_frame", "end_frame", "subject_id", "win_or_lose"]


def label_file(inventory: Inventory) -> Path | None:
    """The label file; of several, the newest by the date in its name."""
    names = sorted(name for name in inventory.tables if LABEL_FILE.fullmatch(name))
    return inventory.tables[names[-1]] if names else None


def read_full(inventory: Inventory) -> Survey:
    """Surveys a full distribution, complete or partial."""
    survey = Survey(inventory.root, "full")
    videos = list_videos(inventory, survey)
    if path := label_file(inventory):
        add_labels(videos, path, survey)
    else:
        survey.absent.append("no labels_<date>.csv: no clips, subjects and outcomes are known")
    if others := inventory.of_kind("label"):
        names = [item.path.name for item in others]
        survey.note("the label files of single videos are not read:", names)
    if "splits.csv" in inventory.tables:
        splits = read_values(str(inventory.tables["splits.csv"]), "split", survey, videos).split
        for video_id, row in videos.items():
            row["split"] = row["split"] or splits.get(video_id)
    finish(dict(sorted(videos.items())), survey)
    return survey


def add_labels(videos: dict[str, Row], path: Path, survey: Survey) -> None:
    """Adds clips, subjects and outcomes, and a row for each labelled video without files."""
    table = read_table(path, COLUMNS, survey)
    rows: Counter[str] = Counter()
    fileless = []
    for line, name, label, start, end, subject, outcome in table[COLUMNS].itertuples():
        if not re.fullmatch(r"[0-9]{1,4}(\.0)?", name):
            what = f"expected a video id of four digits, got {name!r}"
            survey.report("unsafe name", path, line, what, "correct it")
            continue
        video_id = name.removesuffix(".0").zfill(4)
        if video_id not in videos:
            videos[video_id] = {"video_id": video_id, "split": None} | pick_files([], survey)
            fileless.append(video_id)
        number, rows[video_id] = rows[video_id], rows[video_id] + 1
        set_subject(videos[video_id], subject, outcome, path, line, survey)
        if clip := parse_clip(path, line, (label, start, end), False, survey):
            survey.clips.append({"clip_id": f"{video_id}_{number}", "video_id": video_id} | clip)
    survey.clips.sort(key=lambda clip: str(clip["video_id"]))  # stable: rows keep their order
    survey.note("labelled videos without any file:", fileless)


def set_subject(
    video: Row, subject: str, outcome: str, path: Path, line: int, survey: Survey
) -> None:
    """Sets subject and outcome of a video from the first row with them; later rows must agree."""
    if outcome and outcome.lower() not in WORDS:
        return report_outcome(path, line, outcome, "win or lose", survey)
    for column, value in (("subject", subject or None), ("outcome", WORDS.get(outcome.lower()))):
        before = video.get(column)
        if before is None:
            video[column] = value
        elif value not in (None, before):
            what = f"expected {column} {before} of video {video['video_id']} as above, got {value}"
            survey.report(f"two {column}s of a video", path, line, what, "make them agree")
    return None

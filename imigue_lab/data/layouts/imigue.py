"""iMiGUE's own trees: the full distribution, and those of the MiGA challenges, 2023 to 2026.

The full distribution has one label file for all videos, and a keypoint spreadsheet per clip:

    Label/labels_20200831.csv         video_id,class,start_frame,end_frame,subject_id,win_or_lose
    mg_skeleton_only/<id>/<id>_<row>.xlsx
    iMiGUE_RGB_Phase1/imigue_rgb_{train,validate}/<id>/...     <id>.mp4, or one file per clip
    iMiGUE_RGB_Phase2/imigue_rgb_test/<id>/...

The folder of a video is its split; without videos, `splits.csv` (video_id,split) defines it.

A challenge's tree has one folder per video, with its own label file:

    imigue_data_phase1/datasets/imigue_skeleton_{train,validate}/<id>/<id>_{label,light_hand}.csv
    imigue_data_phase2/imigue_skeleton_test/<id>/...
    imigue_rgb_phase1/{train_data,validation_data}/<id>/<id>.mp4      since 2024
    imigue_rgb_phase2/<id>/<id>.mp4
    {train,val}/<id>/<id>_<row>.mp4 and <id>_label.csv                2026: one file per clip

It does not include outcomes and subjects; `emotion_labels.csv` (video_id,label[,subject]) anywhere
in the tree adds them.
"""

import re
from collections import Counter
from pathlib import Path

from imigue_lab.data.index import Row, Survey
from imigue_lab.data.layouts.inventory import Inventory, finish, list_videos, pick_files
from imigue_lab.data.layouts.tables import (
    add_label_file,
    parse_clip,
    read_table,
    read_values,
    report_outcome,
)
from imigue_lab.data.vocabulary import WORDS

LABEL_FILE = re.compile(r"labels_\d+\.csv")
OUTCOME_FILE = "emotion_labels.csv"
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
    """Adds clips, subjects and outcomes, and a row for each labelled video without files.

    Subject and outcome are those of the first row of a video that has them; later rows must agree.
    """
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
        video, won = videos[video_id], WORDS.get(outcome.lower())
        if outcome and won is None:
            report_outcome(path, line, outcome, "win or lose", survey)
            subject = ""  # of a faulty row, nothing is used
        for column, value in (("subject", subject or None), ("outcome", won)):
            video[column] = video.get(column) or value
            if value not in (None, video[column]):
                own = f"{column} {video[column]} of video {video_id}"
                what = f"expected {own} as above, got {value}"
                survey.report(f"two {column}s of a video", path, line, what, "make them agree")
        if clip := parse_clip(path, line, (label, start, end), False, survey):
            survey.clips.append({"clip_id": f"{video_id}_{number}", "video_id": video_id} | clip)
    survey.clips.sort(key=lambda clip: str(clip["video_id"]))  # stable: rows keep their order
    survey.note("labelled videos without any file:", fileless)


def read_miga(inventory: Inventory) -> Survey:
    """Surveys a challenge tree, complete or partial."""
    survey = Survey(inventory.root, "miga")
    videos = list_videos(inventory, survey)
    unsplit = [video_id for video_id, row in videos.items() if row["split"] is None]
    if unsplit and any(row["split"] == "train" for row in videos.values()):  # as in 2026
        for video_id in unsplit:
            videos[video_id]["split"] = "test"
        survey.note("not in the folder of a split, used as test:", unsplit)
    if OUTCOME_FILE in inventory.tables:
        table = read_values(str(inventory.tables[OUTCOME_FILE]), "label", survey, videos)
        for video_id in videos.keys() & table.index:
            own = table.loc[video_id]
            videos[video_id] |= {"outcome": own.label, "subject": own.get("subject") or None}
        others = sorted({*table.index} - {*videos})
        survey.note(f"{OUTCOME_FILE} names videos that do not exist:", others)
    else:
        survey.absent.append(f"no {OUTCOME_FILE}: set outcomes by `labels`")
    for row in videos.values():
        if row["label file"]:
            add_label_file(row["label file"], row, survey)
    finish(videos, survey)
    return survey

"""The plain layout for anyone's own data: tables with a header, files named after the video id.

    videos.csv                    video_id,split[,outcome][,subject]
    clips.csv                     clip_id,video_id,start,end,class        if there are clips
    classes.csv                   class,name[,group][,background]         names of the classes
    videos/<id>.mp4               if there are videos
    keypoints/<id>.npy            (frames, joints, 3); or <id>.pose, <id>.csv, <id>.json of RTMPose,
                                  <id>.skeleton of NTU, or a folder of OpenPose JSON
    keypoints.json                the layout of .npy, .csv and .json, see skeletons/keypoints.py

Split is train, validation or test; outcome is any category, such as win or lose, or empty; frames
count from 0, the end inclusive. `class` in clips.csv is the id or the name of a class of
classes.csv, whose `background` is 1 for the one that is no micro-gesture; without it the classes
are those found in clips.csv.

A folder of videos without a table is read as well: each video is its own subject, without a split.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from imigue_lab.data.index import Survey
from imigue_lab.data.layouts.inventory import VIDEO_SUFFIXES, Inventory, add_picture_facts, is_video
from imigue_lab.data.layouts.tables import (
    check_spelling,
    parse_clip,
    read_rows,
    read_table,
    restore_zeros,
)
from imigue_lab.data.vocabulary import OWN, WHOLE, Vocabulary
from imigue_lab.errors import DataError

KEYPOINTS = (".npy", ".pose", ".json", ".skeleton", ".csv", "")  # the last is a folder


def read_plain(root: Path) -> Survey:
    """Surveys the data at `root`, which contains `videos.csv`."""
    survey = Survey(root, "plain")
    tables = {path.name.lower(): path for path in root.iterdir()}
    add_videos(tables["videos.csv"], survey)
    survey.vocabulary = Vocabulary(OWN, (), (), ())
    if path := tables.get("classes.csv"):
        set_classes(path, read_table(path, ["class", "name"], survey).to_dict("records"), survey)
    if path := tables.get("clips.csv"):
        add_clips(path, survey)
    else:
        survey.absent.append("no clips.csv: no gestures are known")
    add_picture_facts(survey)
    return survey


def read_folder(inventory: Inventory) -> Survey:
    """Surveys a folder of videos; the id is the file name without its ending."""
    survey = Survey(inventory.root, "plain", vocabulary=Vocabulary(OWN, (), (), ()))
    survey.absent.append("no videos.csv: no splits, outcomes, subjects or gestures are known")
    first: dict[str, Path] = {}
    for path in inventory.videos_of_any_name:
        other = first.setdefault(path.stem, path)
        if other != path:
            what = f"expected unique file names, got the same at {other}"
            survey.report("duplicate video", path, None, what, "rename one of them")
    survey.videos = [{"video_id": name, "video": path} for name, path in sorted(first.items())]
    add_picture_facts(survey)
    return survey


def add_videos(path: Path, survey: Survey) -> None:
    table = read_rows(path, ["video_id", "split"], survey)
    videos = table[["video_id", "split"]].copy()
    if "outcome" in table:
        videos["outcome"] = table.outcome
        check_spelling(path, table.outcome, survey)
    else:
        survey.absent.append("videos.csv has no outcomes: the emotion track needs them")
    if "subject" in table:
        videos["subject"] = table.subject.replace("", None)
    else:
        survey.absent.append("videos.csv has no subjects: each video is its own subject")
    files = {
        "video": list_files(survey.root / "videos", is_video),
        "keypoints": list_keypoints(survey.root),
    }
    ids = list(videos.video_id)
    fit = restore_zeros(ids, {name for found in files.values() for name in found})
    for row in videos.to_dict("records"):
        own = fit.get(row["video_id"], row["video_id"])
        survey.videos.append(row | {kind: found.get(own) for kind, found in files.items()})
    pairs = [f"{short} is {name}" for short, name in fit.items()]
    survey.note("videos.csv lacks leading zeros of file names:", pairs)
    for kind, found in files.items():
        without = [row["video_id"] for row in survey.videos if row[kind] is None]
        over = [path.name for name, path in found.items() if name not in {*ids, *fit.values()}]
        survey.note(f"videos.csv names videos without a {kind} file:", without if found else ())
        survey.note(f"videos.csv does not name these {kind} files:", over)


def find_classes(path: Path, values: pd.Series, hidden: pd.Series, survey: Survey) -> None:
    """Takes the values of clips.csv as the classes; of test, they may be placeholders."""
    found = set(values if hidden.all() else values[~hidden]) - {""}
    numbers = [number for name in found if (number := WHOLE.fullmatch(name))]
    names = sorted(found)
    if len(numbers) == len(found):
        names = [str(own) for own in sorted({int(number[1]) for number in numbers})]
    if names:
        set_classes(path, [{"class": name, "name": ""} for name in names], survey)
    unseen = sorted(set(values) - found - {""})
    survey.note("classes of the test split alone count as unknown:", unseen)


def set_classes(path: Path, rows: list[dict[str, str]], survey: Survey) -> None:
    """The vocabulary of these rows of classes.csv; unchanged where they are none."""
    try:
        survey.vocabulary = Vocabulary.from_rows(OWN, rows)
    except DataError as error:
        advice = "write class,name[,group][,background], a row a class"
        survey.report("faulty list of classes", path, None, str(error), advice)


def list_files(folder: Path, is_one: Callable[[Path], bool]) -> dict[str, Path]:
    """The files of a folder by id; of several, the one whose ending comes first in the lists."""
    paths = [path for path in sorted(folder.iterdir()) if is_one(path)] if folder.is_dir() else []
    paths.sort(key=lambda path: [*VIDEO_SUFFIXES, *KEYPOINTS].index(ending_of(path)), reverse=True)
    return {path.name.removesuffix(path.suffix if ending_of(path) else ""): path for path in paths}


def ending_of(path: Path) -> str:
    return "" if path.is_dir() else path.suffix.lower()


def list_keypoints(root: Path) -> dict[str, Path]:
    return list_files(root / "keypoints", lambda path: ending_of(path) in KEYPOINTS)


def add_clips(path: Path, survey: Survey) -> None:
    columns = ["clip_id", "video_id", "start", "end", "class"]
    table = read_rows(path, columns, survey)
    splits = {row["video_id"]: row["split"] for row in survey.videos}
    if fit := restore_zeros(table.video_id, splits):
        table = table.assign(video_id=table.video_id.replace(fit))
        survey.note("clips.csv lacks leading zeros, added to", fit)
    if not len(survey.vocabulary):
        find_classes(path, table["class"], table.video_id.map(splits) == "test", survey)
    for row, clip_id, video_id, start, end, label in table[columns].itertuples():
        if video_id not in splits:
            what = f"expected a video of videos.csv for clip {clip_id}, got {video_id!r}"
            survey.report("unknown video", path, row, what, "add or correct it")
            continue
        if clip := parse_clip(path, row, (label, start, end), splits[video_id] == "test", survey):
            survey.clips.append({"clip_id": clip_id, "video_id": video_id} | clip)
    labelled = {clip["video_id"] for clip in survey.clips}
    survey.note("no labelled clips of", [name for name in splits if name not in labelled])

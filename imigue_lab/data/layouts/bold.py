"""BoLD: short films with joints of every person, rated with 26 categories of emotion.

    annotations/{train,val}.csv, test_meta.csv     no header: video, person, first and last frame;
                                                   where rated 26 shares from 0 to 1, and others
    videos/003/<movie>.mp4/<nnnn>.mp4              the column `video` is the path below videos/
    joints/003/<movie>.mp4/<nnnn>.npy              see `keypoint_files.datasets.read_joints`

A clip is one person over the whole film. **A reduction**: its class is the category with the
largest share, the first of equals; a person without any is left out. Valence, arousal, dominance
and the traits of a person are not read, and neither are first and last frame, on whose meaning
public code disagrees. Nobody is named: each film is a subject of its own.
"""

import csv
import re
from pathlib import Path

import numpy as np

from imigue_lab.data.index import Row, Survey
from imigue_lab.data.keypoint_files.datasets import of_person, open_joints
from imigue_lab.data.keypoint_files.tables import is_number
from imigue_lab.data.layouts.inventory import Inventory, add_picture_facts, list_absent
from imigue_lab.data.layouts.tables import SAFE_ID
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import some

TABLES = {"train.csv": "train", "val.csv": "validation", "test_meta.csv": "test"}
FILM = re.compile(r"(\d+)/([^/]+)\.mp4/(\d+)\.mp4")
ENDLESS = 10**9  # frames; of joints or video, the one that is there counts


def read_bold(inventory: Inventory) -> Survey:
    """Surveys a tree, complete or partial."""
    survey = Survey(inventory.root, "bold", vocabulary=builtin("bold"))
    videos: dict[str, Row] = {}
    tables = [path for path in inventory.lists if path.parent.name == "annotations"]
    for name, split in TABLES.items():
        for path in (path for path in tables if path.name == name):
            read_annotations(path, split, videos, survey)
    survey.videos = list(videos.values())
    add_picture_facts(survey)
    clips, survey.clips = survey.clips, []
    for clip in clips:
        frames = min(clip["end"] + 1, videos[clip["video_id"]].get("frames") or ENDLESS)
        if frames < ENDLESS:
            survey.clips.append(clip | {"end": frames - 1})
    if len(clips) > len(survey.clips):
        what = "persons whose film has neither joints nor video are left out"
        survey.absent.append(f"{what}: {len(clips) - len(survey.clips)}")
    list_absent(survey)
    return survey


def read_annotations(path: Path, split: str, videos: dict[str, Row], survey: Survey) -> None:
    """Adds the persons of one table, and the films that they are in."""
    root, shares = path.parent.parent, len(survey.vocabulary)
    known = {clip["clip_id"] for clip in survey.clips}
    unrated = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [(number, cells) for number, cells in enumerate(csv.reader(file), 1) if cells]
    for number, cells in rows:
        film, numbers = FILM.fullmatch(cells[0]), cells[1 : 4 + shares]
        if not film or len(numbers) not in (3, 3 + shares) or not all(map(is_number, numbers)):
            what = f"expected video, person, two frames and {shares} shares, got {cells[:4]}"
            survey.report("row", path, number, what, "copy the file again")
            continue
        person, rated = int(float(cells[1])), np.array(numbers[3:], float)
        video_id = "_".join(film.groups())
        clip_id = f"{video_id}_{person}"
        row = videos.get(video_id) or film_row(root, cells[0], video_id, split)
        if clip_id in known or row["split"] != split or not SAFE_ID.fullmatch(video_id):
            what = f"expected each person of a film once and in one split, got {clip_id} again"
            survey.report("duplicate id", path, number, what, "keep one row for each")
            continue
        known.add(clip_id)
        if len(rated) and not rated.max() > 0:
            unrated.append(clip_id)
            continue
        videos[video_id] = row
        label = int(rated.argmax()) if len(rated) else None
        joints = row["joints"]
        clip = {"clip_id": clip_id, "video_id": video_id, "label": label, "start": 0}
        last = open_joints(joints)[1] - 1 if joints else ENDLESS
        poses = of_person(joints, person) if joints else None
        survey.clips.append(clip | {"end": last, "keypoints": poses})
    if unrated:
        survey.absent.append(f"persons without any category are left out: {some(unrated)}")


def film_row(root: Path, name: str, video_id: str, split: str) -> Row:
    video, joints = root / "videos" / name, root / "joints" / f"{name.removesuffix('.mp4')}.npy"
    row: Row = {"video_id": video_id, "split": split, "keypoints": None}
    row |= {"video": video if video.exists() else None, "clip video": None}
    return row | {"joints": joints if joints.exists() else None, "clip keypoints": joints.exists()}

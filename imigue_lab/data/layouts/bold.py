"""BoLD: short films with joints of every person, rated with 26 categories of emotion.

    annotations/{train,val}.csv, test_meta.csv     no header: video, person, first and last frame;
                                                   where rated 26 shares from 0 to 1, and others
    videos/003/<movie>.mp4/<nnnn>.mp4              the column `video` is the path below videos/
    joints/003/<movie>.mp4/<nnnn>.npy              see `keypoint_files.formats.read_joints`

A clip is one person over the whole film. **A reduction**: its class is the category with the
largest share, the first of equals; a person without any is left out. Valence, arousal, dominance
and the traits of a person are not read, and neither are first and last frame, on whose meaning
public code disagrees. Nobody is named: each film is a subject of its own.
"""

import re
from pathlib import Path

import numpy as np

from imigue_lab.data.index import Row, Survey
from imigue_lab.data.keypoint_files.formats import of_person, open_joints
from imigue_lab.data.keypoint_files.tables import as_number
from imigue_lab.data.layouts.inventory import Inventory, add_picture_facts, list_absent
from imigue_lab.data.layouts.tables import EMPTY, SAFE_ID, read_cells
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import DataError

TABLES = {"train.csv": "train", "val.csv": "validation", "test_meta.csv": "test"}
FILM = re.compile(r"(\d+)/([^/]+)\.mp4/(\d+)\.mp4,(\d{1,9})(\.0)?")  # and the person


def survey_tree(inventory: Inventory) -> Survey:
    """Surveys a tree, complete or partial."""
    survey = Survey(inventory.root, "bold", vocabulary=builtin("bold"))
    videos: dict[str, Row] = {}
    tables = [path for path in inventory.lists if path.parent.name == "annotations"]
    for name, split in TABLES.items():
        for path in (path for path in tables if path.name == name):
            read_annotations(path, split, videos, survey)
    survey.videos = list(videos.values())
    add_picture_facts(survey)
    persons, survey.clips = survey.clips, []
    for clip in persons:
        video = videos[clip["video_id"]]
        lengths = [video.get("frames")]
        if joints := video["clip keypoints"]:
            clip["keypoints"] = of_person(joints, clip["person"])
            try:
                lengths.append(open_joints(joints)[1])
            except DataError as error:
                what, _, advice = str(error).removeprefix(f"{joints}: ").rpartition("; ")
                survey.report("unreadable", joints, None, what, advice)
        if known := [frames for frames in lengths if frames]:
            survey.clips.append(clip | {"start": 0, "end": min(known) - 1})
    if len(survey.clips) < len(persons):
        what = "persons whose film has neither joints nor video are left out"
        survey.absent.append(f"{what}: {len(persons) - len(survey.clips)}")
    list_absent(survey)
    return survey


def read_annotations(path: Path, split: str, videos: dict[str, Row], survey: Survey) -> None:
    """Adds the persons of one table, and the films that they are in."""
    root, shares = path.parent.parent, len(survey.vocabulary)
    known = {clip["clip_id"] for clip in survey.clips}
    unrated = []
    for number, cells in read_cells(path, survey).items():
        if cells in EMPTY:
            continue
        film, numbers = FILM.fullmatch(",".join(cells[:2])), cells[2 : 4 + shares]
        if not film or len(numbers) not in (2, 2 + shares) or None in map(as_number, numbers):
            what = f"expected video, person, two frames and {shares} shares, got {cells[:4]}"
            survey.report("unreadable", path, number, what, "copy the file again")
            continue
        person, rated = int(film[4]), np.array(numbers[2:], float)
        video_id = "_".join(film.groups()[:3])
        clip_id = f"{video_id}_{person}"
        video, joints = root / "videos" / cells[0], root / "joints" / f"{cells[0][:-4]}.npy"
        row: Row = {"video_id": video_id, "split": split, "keypoints": None}
        row |= {"video": video if video.exists() else None}
        row |= {"clip keypoints": joints if joints.exists() else None}
        row = videos.setdefault(video_id, row)
        if clip_id in known or row["split"] != split or not SAFE_ID.fullmatch(video_id):
            what = f"expected each person of a film once and in one split, got {clip_id} again"
            survey.report("duplicate video", path, number, what, "keep one row for each")
        elif len(rated) and not rated.max() > 0:
            unrated.append(clip_id)
        else:
            label = int(rated.argmax()) if len(rated) else None
            clip = {"clip_id": clip_id, "video_id": video_id, "label": label, "person": person}
            survey.clips.append(clip)
        known.add(clip_id)
    survey.note("persons without any category are left out:", unrated)

"""SMG: a folder for each sequence of one person, with skeletons of Kinect and gestures by frame.

    smg_data_phase1/smg_skeleton_{train,validate}/Sample0001/Sample0001_{skeleton,finelabels,data}.csv
    smg_data_phase2/smg_skeleton_test/Sample0036/...
    SMG_RGB_Phase1/smg_rgb_{train,validate}/Sample0001/Sample0001_color.mp4
    SMG_RGB_Phase2/smg_rgb_test/Sample0036/...
    experimentWell_skeleton/Sample0001/...        older package; numbers define the split

`_finelabels.csv` is `class,start,end` without header, class 1 to 17, where 17 is no micro-gesture;
segments may overlap and need no order. `_data.csv` is `numFrames,fps,maxDepth`. Public code
disagrees on the number of the first frame: frames count from 1 here, from 0 in a tree in which any
segment starts at 0. The end is inclusive.
"""

import re
from pathlib import Path

from imigue_lab.data.index import Row, Survey
from imigue_lab.data.layouts.inventory import Inventory, add_picture_facts, list_absent, split_of
from imigue_lab.data.layouts.tables import add_label_file
from imigue_lab.data.vocabulary import builtin

FILE = re.compile(r"(Sample(\d{4}))_(skeleton|finelabels|data|color)\.\w+")
ZIP = re.compile(r"(Sample|Sequence)\d{4}\.zip")
LAST = {"train": 30, "validation": 35, "test": 40}  # number of the last sequence of each split


def survey_tree(inventory: Inventory) -> Survey:
    """Surveys a tree, complete or partial."""
    survey = Survey(inventory.root, "smg", vocabulary=builtin("smg"))
    files = list_files(inventory, survey)
    for video_id, own in files.items():
        number = video_id.removeprefix("Sample")
        by_number = next((split for split, last in LAST.items() if int(number) <= last), None)
        row = {"video_id": video_id, "subject": number, "split": own["split"] or by_number}
        row |= {"video": own.get("color"), "keypoints": own.get("skeleton")}
        facts = read_facts(own["data"], survey) if "data" in own else {}
        survey.videos.append(row | facts)
        if labels := own.get("finelabels"):
            add_label_file(labels, row, survey)
    first = min((clip["start"] for clip in survey.clips), default=1) > 0
    if not first:
        survey.absent.append("frames count from 0, since a segment starts there")
    for clip in survey.clips:
        clip["start"], clip["end"] = clip["start"] - first, clip["end"] - first
    rates = [row.get("fps") for row in survey.videos]  # of the recorder
    add_picture_facts(survey)
    for row, fps in zip(survey.videos, rates, strict=True):
        row["fps"] = fps or row.get("fps")
    list_absent(survey)
    return survey


def list_files(inventory: Inventory, survey: Survey) -> dict[str, Row]:
    """By sequence, the path of each kind of file, and the split that its folders name."""
    files: dict[str, Row] = {}
    others = []
    for path in sorted([*inventory.lists, *inventory.unknown]):
        if not (name := FILE.fullmatch(path.name)):
            others.append(path.name)
            continue
        own = files.setdefault(name[1], {})
        folders = [survey.root.name, *path.relative_to(survey.root).parts[:-1]]
        split = split_of(folders) or own.get("split")
        first = own.setdefault(name[3], path)
        own["split"] = own.get("split") or split
        if first != path or split != own["split"]:
            what = f"expected one copy of {name[1]}, got another at {path}"
            survey.report("duplicate video", first, None, what, "keep one of them")
    zips = [path.name for path in survey.root.rglob("*.zip") if ZIP.fullmatch(path.name)]
    survey.note("files that have unknown names are not read:", sorted(others))
    survey.note("files that have to be unpacked are not read:", sorted(zips))
    return dict(sorted(files.items()))


def read_facts(path: Path, survey: Survey) -> Row:
    """Frames and frame rate of `_data.csv`."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if found := re.match(r"(\d+),(\d+)", text):
        return {"frames": int(found[1]), "fps": float(found[2])}
    what = f"expected numFrames,fps,maxDepth, got {text!r:.60}"
    survey.report("unreadable", path, 1, what, "copy the file again")
    return {}

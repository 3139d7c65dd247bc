"""MA-52: a video file for each clip, and a list of names and classes for each split.

    ma52/{train,val,test}_list_videos.txt        "0003_01_0001.mp4 9", class 0 to 51
    ma52/videos_{train,val,test}/<name>.mp4
    keypoints/<name>.npy, .pose or a folder      a user's own poses: the data set has none

A clip is a whole file, so its id is that of its video, the name without ending. The first four
digits are the person, whom the names of the test split hide. A test list whose classes are all the
same has placeholders. `label_name.txt` is not read: names and body parts are built in.
"""

from contextlib import suppress
from pathlib import Path

from imigue_lab.data.index import Row, Survey
from imigue_lab.data.keypoint_files.formats import map_array
from imigue_lab.data.layouts.inventory import Inventory, add_picture_facts, list_absent
from imigue_lab.data.layouts.plain import list_keypoints
from imigue_lab.data.layouts.tables import SAFE_ID, parse_clip
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import DataError

LISTS = {"train": "train", "val": "validation", "test": "test"}


def survey_tree(inventory: Inventory) -> Survey:
    """Surveys a tree, complete or partial."""
    survey = Survey(inventory.root, "ma52", vocabulary=builtin("ma52"))
    files = {path.stem: path for path in inventory.unknown}
    poses = list_keypoints(survey.root)
    for prefix, split in LISTS.items():
        if path := inventory.tables.get(f"{prefix}_list_videos.txt"):
            read_list(path, split, files, poses, survey)
    add_picture_facts(survey)
    hidden = len({row["label"] for row in survey.videos if row["split"] == "test"}) == 1
    without = []
    for row in survey.videos:
        name, label = row["video_id"], row["label"]
        clip = {"clip_id": name, "video_id": name, "start": 0}
        clip["label"] = None if hidden and row["split"] == "test" else label
        if frames := row.get("frames") or frames_of(row["keypoints"]):
            survey.clips.append(clip | {"end": frames - 1})
        else:
            without.append(name)
    survey.note("no frames are known of the listed clips", without)
    list_absent(survey)
    return survey


def read_list(
    path: Path, split: str, files: dict[str, Path], poses: dict[str, Path], survey: Survey
) -> None:
    """Adds a video, with its label, for each line of a list."""
    known = {row["video_id"] for row in survey.videos}
    for number, line in enumerate(path.read_text("utf-8-sig", "replace").splitlines(), start=1):
        if not (cells := line.split()):
            continue
        name = Path(cells[0]).stem
        if len(cells) != 2 or not SAFE_ID.fullmatch(name) or name in known:
            what = f"expected the name of another file and a class, got {line!r:.60}"
            survey.report("unreadable", path, number, what, "correct the line, or remove it")
            continue
        hidden = split == "test"
        if clip := parse_clip(path, number, (cells[1], "0", "0"), hidden, survey):
            known.add(name)
            row: Row = {"video_id": name, "subject": None if hidden else name[:4], "split": split}
            row |= {"video": files.get(name), "keypoints": poses.get(name)}
            survey.videos.append(row | {"label": clip["label"]})


def frames_of(keypoints: Path | None) -> int:
    """Frames of an ``.npy``, (T, V, C) or (M, T, V, C); 0 for other forms."""
    if keypoints is None or keypoints.suffix.lower() != ".npy":
        return 0
    with suppress(DataError, IndexError):  # `check` names it
        return int(map_array(keypoints).shape[-3])
    return 0

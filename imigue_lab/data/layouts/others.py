"""Trees of SMG, MA-52, MMA-52 and BoLD, complete or partial, each surveyed by a function."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np

from imigue_lab.data.index import Row, Survey
from imigue_lab.data.keypoint_files.formats import of_person, open_joints
from imigue_lab.data.keypoint_files.tables import as_number
from imigue_lab.data.layouts.inventory import Inventory, add_picture_facts, list_absent, split_of
from imigue_lab.data.layouts.plain import list_keypoints
from imigue_lab.data.layouts.tables import (
    EMPTY,
    SAFE_ID,
    add_label_file,
    parse_clip,
    read_cells,
    read_table,
)
from imigue_lab.data.vocabulary import builtin
from imigue_lab.data.workspace import map_array
from imigue_lab.errors import DataError, bounded

FILE = re.compile(r"(Sample(\d{4}))_(skeleton|finelabels|data|color)\.\w+")
ZIP = re.compile(r"(Sample|Sequence)\d{4}\.zip")
FROM_ZERO = "frames count from 0, since a segment starts there"
LAST = {"train": 30, "validation": 35, "test": 40}  # number of the last sequence of each split
LISTS = {"train": "train", "val": "validation", "test": "test"}
SEGMENT = ["video_id", "start_frame", "end_frame", "class", "fps"]
TABLES = {"train.csv": "train", "val.csv": "validation", "test_meta.csv": "test"}
FILM = re.compile(r"(\d+)/([^/]+)\.mp4/(\d+)\.mp4,(\d{1,9})(\.0)?")  # and the person


def read_smg(inventory: Inventory, survey: Survey) -> None:
    """SMG: a folder for each sequence of one person, with Kinect skeletons and gestures by frame.

        smg_data_phase1/smg_skeleton_{train,validate}/Sample0001/
            Sample0001_{skeleton,finelabels,data}.csv
        smg_data_phase2/smg_skeleton_test/Sample0036/...
        SMG_RGB_Phase1/smg_rgb_{train,validate}/Sample0001/Sample0001_color.mp4
        SMG_RGB_Phase2/smg_rgb_test/Sample0036/...
        experimentWell_skeleton/Sample0001/...        older package; numbers define the split

    `_finelabels.csv` is `class,start,end` without header, class 1 to 17, where 17 is no
    micro-gesture; segments may overlap and need no order. `_data.csv` is `numFrames,fps,maxDepth`.
    Public code disagrees on the number of the first frame: frames count from 1 here, from 0 in a
    tree in which any segment starts at 0. The end is inclusive.
    """
    for video_id, own in list_sequences(inventory, survey).items():
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
        survey.absent.append(FROM_ZERO)
    for clip in survey.clips:
        clip["start"], clip["end"] = clip["start"] - first, clip["end"] - first
    rates = [row.get("fps") for row in survey.videos]  # of the recorder
    add_picture_facts(survey)
    for row, fps in zip(survey.videos, rates, strict=True):
        row["fps"] = fps or row.get("fps")


def list_sequences(inventory: Inventory, survey: Survey) -> dict[str, Row]:
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
    text = bounded(path).read_text(encoding="utf-8-sig", errors="replace")
    if found := re.match(r"(\d{1,9}),(\d{1,9})\b", text):
        return {"frames": int(found[1]), "fps": float(found[2])}
    what = f"expected numFrames,fps,maxDepth, got {text!r:.60}"
    survey.report("unreadable", path, 1, what, "copy the file again")
    return {}


def read_ma52(inventory: Inventory, survey: Survey) -> None:
    """MA-52: a video file for each clip, and a list of names and classes for each split.

        ma52/{train,val,test}_list_videos.txt        "0003_01_0001.mp4 9", class 0 to 51
        ma52/videos_{train,val,test}/<name>.mp4
        keypoints/<name>.npy, .pose or a folder      a user's own poses: the data set has none

    A clip is a whole file, so its id is that of its video, the name without ending. The first four
    digits are the person, whom the names of the test split hide. A test list whose classes are all
    the same has placeholders. `label_name.txt` is not read: names and body parts are built in.
    """
    files = {path.stem: path for path in inventory.unknown}
    poses = list_keypoints(survey.root)
    known = set()
    for prefix, split in LISTS.items():
        if not (path := inventory.tables.get(f"{prefix}_list_videos.txt")):
            continue
        lines = bounded(path).read_text("utf-8-sig", "replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if not (cells := line.split()):
                continue
            name, hidden = Path(cells[0]).stem, split == "test"
            if len(cells) != 2 or not SAFE_ID.fullmatch(name) or name in known:
                what = f"expected the name of another file and a class, got {line!r:.60}"
                survey.report("unreadable", path, number, what, "correct the line, or remove it")
            elif clip := parse_clip(path, number, (cells[1], "0", "0"), hidden, survey):
                known.add(name)
                row: Row = {"video_id": name, "split": split, "label": clip["label"]}
                row |= {"subject": None if hidden else name[:4], "video": files.get(name)}
                survey.videos.append(row | {"keypoints": poses.get(name)})
    add_picture_facts(survey)
    same = len({row["label"] for row in survey.videos if row["split"] == "test"}) == 1
    without = []
    for row in survey.videos:
        name, label = row["video_id"], row["label"]
        clip = {"clip_id": name, "video_id": name, "start": 0}
        clip["label"] = None if same and row["split"] == "test" else label
        if frames := row.get("frames") or frames_of(row["keypoints"]):
            survey.clips.append(clip | {"end": frames - 1})
        else:
            without.append(name)
    survey.note("no frames are known of the listed clips", without)


def read_mma52(inventory: Inventory, survey: Survey) -> None:
    """MMA-52: films with several actions each, of MA-52's classes, by frame.

        mmad_video/anns/{train,val,test}.csv    id,video_id,start_frame,end_frame,class,
                                                total_frames,fps
        mmad_video/{train,val,test}/<video_id>.mp4
        keypoints/<video_id>.npy, .pose or a folder     a user's own poses: the data set has none

    Frames count from 0, the end is inclusive; the rate is that of the film where it is there, since
    the column looks rounded. A clip is `<video_id>_<number>`, counted from 0. Nobody is named: each
    film is a subject of its own. A test table whose segments are all the same has placeholders.
    """
    films = {path.stem: path for path in inventory.unknown}
    poses, videos = list_keypoints(survey.root), dict[str, Row]()
    for path in (path for path in inventory.lists if path.parent.name == "anns"):
        if (split := LISTS.get(path.stem)) is None:
            continue
        table = read_table(path, SEGMENT, survey)[SEGMENT]
        hidden = split == "test" and len(table[SEGMENT[1:4]].value_counts()) == 1
        table["number"] = table.groupby("video_id").cumcount().astype(str)
        for row, name, start, end, label, fps, number in table.itertuples():
            video: Row = {"video_id": name, "split": split, "subject": None, "fps": as_number(fps)}
            video |= {"video": films.get(name), "keypoints": poses.get(name)}
            if not SAFE_ID.fullmatch(name) or videos.setdefault(name, video)["split"] != split:
                what = f"expected the name of a film of this table alone, got {name!r:.60}"
                survey.report("unreadable", path, row, what, "correct the row")
            elif clip := parse_clip(path, row, (label, start, end), split == "test", survey):
                own: Row = {"clip_id": f"{name}_{number}", "video_id": name, **clip}
                survey.clips.append(own | {"label": None if hidden else clip["label"]})
    survey.videos = list(videos.values())
    add_picture_facts(survey)


def frames_of(keypoints: Path | None) -> int:
    """Frames of an ``.npy``, (T, V, C) or (M, T, V, C); 0 for other forms."""
    if keypoints is None or keypoints.suffix.lower() != ".npy":
        return 0
    with suppress(DataError, IndexError):  # `check` names it
        return int(map_array(keypoints).shape[-3])
    return 0


def read_bold(inventory: Inventory, survey: Survey) -> None:
    """BoLD: short films with joints of every person, rated with 26 categories of emotion.

        annotations/{train,val}.csv, test_meta.csv  no header: video, person, first and last frame;
                                                    where rated 26 shares from 0 to 1, and others
        videos/003/<movie>.mp4/<nnnn>.mp4           the column `video` is the path below videos/
        joints/003/<movie>.mp4/<nnnn>.npy           see `keypoint_files.formats.read_joints`

    A clip is one person over the whole film. **A reduction**: its class is the category with the
    largest share, the first of equals; a person without any is left out. Valence, arousal,
    dominance and the traits of a person are not read, and neither are first and last frame, on
    whose meaning public code disagrees. Nobody is named: each film is a subject of its own.
    """
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


CLASSES_OF = {"mma52": "ma52"}  # data set -> that whose classes it has
READERS = {"smg": read_smg, "ma52": read_ma52, "mma52": read_mma52, "bold": read_bold}


def survey_other(layout: str, inventory: Inventory) -> Survey:
    """Surveys a tree of the data set with this name."""
    survey = Survey(inventory.root, layout, vocabulary=builtin(CLASSES_OF.get(layout, layout)))
    READERS[layout](inventory, survey)
    list_absent(survey)
    return survey

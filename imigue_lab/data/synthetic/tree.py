"""Writes a synthetic iMiGUE in any of the layouts, and its features into the store.

`imigue_lab/data/layouts/` describes the layouts. What a layout does not have is left out: miga2023
has no videos, miga2026 neither whole videos nor keypoints. Unlike the real trees, the MiGA trees
get an `emotion_labels.csv` with outcome and subject, and a full tree without videos a `splits.csv`.

In the layouts of SMG, MA-52 and BoLD the classes of the story are spread over those of the data
set; the illustrative one is SMG's own. SMG's persons are Kinect's, two metres from the camera.
MA-52 and BoLD have a film for each gesture; the persons of MA-52 are in train and validation, the
joints of BoLD include those of a bystander.

<root>/synthetic.json records the arguments of the generator.
"""

import io
import json
import shutil
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv
from jaxtyping import Float, Float32

from imigue_lab.data.index import MARKER, Index
from imigue_lab.data.layouts.imigue import COLUMNS
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.synthetic import story
from imigue_lab.data.synthetic.features import write_clip_features, write_features
from imigue_lab.data.synthetic.recording import (
    HEIGHT,
    JOINTS,
    PERSON,
    PLACE,
    TINY,
    WIDTH,
    Recording,
    record,
)
from imigue_lab.data.synthetic.story import Gesture, Interview, SyntheticSpec
from imigue_lab.data.videos.video import write_video
from imigue_lab.data.vocabulary import builtin
from imigue_lab.data.workspace import (
    atomic_path,
    locked,
    progress,
    workspace,
    write_array,
    write_atomically,
)
from imigue_lab.errors import DataError

TREE = tomllib.loads(Path(__file__).with_name("tree.toml").read_text(encoding="utf-8"))
LONG = SyntheticSpec(videos=24, size="long")  # "synthetic-long", for gestures in time
FOLDERS, SPREADSHEET = TREE["folders"], TREE["spreadsheet"]  # folders by layout and split
METRES = 1.2  # height of the picture at the person's distance
DISTANCE = 2.0  # metres
BYSTANDER = 7  # number of a person who is in every second film of BoLD, not annotated
FIRST = 41  # number of the first frame in BoLD's joints
IDS = builtin("imigue").ids
OPENPOSE = 137  # points: BODY_25, face, left hand, right hand
TIPS = {"left": 95, "right": 116}  # first point of each hand; its fingertips are 4, 8, 12, 16, 20


def make_data(root: Path | str, spec: SyntheticSpec, store: str = "") -> Index:
    """Writes the tree at `root` and the features into the store; DataError if it is not empty."""
    root = Path(root).expanduser().resolve()
    if root.exists() and any(root.iterdir()):
        raise DataError(f"{root}: is not empty; name a new folder, or delete its contents")
    unfinished = root.with_name(f".making-{root.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    interviews = story.plan(spec)
    for interview in progress(interviews, desc="synthetic interviews", unit="video"):
        WRITERS[spec.layout](unfinished, record(interview, spec), spec)
    write_tables(unfinished, interviews, spec)
    facts = {"note": "generated, not recorded", "version": story.VERSION, **vars(spec)}
    write_atomically(unfinished / MARKER, json.dumps(facts, indent=2))
    if root.exists():
        root.rmdir()
    unfinished.rename(root)
    index = read_index(root)
    write_all_features(index, spec, store)
    return index


def write_all_features(index: Index, spec: SyntheticSpec, store: str) -> None:
    """Writes the features of interviews and clips that are missing; other data sets have none."""
    if spec.layout not in story.DATA_SETS:
        write_features(index, spec, store)
        write_clip_features(index, spec, store)


def ensure_synthetic(spec: SyntheticSpec | None = None, store: str = "") -> Path:
    """The root of a synthetic set in the workspace; generated with its features where missing."""
    spec = spec or SyntheticSpec()
    root = workspace() / "data" / f"synthetic-{spec.key}"
    with locked(root.with_suffix(".lock")):
        if root.exists():
            write_all_features(read_index(root), spec, store)
        else:
            make_data(root, spec, store)
    return root


def write_miga2023(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """Labels and keypoints."""
    video_id = recording.interview.video_id
    folder = root / FOLDERS["miga_skeletons"][recording.interview.split] / video_id
    write_labels(folder, recording.interview)
    write_atomically(folder / f"{video_id}_light_hand.csv", keypoint_csv(recording.keypoints))


def write_miga2024(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """Labels, keypoints and the video; 2025 is the same."""
    write_miga2023(root, recording, spec)
    folder = root / FOLDERS["miga_videos"][recording.interview.split] / recording.interview.video_id
    write_whole_video(folder, recording, spec)


def write_miga2026(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """Labels, and one video per clip."""
    interview = recording.interview
    folder = root / FOLDERS["miga_clips"][interview.split] / interview.video_id
    write_labels(folder, interview)
    for row, gesture in enumerate(interview.gestures):
        frames = range(gesture.start, gesture.end + 1)
        write_film(folder / f"{interview.video_id}_{row}.mp4", recording, frames, spec)


def write_full(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """The video, and a spreadsheet with the keypoints of each clip."""
    interview = recording.interview
    points = to_openpose(recording.keypoints)
    folder = root / "mg_skeleton_only" / interview.video_id
    for row, gesture in enumerate(interview.gestures):
        clip = points[gesture.start : gesture.end + 1].reshape(-1, 3 * OPENPOSE)
        write_spreadsheet(folder / f"{interview.video_id}_{row}.xlsx", clip)
    write_whole_video(
        root / FOLDERS["full_videos"][interview.split] / interview.video_id, recording, spec
    )


def write_plain(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """The video, and the keypoints as an array."""
    path = root / "keypoints" / f"{recording.interview.video_id}.npy"
    write_array(path, recording.keypoints.astype(np.float32))
    write_whole_video(root / "videos", recording, spec)


def write_whole_video(folder: Path, recording: Recording, spec: SyntheticSpec) -> None:
    path = folder / f"{recording.interview.video_id}.mp4"
    write_film(path, recording, range(recording.interview.frames), spec)


def write_labels(folder: Path, interview: Interview) -> None:
    """`<id>_label.csv`: class,start,end without header."""
    rows = [f"{IDS[g.label]},{g.start},{g.end}\n" for g in interview.gestures]
    write_atomically(folder / f"{interview.video_id}_label.csv", "".join(rows))


def write_tables(root: Path, interviews: list[Interview], spec: SyntheticSpec) -> None:
    """The tables that cover all interviews."""
    if spec.layout in story.DATA_SETS:
        return  # their writers append to the tables
    facts = [(i.video_id, i.split, ("Lose", "Win")[i.outcome], i.subject) for i in interviews]
    videos = pd.DataFrame(facts, columns=["video_id", "split", "outcome", "subject"])
    rows = [
        (f"{i.video_id}_{row}", i.video_id, g.start, g.end, IDS[g.label])
        for i in interviews
        for row, g in enumerate(i.gestures)
    ]
    clips = pd.DataFrame(rows, columns=["clip_id", "video_id", "start", "end", "class"])
    if spec.layout == "plain":
        tables = {"videos.csv": videos, "clips.csv": clips}
        write_atomically(root / "classes.csv", builtin("imigue").to_csv())
    elif spec.layout == "full":
        names = {"start": "start_frame", "end": "end_frame", "subject": "subject_id"}
        names |= {"outcome": "win_or_lose"}
        labels = clips.merge(videos, on="video_id").rename(columns=names)[COLUMNS]
        tables = {"Label/labels_20200831.csv": labels}
        if not spec.pictures:
            tables["splits.csv"] = videos[["video_id", "split"]]
    else:
        labels = videos[["video_id", "subject", "outcome"]]
        tables = {"emotion_labels.csv": labels.rename(columns={"outcome": "label"})}
    for name, table in tables.items():
        write_atomically(root / name, table.to_csv(index=False))


def keypoint_csv(points: Float[np.ndarray, "N V 3"]) -> bytes:
    """Header, then frame number and (x, y, confidence) of 35 joints."""
    names = [f"{joint}_{c}" for joint in JOINTS for c in ("x", "y", "confidence")]
    columns = points.reshape(len(points), -1).T
    table = pyarrow.table([np.arange(len(points)), *columns], names=["frame", *names])
    file = io.BytesIO()  # pandas is ten times slower
    pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(quoting_style="none"))
    return file.getvalue()


def to_openpose(points: Float[np.ndarray, "N V 3"]) -> Float[np.ndarray, "N 137 3"]:
    """The 35 joints as OpenPose's 137; the others are missing."""
    whole = np.zeros((len(points), OPENPOSE, 3))
    whole[:, :25] = points[:, :25]
    for side, first in (("right", 25), ("left", 30)):
        whole[:, TIPS[side] + 4 : TIPS[side] + 21 : 4] = points[:, first : first + 5]
    return whole


def write_spreadsheet(path: Path, values: Float[np.ndarray, "rows columns"]) -> None:
    """Writes numbers as an .xlsx of one sheet without header, as iMiGUE's keypoint files are.

    A full-size tree has 18,232 of them: this takes 2 ms for 6 rows, and no dependency writes .xlsx.
    """
    rows = [
        f"<row>{''.join(f'<c><v>{value:.10g}</v></c>' for value in row)}</row>"
        for row in values.tolist()
    ]
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, text in SPREADSHEET.items():
            content = text.format("".join(rows))
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def class_of(gesture: Gesture, layout: str) -> int:
    """The place of a gesture's class in the vocabulary of another data set."""
    return gesture.label * len(builtin(layout)) // len(builtin("imigue"))


def write_smg(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """Skeletons in space, labels, facts and the video of one sequence."""
    interview = recording.interview
    name = f"Sample{interview.video_id}"
    kinds = (FOLDERS["smg_skeletons"], FOLDERS["smg_videos"])
    skeletons, videos = (root / folders[interview.split] / name for folders in kinds)
    ids = builtin("smg").ids
    rows = [f"{ids[class_of(g, 'smg')]},{g.start + 1},{g.end + 1}\n" for g in interview.gestures]
    write_atomically(skeletons / f"{name}_finelabels.csv", "".join(rows))
    write_atomically(skeletons / f"{name}_data.csv", f"{interview.frames},{story.FPS},8000\n")
    table = np.zeros((interview.frames, 25, 11))
    table[..., :3] = to_kinect(recording)
    with atomic_path(skeletons / f"{name}_skeleton.csv") as path:
        np.savetxt(path, table.reshape(len(table), -1), "%.5g", ",")
    write_film(videos / f"{name}_color.mp4", recording, range(interview.frames), spec)


def to_kinect(recording: Recording) -> Float[np.ndarray, "N 25 3"]:
    """`ntu25` in metres; y points up."""
    scale = HEIGHT / TINY if recording.tiny else HEIGHT
    points = []
    for joint in LAYOUTS["ntu25"].joints:
        source, x, y = PERSON["kinect"].get(joint.replace("right_", "left_"), (joint, 0.0, 0.0))
        if joint.startswith("right_"):
            source, x = source.replace("left_", "right_"), -x
        place = recording.keypoints[:, PLACE[source], :2] / scale
        points.append(place - (WIDTH / HEIGHT / 2, 0.5) + (x, y))
    flat = METRES * np.stack(points, axis=1) * (1, -1)
    return np.concatenate([flat, np.full((*flat.shape[:2], 1), DISTANCE)], axis=2)


def write_ma52(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """A film, its poses and its line in a list for each gesture; test has placeholders."""
    interview = recording.interview
    for row, gesture in enumerate(interview.gestures):
        split = "val" if row % 3 == 2 else "train"
        name = f"{int(interview.subject[1:]):04d}_{interview.number + 1:02d}_{row:04d}"
        label = class_of(gesture, "ma52")
        if interview.split == "test":
            split, name, label = "test", f"test{80 * interview.number + row:04d}", 0
        append(root / f"ma52/{split}_list_videos.txt", f"{name}.mp4 {label}")
        frames = range(gesture.start, gesture.end + 1)
        write_film(root / f"ma52/videos_{split}/{name}.mp4", recording, frames, spec)
        write_array(root / f"keypoints/{name}.npy", joints_of(recording, frames, "coco17"))


def write_bold(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """A film, the joints of everybody in it and its ratings for each gesture; one frame in ten has
    no joints of the person."""
    interview, root = recording.interview, root / "BOLD_public"
    table = {"test": "test_meta", "validation": "val"}.get(interview.split, "train")
    for row, gesture in enumerate(interview.gestures):
        film, person = f"003/film{interview.video_id}.mp4/{row:04d}", row % 3
        frames = range(gesture.start, gesture.end + 1)
        write_film(root / f"videos/{film}.mp4", recording, frames, spec)
        points = joints_of(recording, frames, "openpose18").reshape(-1, 54)
        numbers = np.arange(FIRST, FIRST + len(points))[:, None]
        seen = np.hstack([numbers, np.full_like(numbers, person), points])
        still = np.hstack([numbers, np.full_like(numbers, BYSTANDER), points * 0 + points[0]])
        seen = np.delete(seen, slice(9, None, 10), axis=0)
        rows = np.vstack([seen, still]) if row % 2 else seen
        write_array(root / f"joints/{film}.npy", rows[np.argsort(rows[:, 0], kind="stable")])
        shares = [f"{0.75 * (n == class_of(gesture, 'bold')):g}" for n in range(26)]
        rated = [] if interview.split == "test" else [*shares, "5,5,5,Male,Adult,White,0.5"]
        line = ",".join([f"{film}.mp4,{person},0,{len(points) - 1}", *rated])
        append(root / f"annotations/{table}.csv", line)


def joints_of(recording: Recording, frames: range, layout: str) -> Float32[np.ndarray, "T V 3"]:
    """The joints of a layout in pixels."""
    places = [PLACE[joint] for joint in LAYOUTS[layout].joints]
    return recording.keypoints[frames.start : frames.stop, places].astype(np.float32)


def write_film(path: Path, recording: Recording, frames: range, spec: SyntheticSpec) -> None:
    if spec.pictures:
        with atomic_path(path) as unfinished:
            write_video(unfinished, map(recording.picture, frames), story.FPS)


def append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"{line}\n")


WRITERS: dict[str, Callable[[Path, Recording, SyntheticSpec], None]] = {
    "full": write_full,
    "miga2023": write_miga2023,
    "miga2024": write_miga2024,
    "miga2026": write_miga2026,
    "plain": write_plain,
    "smg": write_smg,
    "ma52": write_ma52,
    "bold": write_bold,
}

"""The synthetic interviews in the layouts of SMG, MA-52 and BoLD; see `data.layouts` for each.

Classes of the story are spread over those of the data set; the illustrative one is SMG's own. SMG's
persons are Kinect's, two metres from the camera. MA-52 and BoLD have a film for each gesture; the
persons of MA-52 are in train and validation, the joints of BoLD include those of a bystander.
"""

import tomllib
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.synthetic.recording import HEIGHT, PERSON, PLACE, TINY, WIDTH, Recording
from imigue_lab.data.synthetic.story import FPS, Gesture, SyntheticSpec
from imigue_lab.data.videos.video import write_video
from imigue_lab.data.vocabulary import builtin
from imigue_lab.data.workspace import atomic_path, write_array, write_atomically

TREE = tomllib.loads(Path(__file__).with_name("tree.toml").read_text(encoding="utf-8"))
FOLDERS = TREE["folders"]  # by layout and split
METRES = 1.2  # height of the picture at the person's distance
DISTANCE = 2.0  # metres
BYSTANDER = 7  # number of a person who is in every second film of BoLD, not annotated
FIRST = 41  # number of the first frame in BoLD's joints


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
    write_atomically(skeletons / f"{name}_data.csv", f"{interview.frames},{FPS},8000\n")
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
    no joints of the person.
    """
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
            write_video(unfinished, map(recording.picture, frames), FPS)


def append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(f"{line}\n")

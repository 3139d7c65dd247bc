"""The synthetic interviews in the layouts of SMG, MA-52 and BoLD; see `data.layouts` for each.

Classes of the story are spread over those of the data set; the illustrative one is SMG's own. SMG's
persons are Kinect's in metres, at two metres from the camera. MA-52 and BoLD have a film for each
gesture; in BoLD the joints of a bystander are in the same file, and joints begin at any frame.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.synthetic.body import PLACE
from imigue_lab.data.synthetic.recording import HEIGHT, TINY, WIDTH, Recording
from imigue_lab.data.synthetic.story import FPS, Gesture, Interview, SyntheticSpec
from imigue_lab.data.videos.video import write_video
from imigue_lab.data.vocabulary import builtin
from imigue_lab.data.workspace import atomic_path, write_atomically

SMG_FOLDERS = {
    "train": ("smg_data_phase1/smg_skeleton_train", "SMG_RGB_Phase1/smg_rgb_train"),
    "validation": ("smg_data_phase1/smg_skeleton_validate", "SMG_RGB_Phase1/smg_rgb_validate"),
    "test": ("smg_data_phase2/smg_skeleton_test", "SMG_RGB_Phase2/smg_rgb_test"),
}
SHORT = {"train": "train", "validation": "val", "test": "test"}
KINECT = {  # joint -> the story's joint and an offset in heights; for the right side mirrored
    "spine_base": ("neck", 0.0, 0.75),
    "spine_mid": ("neck", 0.0, 0.4),
    "spine_shoulder": ("neck", 0.0, 0.0),
    "neck": ("neck", 0.0, -0.05),
    "head": ("nose", 0.0, 0.0),
    "left_hand": ("left_wrist", 0.0, 0.03),
    "left_hand_tip": ("left_middle_tip", 0.0, 0.0),
    "left_thumb": ("left_thumb_tip", 0.0, 0.0),
    "left_hip": ("neck", 0.12, 0.75),
    "left_knee": ("neck", 0.14, 1.1),
    "left_ankle": ("neck", 0.14, 1.5),
    "left_foot": ("neck", 0.16, 1.55),
}
METRES = 1.2  # height of the picture at the person's distance
DISTANCE = 2.0  # metres
BYSTANDER = 7  # the number of a person who is in every second film of BoLD, not annotated
FIRST = 41  # number of the first frame in BoLD's joints


def class_of(gesture: Gesture, layout: str) -> int:
    """The place of a gesture's class in the vocabulary of another data set."""
    return gesture.label * len(builtin(layout)) // len(builtin("imigue"))


def write_smg(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """Skeletons in space, labels, facts and the video of one sequence."""
    interview = recording.interview
    name = f"Sample{interview.video_id}"
    skeletons, videos = (root / folder / name for folder in SMG_FOLDERS[interview.split])
    ids = builtin("smg").ids
    rows = [f"{ids[class_of(g, 'smg')]},{g.start + 1},{g.end + 1}\n" for g in interview.gestures]
    write_atomically(skeletons / f"{name}_finelabels.csv", "".join(rows))
    write_atomically(skeletons / f"{name}_data.csv", f"{interview.frames},{FPS},8000\n")
    table = np.zeros((interview.frames, 25, 11))
    table[..., :3] = to_kinect(recording)
    with atomic_path(skeletons / f"{name}_skeleton.csv") as path:
        np.savetxt(path, table.reshape(len(table), -1), "%.5g", ",")
    if spec.pictures:
        with atomic_path(videos / f"{name}_color.mp4") as path:
            write_video(path, map(recording.picture, range(interview.frames)), FPS)


def to_kinect(recording: Recording) -> Float[np.ndarray, "N 25 3"]:
    """`ntu25` in metres; y points up."""
    scale = HEIGHT / TINY if recording.tiny else HEIGHT
    points = []
    for joint in LAYOUTS["ntu25"].joints:
        source, x, y = KINECT.get(joint.replace("right_", "left_"), (joint, 0.0, 0.0))
        if joint.startswith("right_"):
            source, x = source.replace("left_", "right_"), -x
        place = recording.keypoints[:, PLACE[source], :2] / scale
        points.append(place - (WIDTH / HEIGHT / 2, 0.5) + (x, y))
    flat = METRES * np.stack(points, axis=1) * (1, -1)
    return np.concatenate([flat, np.full((*flat.shape[:2], 1), DISTANCE)], axis=2)


def joints_of(
    recording: Recording, gesture: Gesture, layout: str
) -> Float32[np.ndarray, "length V 3"]:
    """The joints of a layout in pixels during one gesture."""
    places = [PLACE[joint] for joint in LAYOUTS[layout].joints]
    points = recording.keypoints[gesture.start : gesture.end + 1, places]
    return points.astype(np.float32)


def write_film(path: Path, recording: Recording, gesture: Gesture, spec: SyntheticSpec) -> None:
    if spec.pictures:
        with atomic_path(path) as unfinished:
            frames = range(gesture.start, gesture.end + 1)
            write_video(unfinished, map(recording.picture, frames), FPS)


def names_in_ma52(interview: Interview) -> Iterator[tuple[str, str, Gesture]]:
    """Split, file name and gesture of each film; train and validation share their persons."""
    for row, gesture in enumerate(interview.gestures):
        if interview.split == "test":
            yield "test", f"test{80 * interview.number + row:04d}", gesture
        else:
            person, session = int(interview.subject[1:]), interview.number + 1
            split = "val" if row % 3 == 2 else "train"
            yield split, f"{person:04d}_{session:02d}_{row:04d}", gesture


def write_ma52(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """A film and its poses for each gesture."""
    for split, name, gesture in names_in_ma52(recording.interview):
        write_film(root / f"ma52/videos_{split}/{name}.mp4", recording, gesture, spec)
        with atomic_path(root / f"keypoints/{name}.npy") as path:
            np.save(path, joints_of(recording, gesture, "coco17"))


def films_in_bold(interview: Interview) -> Iterator[tuple[str, int, Gesture]]:
    """The column `video` of each film, the number of its person, and the gesture."""
    for row, gesture in enumerate(interview.gestures):
        yield f"003/film{interview.video_id}.mp4/{row:04d}.mp4", row % 3, gesture


def write_bold(root: Path, recording: Recording, spec: SyntheticSpec) -> None:
    """A film and the joints of everybody in it for each gesture; one frame in ten is lost."""
    for film, person, gesture in films_in_bold(recording.interview):
        write_film(root / "BOLD_public/videos" / film, recording, gesture, spec)
        points = joints_of(recording, gesture, "openpose18").reshape(-1, 54)
        frames = np.arange(FIRST, FIRST + len(points))[:, None]
        seen = np.hstack([frames, np.full_like(frames, person), points])
        still = np.hstack([frames, np.full_like(frames, BYSTANDER), points * 0 + points[0]])
        rows = np.vstack([np.delete(seen, slice(9, None, 10), axis=0), still[:: 2 - person % 2]])
        with atomic_path(root / f"BOLD_public/joints/{film.removesuffix('.mp4')}.npy") as path:
            np.save(path, rows[np.argsort(rows[:, 0], kind="stable")])


def tables_of(interviews: list[Interview], layout: str) -> dict[str, str]:
    """The tables that cover all interviews, by their place below the root."""
    lines: dict[str, list[str]] = {}
    for interview in interviews if layout == "ma52" else ():
        for split, name, gesture in names_in_ma52(interview):
            label = 0 if split == "test" else class_of(gesture, layout)  # test has placeholders
            lines.setdefault(f"ma52/{split}_list_videos.txt", []).append(f"{name}.mp4 {label}\n")
    for interview in interviews if layout == "bold" else ():
        name = "test_meta" if interview.split == "test" else SHORT[interview.split]
        rows = lines.setdefault(f"BOLD_public/annotations/{name}.csv", [])
        for film, person, gesture in films_in_bold(interview):
            row = f"{film},{person},0,{gesture.end - gesture.start}"
            if interview.split != "test":
                shares = np.zeros(len(builtin(layout)))
                shares[class_of(gesture, layout)] = 0.75
                row += "".join(f",{share:g}" for share in shares) + ",5,5,5,Male,Adult,White,0.5"
            rows.append(f"{row}\n")
    return {name: "".join(rows) for name, rows in lines.items()}

"""Files of RTMPose and of Kinect recordings: one JSON of a video, and NTU's ``.skeleton``.

RTMPose (mmpose, rtmlib): {"instance_info": [{"frame_id", "instances": [{"keypoints": [[x, y], ...],
"keypoint_scores": [...]}, ...]}, ...]}, or that list alone.

NTU: the number of frames; for each frame the number of bodies; for each body a line that begins
with its id, the number of joints, and a line a joint that begins with x, y, z.

Letters in shapes: M persons, T frames, V joints.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.keypoint_files.openpose import MOST_PEOPLE, PEAK, Person, checked, tracked
from imigue_lab.data.skeletons.keypoints import Layout
from imigue_lab.errors import DataError, unreadable

LEAVE = "leave its clip out, as the data set's list of missing skeletons"


def read_rtmpose_json(path: Path) -> Float32[np.ndarray, "1 T V 3"]:
    """The person of highest scores, followed by position; frames without it are missing.

    Raises DataError for another form, a missing frame, or persons of several numbers of joints.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        frames = content["instance_info"] if isinstance(content, dict) else content
        numbers = [int(frame.get("frame_id", number)) for number, frame in enumerate(frames)]
        most = max((len(frame["instances"]) for frame in frames), default=0)
        if not numbers or most > MOST_PEOPLE:
            raise ValueError(f"{most} persons in a frame" if numbers else "no frame")
        people = [[as_person(one) for one in frame["instances"]] for frame in frames]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        form = '{"instance_info": [{"frame_id": 0, "instances": [...]}, ...]}'
        what = f"expected instances of RTMPose as {form}, got none"
        raise unreadable(path, what, error, "see docs/data.md") from None
    joints = {len(person) for own in people for person in own}
    if len(joints) != 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        found = f"{sorted(joints)} joints in frames {numbers[0]} to {numbers[-1]} of {len(numbers)}"
        raise DataError(
            f"{path}: expected all frames in order, with empty instances where nobody is seen, and"
            f" persons of one layout, got {found}; run the estimator again"
        )
    names = Layout("", tuple(f"joint {number}" for number in range(max(joints))), (), ())
    people = [[checked(p[None], names, f"{path}", PEAK)[0] for p in own] for own in people]
    return tracked(people, max(joints))


def as_person(instance: dict[str, Any]) -> np.ndarray:
    places = np.array(instance["keypoints"], dtype=np.float64)
    scores = np.array(instance["keypoint_scores"], dtype=np.float64)
    if places.shape != (len(scores), 2):
        raise ValueError(f"{places.shape} keypoints of {scores.shape} scores")
    return np.concatenate([places, scores[:, None]], axis=-1)


def read_ntu_skeleton(path: Path) -> Float32[np.ndarray, "M T 25 3"]:
    """The one or two bodies that move most, in the order of their ids; `ntu25`.

    Raises DataError for another form, or a file without a body.
    """
    try:
        lines = iter(path.read_text(encoding="utf-8-sig").split("\n"))
        frames = int(next(lines))
        found: dict[str, dict[int, Person]] = defaultdict(dict)
        for frame in range(frames):
            for _ in range(int(next(lines))):
                name = next(lines).split()[0]
                found[name][frame] = np.array([place(lines) for _ in range(int(next(lines)))])
        if len(found) > MOST_PEOPLE:
            raise ValueError(f"{len(found)} bodies")
        bodies = np.zeros((len(found), frames, 25, 3), np.float32)
        for body, name in enumerate(sorted(found)):
            for frame, joints in found[name].items():
                bodies[body, frame] = joints
        if not found or not np.isfinite(bodies).all():
            raise ValueError("no body, or a number that is not finite")
    except (OSError, ValueError, IndexError, StopIteration) as error:
        what = "expected bodies of 25 joints as in NTU RGB+D, got a file without"
        raise unreadable(path, what, error, LEAVE) from None
    motion = [np.std(body[body.any(axis=(1, 2))], axis=0).sum() for body in bodies]
    return bodies[sorted(np.argsort(motion)[-2:])]


def place(lines: Iterator[str]) -> list[float]:
    x, y, z, *_ = map(float, next(lines).split())
    return [x, y, z]

"""Writes ``.pose`` files with the points of MediaPipe or of any other estimator."""

import numpy as np
from pose_format import Pose, PoseHeader
from pose_format.numpy import NumPyPoseBody
from pose_format.pose_header import PoseHeaderComponent, PoseHeaderDimensions

FINGER = "MCP PIP DIP TIP".split()
HAND = [
    *"WRIST THUMB_CMC THUMB_MCP THUMB_IP THUMB_TIP".split(),
    *(f"{f}_FINGER_{part}" for f in "INDEX MIDDLE RING PINKY".split() for part in FINGER),
]
BODY = (  # MediaPipe's 33, in its order
    "NOSE LEFT_EYE_INNER LEFT_EYE LEFT_EYE_OUTER RIGHT_EYE_INNER RIGHT_EYE RIGHT_EYE_OUTER LEFT_EAR"
    " RIGHT_EAR MOUTH_LEFT MOUTH_RIGHT LEFT_SHOULDER RIGHT_SHOULDER LEFT_ELBOW RIGHT_ELBOW"
    " LEFT_WRIST RIGHT_WRIST LEFT_PINKY RIGHT_PINKY LEFT_INDEX RIGHT_INDEX LEFT_THUMB RIGHT_THUMB"
    " LEFT_HIP RIGHT_HIP LEFT_KNEE RIGHT_KNEE LEFT_ANKLE RIGHT_ANKLE LEFT_HEEL RIGHT_HEEL"
    " LEFT_FOOT_INDEX RIGHT_FOOT_INDEX"
).split()


def mediapipe():
    parts = {"POSE_LANDMARKS": BODY, "FACE_LANDMARKS": [str(n) for n in range(5)]}
    parts |= {"LEFT_HAND_LANDMARKS": HAND, "RIGHT_HAND_LANDMARKS": HAND}
    return [PoseHeaderComponent(name, points, [], [], "XYZC") for name, points in parts.items()]


def write(path, components, frames=4, persons=1, axes=3, change=None):
    """Point n of person m is at (10 n + frame, 1000 m + n + 1) with confidence 0.5 + 0.1 m."""
    count = sum(len(part.points) for part in components)
    positions = np.zeros((frames, persons, count, axes), np.float32)
    positions[..., 0] = 10 * np.arange(count) + np.arange(frames)[:, None, None]
    positions[..., 1] = 1 + np.arange(count) + 1000 * np.arange(persons)[:, None]
    confidence = np.full(positions.shape[:3], 0.5, np.float32) + 0.1 * np.arange(persons)[:, None]
    if change:
        change(positions, confidence)
    header = PoseHeader(0.2, PoseHeaderDimensions(640, 480, 0), components)
    with path.open("wb") as file:
        Pose(header, NumPyPoseBody(25, positions, confidence)).write(file)
    return path

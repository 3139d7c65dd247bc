"""Frozen encoders, run once over each video: faces, keypoints, and stored features."""

from typing import Literal

Detector = Literal["centerface", "yolo-face"]  # of faces

"""What every face detector takes and gives.

Letters in shapes: n faces. Places are pixels of the frame, x before y, from its top left corner.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.video import Frame

Boxes = Float32[np.ndarray, "n 4"]  # x0, y0, x1, y1


class Faces(NamedTuple):
    """The faces of one frame, the surest first.

    Attributes:
        boxes: inside the frame.
        scores: in 0..1.
        points: the two eyes, the nose, the two corners of the mouth, in each pair first the one
            that lies left in the picture of an upright face; None from a detector without points.
    """

    boxes: Boxes
    scores: Float32[np.ndarray, " n"]
    points: Float32[np.ndarray, "n 5 2"] | None = None


@runtime_checkable
class FaceDetector(Protocol):
    """Finds the faces of a frame.

    Attributes:
        recipe: everything that decides its numbers; a part of the features' fingerprint.
        has_points: whether `Faces.points` is there.
    """

    recipe: str
    has_points: bool

    def __call__(self, frame: Frame) -> Faces:
        """All faces of one RGB frame; none is an empty `Faces`."""


def inside(faces: Faces, height: int, width: int) -> Faces:
    """Boxes cut to a picture of that size; a face that lies outside of it is left out."""
    boxes = faces.boxes.clip(0, np.array([width, height, width, height], np.float32))
    there = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    points = None if faces.points is None else faces.points[there]
    return Faces(boxes[there], faces.scores[there], points)

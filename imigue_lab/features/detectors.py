"""Face detectors: what each takes and gives, and how one is opened by name.

The interviewee's face: find all faces (here), track one (`following.py`), crop it (`alignment.py`).
Letters in shapes: n faces. Places are pixels of the frame, x before y, from its top left corner.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.videos.video import Frame

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(model: bytes, threads: int) -> "InferenceSession":
    """A session on the GPU where onnxruntime has one, else on `threads` threads.

    Raises:
        Exception: onnxruntime's own, when the bytes are no network that it can run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait take the cores from the decoder and the encoders.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors are raised; nothing needs printing
    here = onnxruntime.get_available_providers()
    wanted = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in here]
    return onnxruntime.InferenceSession(model, options, providers=wanted)


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


Detector = Literal["centerface", "yolo-face"]

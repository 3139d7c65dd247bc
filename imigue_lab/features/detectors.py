"""The interface of face detectors, and the onnxruntime session behind them.

The interviewee's face: detect all faces (here), track them (`tracking.py`), crop one
(`alignment.py`). Letters in shapes: n faces. Coordinates are pixels of the frame, x before y, from
its top left corner.
"""

from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.videos.video import Frame

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Detector = Literal["centerface", "yolo-face"]
Boxes = Float32[np.ndarray, "n 4"]  # x0, y0, x1, y1


class Faces(NamedTuple):
    """The faces of one frame, by decreasing score.

    The points are the two eyes, the nose, the two corners of the mouth, of each pair first the one
    on the left of the picture of an upright face; None from a detector without points.
    """

    boxes: Boxes  # within the frame
    scores: Float32[np.ndarray, " n"]  # from 0 to 1
    points: Float32[np.ndarray, "n 5 2"] | None = None


@runtime_checkable
class FaceDetector(Protocol):
    """Detects the faces of a frame."""

    recipe: str  # everything that affects the results; a part of the features' fingerprint
    has_points: bool  # whether `Faces.points` is set

    def __call__(self, frame: Frame) -> Faces:
        """All faces of one RGB frame; an empty `Faces` if there is none."""


class Shared:
    """A detector that several streams of the same video share: it remembers the last frames."""

    def __init__(self, detector: FaceDetector):
        self.detector = detector
        self.recipe, self.has_points = detector.recipe, detector.has_points
        self.found: dict[bytes, Faces] = {}

    def __call__(self, frame: Frame) -> Faces:
        key = blake2b(np.ascontiguousarray(frame).tobytes(), digest_size=16).digest()
        if (faces := self.found.pop(key, None)) is None:
            faces = self.detector(frame)
        self.found[key] = faces
        for old in list(self.found)[: -2 * 16]:  # windows of two kinds
            self.found.pop(old, None)
        return faces


def inside(faces: Faces, height: int, width: int) -> Faces:
    """Boxes clipped to a picture of this size, without faces outside of it."""
    boxes = faces.boxes.clip(0, np.array([width, height, width, height], np.float32))
    visible = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    points = None if faces.points is None else faces.points[visible]
    return Faces(boxes[visible], faces.scores[visible], points)


def open_session(model: bytes, threads: int) -> "InferenceSession":
    """A session on the GPU if onnxruntime supports it, else on `threads` threads.

    Raises an exception of onnxruntime's if the bytes are not a network that it can run.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait block the decoder, the encoders and other programs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors are raised, not printed
    preferred = ("CUDAExecutionProvider", "CPUExecutionProvider")
    available = onnxruntime.get_available_providers()
    providers = [name for name in preferred if name in available]
    return onnxruntime.InferenceSession(model, options, providers=providers)

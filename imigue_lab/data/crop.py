"""What of a picture the RGB encoder sees: the shorter side resized, then the centre cut out."""

import numpy as np
from jaxtyping import Float

SHORTER = 8 / 7  # of the model's side: 256 for 224


def crop_places(
    pixels: Float[np.ndarray, "*points 2"], width: int, height: int
) -> Float[np.ndarray, "*points 2"]:
    """From pixels of a picture to its crop, 0 to 1 over both sides; what lies outside is beyond.

    Args:
        pixels: x to the right, y down, from the top left corner.
        width, height: of the whole picture in pixels.
    """
    side = min(width, height) / SHORTER
    middle = np.array([width, height], dtype=pixels.dtype) / 2
    return (pixels - middle) / np.asarray(side, dtype=pixels.dtype) + np.asarray(0.5, pixels.dtype)


def picture_places(
    places: Float[np.ndarray, "*points 2"], width: int, height: int
) -> Float[np.ndarray, "*points 2"]:
    """The inverse of `crop_places`: from 0 to 1 over the crop to pixels of the whole picture."""
    side = min(width, height) / SHORTER
    return (places - 0.5) * side + np.array([width, height]) / 2

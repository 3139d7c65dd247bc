"""Taylor pictures: displacement, velocity and acceleration of each pixel as red, green and blue.

Wang et al., "Taylor videos for action recognition", ICML 2024, with the scale of the ensemble that
won the MiGA challenge of 2025: the maximum of a picture over its three colours.
"""

from math import factorial

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy.lib.stride_tricks import sliding_window_view

TERMS = 3
WINDOW = TERMS + 3  # frames x_0 .. x_5 for each picture


def taylor_series(grey: UInt8[np.ndarray, "T H W"]) -> Float[np.ndarray, "T-5 H W 3"]:
    """``T_c = 1/6 sum_i [sum_j (x_j - x_0)^i / i!] D^(i+c) x_0``, c = 1 to 3, i = 0 to 2.

    x are grey values of 0 to 1, j runs over the window, D^k are forward differences. At least 6
    frames.
    """
    x = sliding_window_view(grey.astype(np.float32) / np.float32(255), WINDOW, axis=0)
    moved = x - x[..., :1]
    weights = [(moved**i).sum(axis=-1) / np.float32(factorial(i)) for i in range(TERMS)]
    differences = [np.diff(x, n=k + 1, axis=-1)[..., 0] for k in range(WINDOW - 1)]
    series = [sum(weights[i] * differences[i + c] for i in range(TERMS)) for c in range(3)]
    return np.stack(series, axis=-1) / np.float32(WINDOW)


def taylor_pictures(frames: UInt8[np.ndarray, "T H W 3"]) -> UInt8[np.ndarray, "S H W 3"]:
    """A picture for each frame but the last five; a clip under 6 frames repeats its last.

    Negative values are 0, and the largest of a picture is 255, as published.
    """
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
    lacking = max(0, WINDOW - len(grey))
    series = taylor_series(np.pad(grey, [(0, lacking), (0, 0), (0, 0)], "edge")).clip(0)
    largest = series.max(axis=(1, 2, 3), keepdims=True)
    return (series / np.where(largest > 0, largest, 1) * 255).astype(np.uint8)

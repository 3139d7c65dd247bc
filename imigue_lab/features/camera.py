"""Which camera view a frame is of, so that a cut is seen and a view that comes back is known."""

import numpy as np
from jaxtyping import Float32

from imigue_lab.data.video import Frame

ROWS, COLUMNS = 24, 32  # of the coarse picture that is compared
SAME_SHOT = 0.4  # least correlation with the frame before
SAME_VIEW = 0.6  # and, after a cut, with the last frame of an earlier view


class Views:
    """Numbers the views of a video from 0; another number than the last frame's is a cut.

    Frames are compared by coarse grey pictures. Correlation lets flashes and fades pass, and motion
    from one frame to the next; two views of the same room hardly correlate.
    """

    def __init__(self) -> None:
        self.last: list[Float32[np.ndarray, " cells"]] = []  # the last coarse picture of each view
        self.now = -1

    def of(self, frame: Frame) -> int:
        """The view of the next frame."""
        picture = coarse(frame)
        if not self.last or picture @ self.last[self.now] < SAME_SHOT:
            alike = [float(picture @ last) for last in self.last]
            known = max(alike, default=0.0) >= SAME_VIEW
            self.now = int(np.argmax(alike)) if known else len(self.last)
        self.last[self.now : self.now + 1] = [picture]
        return self.now


def coarse(frame: Frame) -> Float32[np.ndarray, " cells"]:
    """Grey levels of `ROWS` x `COLUMNS` places, with mean 0 and norm 1; all 0 for a blank frame."""
    height, width = frame.shape[:2]
    rows = (np.arange(ROWS) * 2 + 1) * height // (2 * ROWS)
    columns = (np.arange(COLUMNS) * 2 + 1) * width // (2 * COLUMNS)
    grey = frame[rows[:, None], columns].mean(axis=2, dtype=np.float32).ravel()
    grey -= grey.mean()
    return grey / max(float(np.linalg.norm(grey)), 1e-6)

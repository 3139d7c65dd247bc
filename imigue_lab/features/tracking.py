"""Faces of successive frames joined to tracks by overlap.

Letters in shapes: n, m boxes.
"""

import numpy as np
from jaxtyping import Float

from imigue_lab.features.detectors.protocol import Boxes

LEAST = 0.3  # intersection over union with the track's last box
PATIENCE = 8  # frames that a face may be missing


class Tracker:
    """Numbers tracks from 0 as they appear; only those of the last `PATIENCE` frames are held."""

    def __init__(self) -> None:
        self.tracks = 0
        self.live: dict[int, tuple[int, Boxes]] = {}  # track -> its last frame, its box as a row

    def end(self) -> None:
        """Ends all tracks, as a cut does."""
        self.live.clear()

    def follow(self, frame: int, boxes: Boxes) -> list[int]:
        """The track of each box.

        Pairs are joined from the greatest overlap down; a box that no track takes begins one.

        Args:
            frame: its number; later than at the last call.
            boxes: of one frame; the first take the first new numbers.
        """
        self.live = {t: s for t, s in self.live.items() if frame - s[0] - 1 <= PATIENCE}
        known = list(self.live)
        joined: dict[int, int] = {}
        if known and len(boxes):
            overlap = overlaps(boxes, np.concatenate([self.live[track][1] for track in known]))
            for place in np.argsort(-overlap, axis=None, kind="stable"):
                box, track = divmod(int(place), len(known))
                if overlap[box, track] < LEAST:
                    break
                if box not in joined and known[track] not in joined.values():
                    joined[box] = known[track]
        for box in range(len(boxes)):
            if box not in joined:
                joined[box] = self.tracks
                self.tracks += 1
            self.live[joined[box]] = frame, boxes[box : box + 1]
        return [joined[box] for box in range(len(boxes))]


def overlaps(
    boxes: Float[np.ndarray, "n 4"], others: Float[np.ndarray, "m 4"]
) -> Float[np.ndarray, "n m"]:
    """Intersection over union of all pairs; boxes are x0, y0, x1, y1 and not empty."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = (high - low).clip(0).prod(-1)
    return common / (areas(boxes)[:, None] + areas(others)[None] - common)


def areas(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, " n"]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

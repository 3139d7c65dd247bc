"""Whose face it is: the interviewee among all faces of a video, chosen after its last frame.

**During the video** each frame is assigned to a camera view (`Views`); a cut ends all tracks. The
faces of a view are joined to tracks by overlap (`Tracks`). Each face has a prominence,

    p = √(share of the picture) / (1 + d²)        d: distance to the centre, in half sides

so that a face in a corner counts a third of one in the middle. A face with at least `NEAR_BEST`
times the frame's greatest p is a candidate, three at most: only candidates are encoded, usually one
a frame.

**At the end** tracks in one place of one view (overlap of their median boxes) without a common
frame are joined to one person, who was lost and found again. The person with the greatest sum of p
over the whole video is the interviewee. The face of a window is

1. the interviewee's, if it is visible, regardless of other faces;
2. else, since cameras change, that of the person with the greatest sum who dominates the picture
   (at least half of the p of all its faces) and is not much smaller than the interviewee;
3. else none: the picture shows the audience.

A person visible in fewer than `BRIEFEST` frames of the video, three windows, or in less than a
third of a video shorter than nine windows, is a passer-by or a false detection and is never chosen.
Only positions and sizes are compared: another person who fills the picture alone for longer is
taken for the interviewee.

Letters in shapes: n, m boxes, T windows.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float32
from torchvision.ops import box_iou

from imigue_lab.data.videos.video import Frame, plan_windows, window_frames
from imigue_lab.features.detectors import Boxes, Faces

ROWS, COLUMNS = 24, 32  # of the coarse pictures that are compared
SAME_SHOT = 0.4  # least correlation with the previous frame
SAME_VIEW = 0.6  # and, after a cut, with the last frame of an earlier view


class Views:
    """Numbers the camera views of a video from 0; a change of the number is a cut.

    Frames are compared by coarse grey pictures. Correlation tolerates flashes, fades and motion
    from one frame to the next; two views of the same room hardly correlate.
    """

    def __init__(self) -> None:
        self.last: list[Float32[np.ndarray, " cells"]] = []  # the last coarse picture of each view
        self.current = -1

    def view_of(self, frame: Frame) -> int:
        """The view of the next frame."""
        picture = coarse(frame)
        if not self.last or picture @ self.last[self.current] < SAME_SHOT:
            alike = [float(picture @ last) for last in self.last]
            known = max(alike, default=0.0) >= SAME_VIEW
            self.current = int(np.argmax(alike)) if known else len(self.last)
        self.last[self.current : self.current + 1] = [picture]
        return self.current


def coarse(frame: Frame) -> Float32[np.ndarray, " cells"]:
    """`ROWS` x `COLUMNS` cells with mean 0 and norm 1; all 0 for a blank frame.

    The green channel is used as grey: it carries most of the brightness.
    """
    height, width = frame.shape[:2]
    rows = (np.arange(ROWS) * 2 + 1) * height // (2 * ROWS)
    columns = (np.arange(COLUMNS) * 2 + 1) * width // (2 * COLUMNS)
    grey = frame[rows[:, None], columns, 1].ravel().astype(np.float32)
    grey -= grey.mean()
    return grey / max(float(np.linalg.norm(grey)), 1e-6)


LEAST_IOU = 0.3  # with the track's last box
PATIENCE = 8  # frames for which a face may be missing


class Tracks:
    """Numbers tracks from 0 as they appear; only those of the last `PATIENCE` frames are kept."""

    def __init__(self) -> None:
        self.count = 0
        self.live: dict[int, tuple[int, Boxes]] = {}  # track -> its last frame, its box as a row

    def end(self) -> None:
        """Ends all tracks, as a cut does."""
        self.live.clear()

    def update(self, frame: int, boxes: Boxes) -> list[int]:
        """The track of each box.

        Boxes are matched to tracks in order of decreasing overlap; an unmatched box starts a track,
        numbered in the order of the boxes. Frame numbers increase from call to call.
        """
        self.live = {t: s for t, s in self.live.items() if frame - s[0] - 1 <= PATIENCE}
        known = list(self.live)
        joined: dict[int, int] = {}
        if known and len(boxes):
            overlap = overlaps(boxes, np.concatenate([self.live[track][1] for track in known]))
            for pair in np.argsort(-overlap, axis=None, kind="stable"):
                box, track = divmod(int(pair), len(known))
                if overlap[box, track] < LEAST_IOU:
                    break
                if box not in joined and known[track] not in joined.values():
                    joined[box] = known[track]
        for box in range(len(boxes)):
            if box not in joined:
                joined[box] = self.count
                self.count += 1
            self.live[joined[box]] = frame, boxes[box : box + 1]
        return [joined[box] for box in range(len(boxes))]


def overlaps(
    boxes: Float[np.ndarray, "n 4"], others: Float[np.ndarray, "m 4"]
) -> Float[np.ndarray, "n m"]:
    """Intersection over union of all pairs; boxes are x0, y0, x1, y1 and not empty."""
    return box_iou(torch.from_numpy(boxes), torch.from_numpy(others)).numpy()


NEAR_BEST, MOST = 0.7, 3  # least share of the greatest prominence; candidates of a frame
ALONE = 0.5  # least share of the prominence of all faces
SMALLEST = 0.4  # least side relative to the interviewee's
BRIEFEST, SHARE = 48, 3  # least frames of a person, or this fraction of a shorter video
RULE = (
    f"shots {SAME_SHOT} views {SAME_VIEW}, tracks IoU {LEAST_IOU} gap {PATIENCE},"
    f" candidates {NEAR_BEST} of {MOST}, alone {ALONE}, side {SMALLEST},"
    f" {BRIEFEST} frames or 1/{SHARE}"
)
BOX = ["x0", "y0", "x1", "y1"]


# Columns of a stored candidate; `part` is its share of the prominence of all faces of the frame.
SIGHTING = ["frame", "view", "track", "prominence", "part", *BOX, "score"]


class Choice(NamedTuple):
    """The chosen face of each window, and counts of frames and tracks."""

    tracks: list[list[int]]  # of each window's face, at most one per frame; empty: no face
    face_share: Float32[np.ndarray, " T"]  # of each window, counting repeated frames
    boxes: Float32[np.ndarray, "frames 5"]  # x0, y0, x1, y1 and score; NaN where there is none
    with_face: int  # frames in which any face was detected
    chosen: int  # frames with a chosen face
    audience: int  # frames with faces in windows for which none was chosen
    seen_tracks: int  # tracks of all faces


class FaceTracker:
    """Collects the faces of a video frame by frame, and chooses the interviewee's at the end.

    It stores some 300 bytes for each candidate, and no pixels.
    """

    def __init__(self) -> None:
        self.views = Views()
        self.view = 0
        self.tracks = Tracks()
        self.sightings: list[tuple[float, ...]] = []  # see `SIGHTING`
        self.with_face = 0

    def add(self, number: int, frame: Frame, faces: Faces) -> list[tuple[int, int]]:
        """The faces of a frame that must be encoded, the most prominent first.

        Of each the track, and the index in `faces`.

        The frame's `number` increases from call to call.
        """
        if (view := self.views.view_of(frame)) != self.view:
            self.tracks.end()
        self.view = view
        p = prominence(faces.boxes, frame.shape[:2])
        order = np.lexsort((faces.boxes[:, 0], -p))  # of two equal faces the left is first
        tracks = self.tracks.update(number, faces.boxes[order])
        self.with_face += len(p) > 0
        candidates = []
        for face, track in list(zip(order.tolist(), tracks, strict=True))[:MOST]:
            if p[face] >= NEAR_BEST * p.max():
                shown = float(p[face]), float(p[face] / p.sum()), *faces.boxes[face].tolist()
                self.sightings.append((number, view, track, *shown, float(faces.scores[face])))
                candidates.append((track, face))
        return candidates

    def choose(self, frames: int, size: int = 16, least: int | None = None) -> Choice:
        """The face of each window of `size` frames, of a video of `frames`.

        A person must be visible in at least `least` frames; None is the rule above.
        """
        windows = plan_windows(frames, size).windows
        seen = pd.DataFrame(self.sightings, columns=SIGHTING)
        seen["window"] = seen.frame // size
        seen = seen[seen.window < windows]
        least = min(BRIEFEST, frames // SHARE) if least is None else least
        chosen = seen.merge(choose_persons(name_persons(seen), least), on=["window", "track"])
        tracks: list[list[int]] = [[] for _ in range(windows)]
        for window, part in chosen.groupby("window"):
            tracks[int(window)] = sorted(set(part.track.tolist()))
        shown = set(chosen.frame.tolist())  # a short last window counts its repeated frame
        counts = [len([n for n in own if n in shown]) for own in window_frames(frames, size)]
        share = np.array(counts, np.float32) / size
        boxes = np.full((frames, 5), np.nan, np.float32)
        boxes[chosen.frame.to_numpy(int)] = chosen[[*BOX, "score"]]
        crowd = int(seen[~seen.window.isin(chosen.window)].frame.nunique())
        return Choice(tracks, share, boxes, self.with_face, len(chosen), crowd, self.tracks.count)


def prominence(boxes: Boxes, size: tuple[int, int]) -> Float32[np.ndarray, " n"]:
    """How large and how central faces are, from 0 to 1; equation above."""
    half = np.array(size[::-1], np.float32) / 2
    off_centre = (boxes[:, :2] + boxes[:, 2:]) / 2 / half - 1
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.sqrt(areas / (4 * half.prod())) / (1 + (off_centre**2).sum(axis=1))


def name_persons(seen: pd.DataFrame) -> pd.DataFrame:
    """Adds a column `person`: the number of the most prominent track in the same place."""
    by_track = seen.groupby("track")
    boxes, views = by_track[BOX].median().to_numpy(), by_track.view.first().to_numpy()
    weights, tracks = by_track.prominence.sum().to_numpy(), np.array(list(by_track.groups), int)
    frames = by_track.frame.agg(set).tolist()
    shown: dict[int, set[int]] = {}  # row of a person's main track -> frames with the person
    person_of = {}
    for row in np.argsort(-weights, kind="stable").tolist():
        known = np.array(list(shown), int)
        overlap = overlaps(boxes[[row]], boxes[known])[0]
        near = known[(overlap >= LEAST_IOU) & (views[known] == views[row])].tolist()
        person = next((other for other in near if not shown[other] & frames[row]), row)
        shown.setdefault(person, set()).update(frames[row])
        person_of[tracks[row]] = tracks[person]
    return seen.assign(person=seen.track.map(person_of).astype(int))


def choose_persons(seen: pd.DataFrame, least: int) -> pd.DataFrame:
    """The chosen rows `window`, `track`; of equal persons, the one whose track started first."""
    seen = seen[seen.groupby("person").frame.transform("size") >= least]
    weight = seen.groupby("person").prominence.sum()
    if weight.empty:
        return seen[["window", "track"]]
    side = np.maximum(seen.x1 - seen.x0, seen.y1 - seen.y0)
    seen = seen.assign(side=side, weight=seen.person.map(weight))
    interviewee = seen.person == weight.idxmax()
    shown = seen.groupby(["window", "person"], as_index=False)
    shown = shown.agg({"side": "median", "part": "mean", "weight": "first"})
    large = shown.side >= SMALLEST * seen.side[interviewee].median()
    fits = (shown.person == weight.idxmax()) | (large & (shown.part >= ALONE))
    shown = shown[fits].sort_values("weight", ascending=False, kind="stable")
    chosen = shown.drop_duplicates("window")[["window", "person"]]
    return seen.merge(chosen)[["window", "track"]].drop_duplicates()

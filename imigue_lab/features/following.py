"""Which camera view a frame is of, so that a cut is seen and a view that comes back is known.

Faces of successive frames joined to tracks by overlap.

Letters in shapes: n, m boxes.

Whose face it is: the interviewee among all faces of a video, chosen after its last frame.

**While frames come**, the faces of a camera view (`camera.py`) are joined to tracks by overlap
(`tracking.py`); a cut ends all tracks. Each face has a prominence,

    p = √(share of the picture) / (1 + d²)        d: distance to the centre, in half sides

so a face in a corner counts a third of one in the middle. A face with at least `RIVAL` of the
frame's greatest p is a candidate, three at most: only these need encoding, usually one a frame.

**At the end**, tracks that lie in one place of one view (overlap of their median boxes) and share
no frame are taken for one person, who was lost and found again. The person of the greatest sum of p
over the whole video is the interviewee. The face of a window is

1. the interviewee's, if it is there: whoever else is in the picture;
2. else, since cameras change, that of the person with the greatest sum who dominates the picture
   (at least half of the p of all its faces) and is not much smaller than the interviewee;
3. else nobody's: who is seen is the audience.

Who is seen in fewer than `BRIEFEST` frames of the whole video, three windows, or in less than a
third of a video shorter than nine windows, is a passer-by or a false detection and never taken.
Nothing is compared but places and sizes: someone else who fills the picture alone for longer is
taken for the interviewee.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32

from imigue_lab.data.videos.video import Frame, plan_windows
from imigue_lab.features.detectors import Boxes, Faces

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
    """`ROWS` x `COLUMNS` places with mean 0 and norm 1; all 0 for a blank frame.

    Green stands for grey: it carries most of the brightness.
    """
    height, width = frame.shape[:2]
    rows = (np.arange(ROWS) * 2 + 1) * height // (2 * ROWS)
    columns = (np.arange(COLUMNS) * 2 + 1) * width // (2 * COLUMNS)
    grey = frame[rows[:, None], columns, 1].ravel().astype(np.float32)
    grey -= grey.mean()
    return grey / max(float(np.linalg.norm(grey)), 1e-6)


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


RIVAL, MOST = 0.7, 3  # least prominence beside the greatest; candidates of a frame
ALONE = 0.5  # least part of the prominence of all faces
SMALLEST = 0.4  # least side beside the interviewee's
BRIEFEST, SHARE = 48, 3  # frames of a person, at least; or that part of a shorter video
RULE = (
    f"shots {SAME_SHOT} views {SAME_VIEW}, tracks IoU {LEAST} gap {PATIENCE},"
    f" candidates {RIVAL} of {MOST}, alone {ALONE}, side {SMALLEST}, {BRIEFEST} frames or 1/{SHARE}"
)
BOX = ["x0", "y0", "x1", "y1"]


class Candidate(NamedTuple):
    """A face that may be the interviewee's: its track, and its place in the frame's `Faces`."""

    track: int
    face: int


class Sighting(NamedTuple):
    """A candidate as it is remembered; `part` is its part of the frame's whole prominence."""

    frame: int
    view: int
    track: int
    prominence: float
    part: float
    x0: float
    y0: float
    x1: float
    y1: float
    score: float


class Choice(NamedTuple):
    """Whose face each window takes.

    Attributes:
        tracks: the tracks of each window's face, no two in one frame; empty: no face.
        face_share: share of each window that shows it; a frame that is repeated counts as often.
        boxes: x0, y0, x1, y1 and score of the chosen face of each frame; NaN where there is none.
        with_face: frames in which any face was found.
        chosen: frames with a chosen face.
        audience: frames of windows without a face whose faces were dismissed.
        seen_tracks: tracks of all faces.
    """

    tracks: list[list[int]]
    face_share: Float32[np.ndarray, " T"]
    boxes: Float32[np.ndarray, "frames 5"]
    with_face: int
    chosen: int
    audience: int
    seen_tracks: int


class Follower:
    """Takes the faces of a video frame by frame, and chooses at the end.

    It remembers numbers of candidates, some 300 bytes each, and no pixels.
    """

    def __init__(self) -> None:
        self.views = Views()
        self.view = 0
        self.tracker = Tracker()
        self.sightings: list[Sighting] = []
        self.with_face = 0

    def take(self, number: int, frame: Frame, faces: Faces) -> list[Candidate]:
        """Those of a frame's faces that must be encoded, the most prominent first.

        Args:
            number: of the frame, rising from call to call.
        """
        if (view := self.views.of(frame)) != self.view:
            self.tracker.end()
        self.view = view
        p = prominence(faces.boxes, frame.shape[:2])
        order = np.lexsort((faces.boxes[:, 0], -p))  # of two equal ones the left is first
        tracks = self.tracker.follow(number, faces.boxes[order])
        self.with_face += len(p) > 0
        candidates = []
        for face, track in list(zip(order.tolist(), tracks, strict=True))[:MOST]:
            if p[face] >= RIVAL * p.max():
                x0, y0, x1, y1 = faces.boxes[face].tolist()
                part, score = float(p[face] / p.sum()), float(faces.scores[face])
                seen = Sighting(number, view, track, float(p[face]), part, x0, y0, x1, y1, score)
                self.sightings.append(seen)
                candidates.append(Candidate(track, face))
        return candidates

    def choose(self, frames: int, size: int = 16, least: int | None = None) -> Choice:
        """The face of each window of `plan_windows`.

        Args:
            frames: of the video.
            size: of a window, in frames.
            least: frames in which a person must be seen; None is the rule above.
        """
        windows = plan_windows(frames, size).windows
        seen = pd.DataFrame(self.sightings, columns=Sighting._fields)
        seen["window"] = seen.frame // size
        seen = seen[seen.window < windows]
        least = min(BRIEFEST, frames // SHARE) if least is None else least
        chosen = seen.merge(choose_persons(name_persons(seen), least), on=["window", "track"])
        tracks: list[list[int]] = [[] for _ in range(windows)]
        for window, part in chosen.groupby("window"):
            tracks[int(window)] = sorted(set(part.track.tolist()))
        share = np.zeros(windows, np.float32)
        times = [times_shown(int(frame), frames, size) for frame in chosen.frame]
        np.add.at(share, chosen.window.to_numpy(int), np.array(times, np.float32) / size)
        boxes = np.full((frames, 5), np.nan, np.float32)
        boxes[chosen.frame.to_numpy(int)] = chosen[[*BOX, "score"]]
        dismissed = seen[~seen.window.isin(chosen.window)].frame.nunique()
        counts = self.with_face, len(chosen), int(dismissed), self.tracker.tracks
        return Choice(tracks, share, boxes, *counts)


def prominence(boxes: Boxes, size: tuple[int, int]) -> Float32[np.ndarray, " n"]:
    """How large and how central faces are, in 0..1; equation above."""
    half = np.array(size[::-1], np.float32) / 2
    off_centre = (boxes[:, :2] + boxes[:, 2:]) / 2 / half - 1
    return np.sqrt(areas(boxes) / (4 * half.prod())) / (1 + (off_centre**2).sum(axis=1))


def times_shown(frame: int, frames: int, size: int = 16) -> int:
    """How many places of its window a frame fills: 1, or what a short last window repeats.

    An embedding counts so often in the window's mean; 0 is a last frame that is in no window.
    """
    missing = plan_windows(frames, size).windows * size - frames
    if missing >= 0:
        return 1 + missing * (frame == frames - 1)
    return int(frame < frames + missing)


def name_persons(seen: pd.DataFrame) -> pd.DataFrame:
    """Adds a column `person`: the number of the heaviest track in the same place."""
    by_track = seen.groupby("track")
    boxes, views = by_track[BOX].median().to_numpy(), by_track.view.first().to_numpy()
    weights, tracks = by_track.prominence.sum().to_numpy(), np.array(list(by_track.groups), int)
    frames = by_track.frame.agg(set).tolist()
    shown: dict[int, set[int]] = {}  # row of a person's heaviest track -> frames with the person
    person_of = {}
    for row in np.argsort(-weights, kind="stable").tolist():
        known = np.array(list(shown), int)
        overlap = overlaps(boxes[[row]], boxes[known])[0]
        near = known[(overlap >= LEAST) & (views[known] == views[row])].tolist()
        person = next((other for other in near if not shown[other] & frames[row]), row)
        shown.setdefault(person, set()).update(frames[row])
        person_of[tracks[row]] = tracks[person]
    return seen.assign(person=seen.track.map(person_of).astype(int))


def choose_persons(seen: pd.DataFrame, least: int) -> pd.DataFrame:
    """The rows `window`, `track` that are taken; equal persons: the one whose track came first.

    Args:
        least: frames that a person must be seen in.
    """
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
    taken = shown.drop_duplicates("window")[["window", "person"]]
    return seen.merge(taken)[["window", "track"]].drop_duplicates()

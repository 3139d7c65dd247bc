"""Feature streams: context and face of each window of a video, the token map of a clip, and the
interviewee's keypoints in every frame.

Faces choose the person as in `tracking.py`, from all frames: each candidate's body is followed, and
after the last frame the interviewee's is kept.

Letters in shapes: T windows, D width, t h w places of a clip's token map.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from imigue_lab.data.store import Encoding, Features
from imigue_lab.data.videos.video import Frame, Frames, plan_windows
from imigue_lab.features.alignment import crop_rule, face_crop
from imigue_lab.features.detectors import FaceDetector
from imigue_lab.features.encoders import ExpressionEncoder, FaceEncoder, FrameEncoder, VideoEncoder
from imigue_lab.features.flow import Batches
from imigue_lab.features.landmarks import LAYOUT, Networks, Person
from imigue_lab.features.tracking import BRIEFEST, MOST, RULE, SHARE, FaceTracker

Facts = dict[str, object]
FaceModel = FaceEncoder | ExpressionEncoder


class Window(NamedTuple):
    """16 frames of one file."""

    number: int  # from 0 in the item
    frames: Frames
    indices: list[int]  # frame numbers in the file; a short window repeats its last one


@runtime_checkable
class Collector(Protocol):
    """Collects the features of one item, window by window."""

    waiting: int  # results that have not arrived yet

    def add(self, window: Window) -> None:
        """Passes a window to the network; its result arrives with a later batch."""

    def features(self) -> tuple[Features, Facts]:
        """The arrays, and facts for the manifest; call it when no result is waiting."""


@runtime_checkable
class Stream(Protocol):
    """One kind of features: an encoder and the kind of item that it encodes."""

    encoding: Encoding
    batches: Batches
    # An item is a whole video, in windows or to its last frame, or one gesture clip.
    unit: Literal["video", "frames", "clip"]
    bytes_a_window: int  # approximate size of the stored arrays

    def start(self, frames: int) -> Collector:
        """Starts an item of a file of `frames` frames."""


@dataclass
class Rows:
    """Collects one vector, or one map, a window."""

    stream: "ContextStream | ClipStream"
    name: str
    facts: Facts
    rows: dict[int, np.ndarray] = field(default_factory=dict)
    waiting: int = 0

    def add(self, window: Window) -> None:
        self.waiting += 1
        example = self.stream.encoder.prepare(window.frames)
        self.stream.batches.put(example, partial(self.receive, window.number))

    def receive(self, number: int, row: np.ndarray) -> None:
        self.rows[number] = row.astype(np.float16)
        self.waiting -= 1

    def features(self) -> tuple[Features, Facts]:
        rows = [self.rows[number] for number in range(len(self.rows))]
        return {self.name: rows[0] if self.name == "rgb" else np.stack(rows)}, self.facts


class ContextStream:
    """`context (T, D)`: the vector of each window of 16 frames, for MViTv2 its class token."""

    unit: Literal["video", "frames", "clip"] = "video"

    def __init__(self, encoder: VideoEncoder | FrameEncoder, name: str, batch: int):
        self.encoder = encoder
        self.batches = Batches(encoder.pooled, batch)
        self.encoding = Encoding(name, f"{encoder.output}; {encoder.recipe}", encoder.note)
        self.bytes_a_window = 2 * encoder.model.dim

    def start(self, frames: int) -> Collector:
        return Rows(self, "context", window_facts(frames))


class ClipStream:
    """`rgb (T', h, w, D)`: MViTv2's token of each place of a gesture clip.

    The 16 frames are the centres of equal segments of the clip. `grid` 0 keeps the encoder's token
    map, 1 stores its mean over places, (T', 1, 1, D).
    """

    unit: Literal["video", "frames", "clip"] = "clip"

    def __init__(self, encoder: VideoEncoder, name: str, batch: int, grid: int):
        self.encoder = encoder
        self.grid = grid
        self.batches = Batches(self.places, batch)
        what = "tokens of all places" if grid == 0 else "mean token of each time"
        self.encoding = Encoding(name, f"{what}; {encoder.recipe}", encoder.note)
        times, height, width = encoder.model.grid
        places = times if grid else times * height * width
        self.bytes_a_window = 2 * encoder.model.dim * places

    def places(self, clips: UInt8[Tensor, "B 3 16 S S"]) -> Float[Tensor, "B t h w D"]:
        tokens = self.encoder.places(clips)
        return tokens.mean(dim=(2, 3), keepdim=True) if self.grid else tokens

    def start(self, frames: int) -> Collector:
        return Rows(self, "rgb", {})


class FaceStream:
    """`face (T, D)` and `face_share (T,)`: the interviewee's face, averaged over each window.

    A window without the interviewee's face is a row of zeros. Also stored, for the views:
    `face_boxes (frames, 5)`, the chosen face of each frame as x0, y0, x1, y1 in pixels and score,
    NaN where there is none. Faces are detected in `threads` frames of a window at the same time.
    """

    unit: Literal["video", "frames", "clip"] = "video"

    def __init__(
        self, encoder: FaceModel, detector: FaceDetector, name: str, batch: int, threads: int
    ):
        self.encoder = encoder
        self.detector = detector
        self.batches = Batches(encoder.embed, batch)
        self.pool = ThreadPoolExecutor(threads)
        crop = crop_rule(detector.has_points, encoder.side, encoder.margin)
        recipe = f"{encoder.recipe}; {detector.recipe}; {crop}; {RULE}"
        self.encoding = Encoding(name, recipe, encoder.note)
        self.bytes_a_window = 2 * encoder.dim + 4 + 16 * 5 * 4

    def start(self, frames: int) -> Collector:
        return TrackedFace(self, frames)


@dataclass
class TrackedFace:
    """Sums face embeddings by window and track; the track is chosen after the last window."""

    stream: FaceStream
    frames: int
    tracker: FaceTracker = field(default_factory=FaceTracker)
    sums: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)
    counts: Counter[tuple[int, int]] = field(default_factory=Counter)
    waiting: int = 0

    def add(self, window: Window) -> None:
        repeats = Counter(window.indices)  # a short last window repeats its last frame
        pictures = dict(zip(window.indices, window.frames, strict=True))
        found = self.stream.pool.map(self.stream.detector, pictures.values())
        for (frame, picture), faces in zip(pictures.items(), found, strict=True):
            for track, face in self.tracker.add(frame, picture, faces):
                encoder = self.stream.encoder
                crop = face_crop(picture, faces, face, encoder.side, encoder.margin)
                self.waiting += 1
                receive = partial(self.receive, (window.number, track), repeats[frame])
                self.stream.batches.put(torch.from_numpy(crop.transpose(2, 0, 1).copy()), receive)

    def receive(self, key: tuple[int, int], times: int, embedding: np.ndarray) -> None:
        self.waiting -= 1
        if not np.isnan(embedding).any():
            self.sums[key] = self.sums.get(key, 0) + times * embedding
            self.counts[key] += times

    def features(self) -> tuple[Features, Facts]:
        choice = self.tracker.choose(self.frames)
        face = np.zeros((len(choice.tracks), self.stream.encoder.dim), np.float16)
        for window, tracks in enumerate(choice.tracks):
            if count := sum(self.counts[window, track] for track in tracks):
                face[window] = sum(self.sums.get((window, track), 0) for track in tracks) / count
        arrays = {"face": face, "face_share": choice.face_share, "face_boxes": choice.boxes}
        facts = window_facts(self.frames) | {
            "windows_with_face": sum(map(bool, choice.tracks)),
            "frames_with_face": choice.with_face,
            "frames_chosen": choice.chosen,
            "frames_of_audience": choice.audience,
            "tracks": choice.seen_tracks,
        }
        return arrays, facts


def window_facts(frames: int) -> Facts:
    """Facts for the manifest: frames, windows, and frames in no window."""
    windows, dropped = plan_windows(frames)
    return {"frames": frames, "windows": windows, "frames_dropped": dropped}


class KeypointStream:
    """`keypoints (frames, 65, 3)` in `mediapipe65`: x, y in pixels and score, 0 if missing."""

    unit: Literal["video", "frames", "clip"] = "frames"
    bytes_a_window = 16 * len(LAYOUT.joints) * 3 * 4

    def __init__(self, detector: FaceDetector, name: str):
        self.detector = detector
        self.networks = Networks()
        self.batches = Batches(lambda examples: examples, 1)
        recipe = f"{self.networks.recipe}; faces of {detector.recipe}; {RULE}"
        self.encoding = Encoding(name, recipe)

    def start(self, frames: int) -> Collector:
        return Followed(self, frames)


@dataclass
class Followed:
    """The bodies of the candidates of one video, and which track of faces each belongs to."""

    stream: KeypointStream
    frames: int
    tracker: FaceTracker = field(default_factory=FaceTracker)
    live: list[int] = field(default_factory=list)  # indices of the persons who are followed
    persons: list[Person] = field(default_factory=list)
    poses: list[dict[int, np.ndarray]] = field(default_factory=list)  # of each person, by frame
    person_of: dict[int, int] = field(default_factory=dict)  # track -> index
    waiting: int = 0

    def add(self, window: Window) -> None:
        for number, frame in zip(window.indices, window.frames, strict=True):
            self.see(number, frame)

    def see(self, number: int, frame: Frame) -> None:
        """Follows all candidates into the next frame."""
        boxes: dict[int, np.ndarray] = {}  # of the faces of persons in this frame
        picture = Image.fromarray(frame)
        faces, view = self.stream.detector(frame), self.tracker.view
        candidates = self.tracker.add(number, frame, faces)
        if self.tracker.view != view:  # a cut
            self.live = []
        for track, face in candidates:
            box = faces.boxes[face].astype(np.float64)
            boxes[self.person(track, box)] = box
        self.live = [*boxes, *(person for person in self.live if person not in boxes)][:MOST]
        for person in list(self.live):
            pose = self.persons[person].see(picture, boxes.get(person))
            if pose is not None:
                self.poses[person][number] = pose
            elif person not in boxes:
                self.live.remove(person)

    def person(self, track: int, box: np.ndarray) -> int:
        """The person of a track of faces; a new track may be of a person who is followed."""
        if track not in self.person_of:
            x0, y0, x1, y1 = box
            noses = ((person, self.persons[person].nose) for person in self.live)
            same = (p for p, at in noses if x0 <= at.real <= x1 and y0 <= at.imag <= y1)
            self.person_of[track] = known = next(same, len(self.persons))
            if known == len(self.persons):
                self.persons.append(Person(self.stream.networks))
                self.poses.append({})
        return self.person_of[track]

    def features(self) -> tuple[Features, Facts]:
        """In a window without a face the body of the last chosen one is still followed."""
        keypoints = np.zeros((self.frames, len(LAYOUT.joints), 3), np.float32)
        least = min(BRIEFEST, self.frames // SHARE)
        tracks = self.tracker.choose(16 * -(-self.frames // 16), least=least).tracks
        last: list[int] = []
        for frame in range(self.frames):
            chosen = [self.person_of[track] for track in tracks[frame // 16]]
            for person in [*chosen, *last]:
                if (pose := self.poses[person].get(frame)) is not None:
                    keypoints[frame], last = pose, [person]
                    break
        found = (keypoints[..., 2] > 0).any(axis=1)
        facts = window_facts(self.frames) | {"layout": LAYOUT.name}
        return {"keypoints": keypoints}, facts | {"frames_with_body": int(found.sum())}

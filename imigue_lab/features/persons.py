"""The interviewee's keypoints in every frame: a stream of features, and for a user's video.

Faces choose the person as in `tracking.py`, from all frames: each candidate's body is followed, and
after the last frame the interviewee's is kept.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image

from imigue_lab.data.store import Encoding, Features
from imigue_lab.data.videos.video import Frame
from imigue_lab.features.detectors import FaceDetector
from imigue_lab.features.flow import Batches
from imigue_lab.features.landmarks import LAYOUT, Networks, Person
from imigue_lab.features.streams import Collector, Facts, Window, window_facts
from imigue_lab.features.tracking import BRIEFEST, MOST, RULE, SHARE, FaceTracker


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
            noses = {person: self.persons[person].nose for person in self.live}
            x0, y0, x1, y1 = box
            same = [p for p, at in noses.items() if x0 <= at.real <= x1 and y0 <= at.imag <= y1]
            known = same[0] if same else len(self.persons)
            if not same:
                self.persons.append(Person(self.stream.networks))
                self.poses.append({})
            self.person_of[track] = known
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

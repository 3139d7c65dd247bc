"""A skeleton as views draw it: points in the picture, bones between them, and colours by side.

Letters in shapes: M persons, T frames, V joints, C channels, P = M x V points.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from einops import rearrange
from jaxtyping import Float, Float32

from imigue_lab.data.keypoint_files.clips import read_file, upper_body
from imigue_lab.data.keypoint_files.tables import Recording
from imigue_lab.data.skeletons.geometry import present
from imigue_lab.errors import DataError
from imigue_lab.views.clips import side_colour
from imigue_lab.views.player.lanes import Moment

MARGIN = 0.08  # around a skeleton that plays alone, of its larger side
Places = Float32[np.ndarray, "T P 2"]


@dataclass(frozen=True)
class Skeleton:
    """Where the joints are, x to the right and y down; NaN where one was not found.

    Attributes:
        first: frame of the video that `places` begin with.
        joints: name of each point.
        bones: index pairs into the points.
        in_space: the places come from a camera of depth and are not pixels of a picture.
    """

    places: Places
    first: int
    joints: list[str]
    bones: list[tuple[int, int]]
    in_space: bool = False

    @property
    def last(self) -> int:
        return self.first + len(self.places) - 1

    @property
    def colours(self) -> list[str]:
        return [side_colour(joint) for joint in self.joints]

    def at(self, frame: int) -> Float32[np.ndarray, "P 2"]:
        """The points of a frame; all NaN outside."""
        if self.first <= frame <= self.last:
            return self.places[frame - self.first]
        return np.full((len(self.joints), 2), np.nan, np.float32)

    def framed(self) -> tuple["Skeleton", tuple[int, int]]:
        """Moved into a picture of its own, and that picture's width and height."""
        found = self.places[~np.isnan(self.places).any(axis=2)]
        if not len(found):
            return self, (4, 3)
        low, high = found.min(axis=0), found.max(axis=0)
        scale = 100 / max(float((high - low).max()), 1e-6)
        margin = 100 * MARGIN
        moved = ((self.places - low) * scale + margin).astype(np.float32)
        width, height = (int(side) for side in np.ceil((high - low) * scale + 2 * margin))
        return Skeleton(moved, self.first, self.joints, self.bones, self.in_space), (width, height)


def read_skeleton(moment: Moment) -> Skeleton:
    """The keypoints of the moment's clip where it has a file of its own, else of its video.

    Raises:
        DataError: there are none, or they cannot be used.
    """
    clip, video = moment.clip, moment.video
    if clip is not None and clip.keypoints is not None:
        return skeleton_of(read_upper_body(clip.keypoints), int(clip.start))
    if video.keypoints is None:
        clips = moment.index.clips
        of_clips = clips.keypoints[clips.video_id == moment.video_id].notna().any()
        where = "keypoints lie clip by clip: choose one" if of_clips else "no keypoints lie here"
        raise DataError(f"video {moment.video_id}: {where}")
    return skeleton_of(read_upper_body(video.keypoints), 0)


def read_upper_body(path: Path) -> Recording:
    return upper_body(read_file(path))


def skeleton_of(recording: Recording, first: int = 0) -> Skeleton:
    """Points of all persons; in space, y points up and is turned round."""
    layout = recording.layout
    persons, joints = recording.skeleton.shape[0], len(layout.joints)
    bones = [
        (person * joints + parent, person * joints + child)
        for person in range(persons)
        for parent, child in layout.bones
    ]
    places = joint_places(recording).astype(np.float32)
    if layout.axes == 3:
        places = places * np.array([1, -1], np.float32)
    return Skeleton(places, first, list(layout.joints) * persons, bones, layout.axes == 3)


def joint_places(recording: Recording) -> Float[np.ndarray, "T P 2"]:
    """x and y of every joint of every person; NaN where it was not found."""
    seen = present(recording.skeleton, recording.layout.axes)[..., None]
    places = np.where(seen, recording.skeleton[..., :2], np.nan)
    return rearrange(places, "m t v c -> t (m v) c")

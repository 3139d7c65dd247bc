"""A skeleton as views draw it: points in the picture, bones between them, colours by body side.

Letters in shapes: M persons, T frames, V joints, C channels, P = M x V points.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from einops import rearrange
from jaxtyping import Float32
from PIL import Image, ImageDraw

from imigue_lab.data.keypoint_files.clips import read_file, upper_body
from imigue_lab.data.keypoint_files.tables import Recording
from imigue_lab.data.skeletons.geometry import present
from imigue_lab.errors import DataError
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL

MARGIN = 0.08  # around a skeleton that is drawn without a video, as a share of its longer side
Places = Float32[np.ndarray, "T P 2"]


def side_colour(joint: str) -> str:
    """Right and left joints differ in colour, so that swapped hands are visible."""
    return FACE if joint.startswith("right_") else CONTEXT if joint.startswith("left_") else NEUTRAL


@dataclass(frozen=True)
class Skeleton:
    """Coordinates of the joints of all persons; NaN where a joint was not detected.

    Attributes:
        places: x to the right and y down in pixels; of depth cameras in metres and y up.
        first: frame number in the video of `places[0]`.
        joints: name of each point.
        bones: index pairs into the points.
        in_space: from a depth camera: the coordinates are not pixels of a picture.
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
        """The points of a frame of the video; all NaN outside `first` to `last`."""
        if self.first <= frame <= self.last:
            return self.places[frame - self.first]
        return np.full((len(self.joints), 2), np.nan, np.float32)

    def lines(self, frame: int) -> Iterator[tuple[str, Float32[np.ndarray, "2 2"]]]:
        """Colour and ends of each bone of a frame whose joints were both detected."""
        points = self.at(frame)
        for parent, child in self.bones:
            ends = points[[parent, child]]
            if not np.isnan(ends).any():
                yield side_colour(self.joints[child]), ends

    def draw(self, picture: Image.Image, frame: int, scale: float) -> None:
        """Draws a frame's bones and joints on a picture; `player.js` does the same on its canvas.

        Args:
            scale: pixels of this picture per pixel of the video.
        """
        pen = ImageDraw.Draw(picture)
        for colour, ends in self.lines(frame):
            pen.line([tuple(end) for end in (ends * scale).tolist()], fill=colour, width=2)
        for point, colour in zip(self.at(frame) * scale, self.colours, strict=True):
            if not np.isnan(point).any():
                pen.circle(tuple(point.tolist()), 3, fill=colour)

    def framed(self) -> tuple["Skeleton", tuple[int, int]]:
        """Moved into an empty picture, y pointing down, and the width and height of that."""
        places = self.places * np.array([1, -1 if self.in_space else 1], np.float32)
        detected = places[~np.isnan(places).any(axis=2)]
        if not len(detected):
            return self, (4, 3)
        low, high = detected.min(axis=0), detected.max(axis=0)
        scale = 100 / max(float((high - low).max()), 1e-6)
        margin = 100 * MARGIN
        moved = ((places - low) * scale + margin).astype(np.float32)
        width, height = (int(side) for side in np.ceil((high - low) * scale + 2 * margin))
        return replace(self, places=moved, in_space=False), (width, height)


def read_skeleton(moment: Moment) -> Skeleton:
    """The keypoints of the moment's clip if it has its own file, else of its video.

    Raises:
        DataError: there are none, or they cannot be used.
    """
    clip, video = moment.clip, moment.video
    if clip is not None and clip.keypoints is not None:
        return skeleton_of(upper_body(read_file(clip.keypoints)), int(clip.start))
    if video.keypoints is None:
        clips = moment.index.clips
        of_clips = clips.keypoints[clips.video_id == moment.video_id].notna().any()
        why = "keypoints are stored by clip; choose a clip" if of_clips else "no keypoints found"
        raise DataError(f"video {moment.video_id}: {why}")
    return skeleton_of(upper_body(read_file(video.keypoints)))


def skeleton_of(recording: Recording, first: int = 0) -> Skeleton:
    """The points of all persons, one person after the other.

    Args:
        first: frame number in the video of the recording's first frame.
    """
    layout = recording.layout
    persons, joints = recording.skeleton.shape[0], len(layout.joints)
    bones = [
        (person * joints + parent, person * joints + child)
        for person in range(persons)
        for parent, child in layout.bones
    ]
    seen = present(recording.skeleton, layout.axes)[..., None]
    places = rearrange(
        np.where(seen, recording.skeleton[..., :2], np.nan), "m t v c -> t (m v) c"
    ).astype(np.float32)
    return Skeleton(places, first, list(layout.joints) * persons, bones, layout.axes == 3)

"""Video files by PyAV: what a file says of itself, and writing frames as H.264."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

from imigue_lab.errors import DataError

Frame = UInt8[np.ndarray, "height width 3"]  # RGB


@dataclass(frozen=True)
class VideoInfo:
    """What a container says: frames a second, picture size in pixels, number of frames."""

    fps: float
    width: int
    height: int
    frames: int


def probe(path: Path) -> VideoInfo:
    """Reads the header only; nothing is decoded.

    Raises:
        DataError: the file is not a video, or is cut off.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or Fraction(0)
            return VideoInfo(float(rate), stream.width, stream.height, stream.frames)
    except (av.FFmpegError, IndexError) as error:
        raise DataError(f"{path}: not a readable video ({error}); copy it again") from error


def write_video(path: Path, frames: Iterable[Frame], fps: int) -> None:
    """Writes RGB frames as H.264 in an mp4; sides must be even."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(frames):
            if number == 0:
                stream.height, stream.width = picture.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())

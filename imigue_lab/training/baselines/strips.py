"""Decodes the frames that video networks need, once, into JPEG strips in the workspace.

A strip contains the centre frames of equal segments of a clip, as squares of side S, in 4:4:4 and
quality 95. Its name contains a digest of its source, so a changed source gives a new strip.
"""

from pathlib import Path

import pandas as pd
from einops import rearrange
from PIL import Image
from tqdm import tqdm

from imigue_lab.data.index import Index
from imigue_lab.data.skeletons.cropping import SHORTER
from imigue_lab.data.videos.video import Frames, Video, segment_centres
from imigue_lab.data.workspace import atomic_path, locked, short_hash, workspace
from imigue_lab.errors import DataError, some
from imigue_lab.training.baselines.pictures import ClipPictures

QUALITY = 95
BYTES_A_PIXEL = 0.5e-9  # of a strip, in GB

Range = tuple[int, int] | None  # first and last frame; None is the whole file


def open_pictures(
    index: Index, clips: pd.DataFrame, segments: int, beside: int, crop: int
) -> ClipPictures:
    """The strips of clips, created if absent; clips without a video are left out and named.

    Args:
        segments: number of equal segments of a clip; their centre frames are used.
        beside: further frames before and after each centre, within the clip.
        crop: side of what the network sees.

    Raises:
        DataError: a video cannot be read, or a clip runs past its end.
    """
    whole = index.videos.set_index("video_id").video
    alone = clips.video.notna()
    source = clips.video.where(alone, clips.video_id.map(whole))
    without = clips.clip_id[source.isna()].tolist()
    lacking = {"train", "validation"} - set(clips.split[source.notna()])
    if lacking:
        raise DataError(
            f"{index.root}: no video of the clips of {' and '.join(sorted(lacking))}; copy them,"
            " see `check`"
        )
    notes = [f"{len(without)} clips have no picture and are left out: {some(without)}"]
    side = round(crop * SHORTER)
    folder = workspace() / "pictures" / index.key
    clips, source = clips[source.notna()], source[source.notna()]
    strips: list[Path] = []
    made_of: list[str] = []
    wanted: dict[Path, dict[Path, Range]] = {}
    for clip, path in zip(clips.itertuples(), source, strict=True):
        span = None if clip.video is not None else (clip.start, clip.end)
        kept = path.stat()
        made_of.append(short_hash(path.name, kept.st_size, span, segments, beside, side))
        strips.append(folder / f"{clip.clip_id}-{short_hash(made_of[-1], kept.st_mtime_ns)}.jpg")
        wanted.setdefault(path, {})[strips[-1]] = span
    make_strips(wanted, folder, segments, beside, side)
    table = clips[["clip_id", "split", "subject", "label"]].assign(strip=strips, made_of=made_of)
    return ClipPictures(table, side, notes if without else [])


def make_strips(
    wanted: dict[Path, dict[Path, Range]], folder: Path, segments: int, beside: int, side: int
) -> None:
    """Creates absent strips, decoding each video once; prints their size first."""
    with locked(folder.with_suffix(".lock")):
        absent = {
            path: {strip: span for strip, span in strips.items() if not strip.exists()}
            for path, strips in wanted.items()
        }
        absent = {path: strips for path, strips in absent.items() if strips}
        clips = sum(len(strips) for strips in absent.values())
        if not clips:
            return
        frames = segments * (2 * beside + 1)
        size = clips * frames * side**2 * BYTES_A_PIXEL
        print(f"pictures of {clips} clips, {frames} frames of {side} px each: about {size:.1f} GB")
        for path, strips in tqdm(absent.items(), desc="pictures", unit="video", mininterval=1.0):
            with Video(path, short_side=side) as video:
                numbers = {
                    str(strip): frame_numbers(span or (0, len(video) - 1), segments, beside)
                    for strip, span in strips.items()
                }
                for strip, frames_of_clip in video.clips(numbers):
                    write_strip(Path(strip), frames_of_clip, side)


def frame_numbers(span: tuple[int, int], segments: int, beside: int) -> list[int]:
    """The centres of equal segments, each with its neighbours within the clip."""
    start, end = span
    return [
        min(max(centre + step, start), end)
        for centre in segment_centres(start, end, segments)
        for step in range(-beside, beside + 1)
    ]


def write_strip(path: Path, frames: Frames, side: int) -> None:
    """The central square of each frame, stacked vertically."""
    top, left = ((length - side) // 2 for length in frames.shape[1:3])
    square = frames[:, top : top + side, left : left + side]
    with atomic_path(path) as temporary:
        strip = Image.fromarray(rearrange(square, "t h w c -> (t h) w c"))
        strip.save(temporary, "jpeg", quality=QUALITY, subsampling=0)

"""Whose face was taken: one sheet to look over a whole video."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from imigue_lab.data.index import Index
from imigue_lab.data.store import EncoderStore
from imigue_lab.data.video import Video, probe
from imigue_lab.features.alignment import square

TILE, CAPTION = 112, 14  # pixels of a picture, and of the line below it
DIM = 0.45  # brightness of a picture without a chosen face


def chosen_faces(
    index: Index, stores: Sequence[EncoderStore], video_id: str = ""
) -> Image.Image | None:
    """The sheet of one video whose faces were extracted; by default the first that has a face.

    Returns:
        None where no face was extracted, or found.
    """
    files = index.videos.set_index("video_id").video
    for store in stores:
        for video in [video_id] if video_id else files.index:
            if store.path(video).exists():
                boxes = store.read(video).get("face_boxes", np.empty((0, 5), np.float32))
                if np.isfinite(boxes).any():
                    print(f"{video}: the face that {store.encoding.name} was given")
                    return contact_sheet(files[video], boxes, tiles=16)
    return None


def contact_sheet(
    path: Path, boxes: Float32[np.ndarray, "frames 5"], tiles: int = 48, columns: int = 8
) -> Image.Image:
    """Moments spread evenly over a video: the chosen face, or the whole picture, dimmed, where
    nobody is chosen; below it the time in seconds and the detector's score.

    Args:
        boxes: `Choice.boxes` of this video.

    Raises:
        DataError: the video, or one of the frames shown, cannot be read.
    """
    fps = probe(path).fps
    moments = np.unique(np.linspace(0, len(boxes) - 1, min(tiles, len(boxes))).round().astype(int))
    height = -(-len(moments) // columns) * (TILE + CAPTION)
    sheet = Image.new("RGB", (columns * TILE, height), "white")
    pen = ImageDraw.Draw(sheet)
    with Video(path) as video:
        for tile, moment in enumerate(moments.tolist()):
            *box, score = boxes[moment].tolist()
            frame = video.frame(moment)
            when = f"{moment / fps:.2f} s" if fps else f"frame {moment}"
            if np.isnan(score):
                whole = ImageOps.pad(Image.fromarray(frame), (TILE, TILE))
                picture, caption = ImageEnhance.Brightness(whole).enhance(DIM), f"{when}  no face"
            else:
                face = square(frame, np.array(box, np.float32), TILE)
                picture, caption = Image.fromarray(face), f"{when}  {score:.2f}"
            left, top = tile % columns * TILE, tile // columns * (TILE + CAPTION)
            sheet.paste(picture, (left, top))
            pen.text((left + 3, top + TILE + 1), caption, fill="black")
    return sheet

"""Strips of frames and selected faces along an interview, and a contact sheet of faces."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float32
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from imigue_lab.data.index import Index
from imigue_lab.data.store import EncoderStore, OwnFeatures
from imigue_lab.data.videos.video import Frame, Video
from imigue_lab.errors import DataError
from imigue_lab.features.alignment import square
from imigue_lab.views.footage import Paint, as_source
from imigue_lab.views.player.lanes import WINDOW
from imigue_lab.views.style import FACE

SIDE = 96  # pixels of a picture in a strip
TILE, CAPTION = 112, 14  # pixels of a tile of the contact sheet, and of the line below it
DIM = 0.45  # brightness of a tile without a selected face


def outline(boxes: Float32[np.ndarray, "frames 5"], width: int) -> Paint:
    """Draws the stored face (`FaceStream`) on each frame; `width` is that of the full picture."""

    def paint(frame: int, picture: Frame) -> Frame:
        drawn = Image.fromarray(picture)
        if frame < len(boxes) and not np.isnan(boxes[frame]).any():
            box = boxes[frame, :4] * picture.shape[1] / width
            ImageDraw.Draw(drawn).rectangle(box.tolist(), outline=FACE)
        return np.asarray(drawn)

    return paint


class Strip(NamedTuple):
    """Pictures by the window whose middle frame they show; `absent` explains an empty strip."""

    title: str
    pictures: dict[int, Frame]
    absent: str = ""


def frame_strip(index: Index, video_id: str, windows: int, count: int = 12) -> Strip:
    """The middle frames of `count` windows spread over the interview."""
    path = index.videos.set_index("video_id").video.get(video_id)
    if path is None:
        return Strip("frames", {}, f"the video of {video_id} is not under this root")
    try:
        with Video(path, short_side=SIDE) as video:
            return Strip("frames", {w: video.frame(middle(w)) for w in spread(windows, count)})
    except DataError as error:
        return Strip("frames", {}, str(error))


def face_strip(
    index: Index, source: EncoderStore | OwnFeatures, video_id: str, windows: int, count: int = 12
) -> Strip:
    """The faces that the run's face encoder received, in the windows of `frame_strip`."""
    title = "the selected face"
    path = index.videos.set_index("video_id").video.get(video_id)
    boxes = source.read(video_id).get("face_boxes")
    if boxes is None:
        return Strip(title, {}, "these features contain no face boxes")
    if path is None:
        return Strip(title, {}, "no video")
    frames = {w: middle(w) for w in spread(windows, count) if middle(w) < len(boxes)}
    selected = {w: n for w, n in frames.items() if not np.isnan(boxes[n]).any()}
    try:
        with Video(path) as video:
            faces = {w: square(video.frame(n), boxes[n, :4], SIDE) for w, n in selected.items()}
            return Strip(title, faces)
    except DataError as error:
        return Strip(title, {}, str(error))


def middle(window: int) -> int:
    return window * WINDOW + WINDOW // 2 - 1


def spread(windows: int, count: int) -> list[int]:
    """At most `count` windows, evenly spaced."""
    step = -(-windows // count)
    return list(range(min(step // 2, windows - 1), windows, step))


def add_strip(strip: Strip, figure: go.Figure, row: int) -> None:
    """Adds the pictures to a subplot, each at its window."""
    x_axis, y_axis = (axis.plotly_name for axis in figure.get_subplot(row, 1))
    places = {"xref": x_axis.replace("axis", ""), "yref": y_axis.replace("axis", "")}
    between = np.diff(sorted(strip.pictures)).min() if len(strip.pictures) > 1 else 1
    places |= {"xanchor": "center", "yanchor": "middle", "sizex": int(between), "sizey": 1}
    for window, picture in strip.pictures.items():
        figure.add_layout_image(source=as_source(picture), x=window, y=0.5, **places)
    if not strip.pictures:
        sentence = strip.absent or "none in these windows"
        placed = {"x": 0, "xref": "x domain", "xanchor": "left", "y": 0.5}
        figure.add_annotation(text=sentence, showarrow=False, row=row, col=1, **placed)
    # plotly draws neither an axis without a trace nor its pictures.
    figure.add_scatter(x=[0], y=[0], opacity=0, hoverinfo="skip", showlegend=False, row=row, col=1)
    figure.update_yaxes(range=[0, 1], visible=False, row=row, col=1)


def chosen_faces(index: Index, stores: Sequence[EncoderStore]) -> Image.Image | None:
    """Contact sheet of the first video in which a face was selected.

    None where no face was extracted, or none was detected.
    """
    files = index.videos.set_index("video_id").video
    for store, video in product(stores, files.index):
        if store.path(video).exists():
            boxes = store.read(video).get("face_boxes", np.empty((0, 5), np.float32))
            if np.isfinite(boxes).any():
                print(f"{video}: the face that {store.encoding.name} received")
                return contact_sheet(files[video], boxes, tiles=16)
    return None


def contact_sheet(
    path: Path, boxes: Float32[np.ndarray, "frames 5"], tiles: int = 48, columns: int = 8
) -> Image.Image:
    """Frames spread evenly over a video: the selected face, or the whole picture, dimmed, where
    none was selected; below it the time in seconds and the detector's score.

    `boxes`: `Choice.boxes` of this video. Raises DataError where one of the frames cannot be read.
    """
    moments = np.unique(np.linspace(0, len(boxes) - 1, min(tiles, len(boxes))).round().astype(int))
    height = -(-len(moments) // columns) * (TILE + CAPTION)
    sheet = Image.new("RGB", (columns * TILE, height), "white")
    pen = ImageDraw.Draw(sheet)
    with Video(path) as video:
        for tile, moment in enumerate(moments.tolist()):
            *box, score = boxes[moment].tolist()
            frame = video.frame(moment)
            when = f"{video.table.seconds[moment]:.2f} s"
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

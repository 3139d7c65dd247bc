"""What the clips hold: how often each joint was found, and one picture of every class."""

import base64
import io
from textwrap import wrap
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from einops import reduce
from PIL import Image
from plotly.subplots import make_subplots

from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.clips import keypoint_files, read_file, upper_body
from imigue_lab.data.skeletons.geometry import present
from imigue_lab.data.videos.video import Frame, Video, segment_centres
from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.errors import DataError, some
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, notes_on, saying, styled

SHORT_SIDE = 144  # pixels of a picture in the montage
COLUMNS = 6
NAME_WIDTH = 24  # letters a line


def joint_shares(index: Index, split: str, limit: int) -> tuple[pd.DataFrame, list[str]]:
    """Share of frames in which each joint was found, a row a video and a column a joint.

    Args:
        limit: at most so many videos, spread evenly over the part; 0 takes all.

    Returns:
        The shares with a column `frames` in front, and a sentence for each file left out.
    """
    part = index.videos.video_id[index.videos.split == split]
    files = {video_id: keypoint_files(index, video_id) for video_id in part}
    videos = [video_id for video_id, paths in files.items() if paths]
    if 0 < limit < len(videos):
        videos = [videos[place] for place in np.linspace(0, len(videos) - 1, limit).astype(int)]
    rows, refused = {}, []
    for video_id in videos:
        found: dict[str, int] = {}
        frames = 0
        for path in files[video_id]:
            try:
                recording = upper_body(read_file(path))
            except DataError as error:
                refused.append(str(error))
                continue
            seen = reduce(present(recording.skeleton, recording.layout.axes), "m t v -> t v", "max")
            frames += len(seen)
            for joint, count in zip(recording.layout.joints, seen.sum(axis=0), strict=True):
                found[joint] = found.get(joint, 0) + int(count)
        if frames:
            rows[video_id] = {"frames": frames} | {j: n / frames for j, n in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index"), refused


def joint_quality(index: Index, split: str = "train", limit: int = 12) -> go.Figure:
    """Share of frames in which each joint of `imigue22` was found: a bar over all, a dot a video.

    Args:
        limit: at most so many videos, spread evenly over the part; 0 takes all.
    """
    shares, refused = joint_shares(index, split, limit)
    notes = notes_on(index)
    if refused:
        notes.append(f"{len(refused)} files are left out; {refused[0]}")
    title = f"How often each joint was found, {split}"
    if shares.empty:
        return saying(f"No keypoints of {split} can be read under this root.", title, notes)
    frames = shares.pop("frames")
    mean = shares.mul(frames, axis=0).sum() / frames.sum()
    names = [joint.replace("_", " ") for joint in shares]
    colours = [side_colour(joint) for joint in shares]
    figure = go.Figure()
    figure.add_bar(
        x=100 * mean,
        y=names,
        orientation="h",
        marker={"color": colours, "opacity": 0.55},
        name="all frames",
        hovertemplate="%{y}: found in %{x:.1f} % of frames<extra></extra>",
    )
    long = shares.set_axis(names, axis=1).rename_axis("video").reset_index()
    long = long.melt("video", var_name="joint", value_name="share").dropna()
    figure.add_scatter(
        x=100 * long.share,
        y=long.joint,
        customdata=long.video,
        mode="markers",
        marker={"symbol": "line-ns-open", "color": "#333", "size": 9},
        name="one video",
        hovertemplate="%{y}: %{x:.1f} % of video %{customdata}<extra></extra>",
    )
    figure.update_xaxes(title_text="% of frames with the joint", range=[-2, 102])
    figure.update_yaxes(autorange="reversed", dtick=1)
    looked = f"{len(shares)} videos of {split}, {frames.sum():,} frames"
    notes.append(f"{looked}; orange the person's right, blue the left")
    return styled(figure, title, notes, height=240 + 22 * len(names))


def side_colour(joint: str) -> str:
    """Right and left joints apart, so that swapped hands show."""
    return FACE if joint.startswith("right_") else CONTEXT if joint.startswith("left_") else NEUTRAL


def montage(index: Index, split: str = "train", limit: int = 12) -> go.Figure:
    """One picture a class: the centre frame of one of its clips.

    Args:
        limit: pictures come out of at most so many videos, chosen to show many classes; 0 any.
    """
    title = f"One picture of each class, {split}"
    clips = index.clips[(index.clips.split == split) & index.clips.label.notna()]
    notes = notes_on(index)
    if clips.empty:
        return saying(f"No clip of {split} has a class here.", title, notes)
    files = clips.video.combine_first(clips.video_id.map(index.videos.set_index("video_id").video))
    clips = clips.assign(own=clips.video.notna(), video=files).dropna(subset=["video"])
    if clips.empty:
        return saying(f"No videos of {split} lie under this root.", title, notes)
    chosen = one_a_class(clips, limit)
    shots, refused = centre_frames(chosen)
    hidden = sorted(set(clips.label) - set(chosen.label))
    if hidden:
        notes.append(f"not in the {limit} videos looked at: {some(CLASSES[h] for h in hidden)}")
    if refused:
        notes.append(f"{len(chosen) - len(shots)} pictures are left out; {refused[0]}")
    notes.append(f"{clips.label.nunique()} of {len(CLASSES)} classes have a clip with a picture")
    if not shots:
        return saying("No picture could be read.", title, notes)
    return grid(shots, title, notes)


def one_a_class(clips: pd.DataFrame, limit: int) -> pd.DataFrame:
    """A clip for each class, out of few videos: each next one shows most of what is not shown yet.

    Args:
        clips: with a class and a video.
    """
    shows = clips.groupby("video_id").label.agg(set).to_dict()
    missing = set(clips.label)
    chosen: list[int] = []
    while missing and (not limit or clips.video_id[chosen].nunique() < limit):
        video_id = max(shows, key=lambda name: len(shows[name] & missing))
        new = clips[(clips.video_id == video_id) & clips.label.isin(missing)]
        chosen += new.drop_duplicates("label").index.tolist()
        missing -= shows[video_id]
    return clips.loc[chosen].sort_values("label")


class Shot(NamedTuple):
    """A frame of a clip, and its number in the video file."""

    clip_id: str
    number: int
    picture: Frame


def centre_frames(clips: pd.DataFrame) -> tuple[dict[int, Shot], list[str]]:
    """The frame in the middle of each clip by class, and a sentence for each file that fails.

    Args:
        clips: of one class each, with a video, and `own`: whether the file holds the clip alone.
    """
    shots, refused = {}, []
    for path, part in clips.sort_values("start").groupby("video", sort=False):
        try:
            with Video(path, short_side=SHORT_SIDE) as video:
                for clip in part.itertuples():
                    first = 0 if clip.own else clip.start
                    number = segment_centres(first, first + clip.end - clip.start, 1)[0]
                    shots[int(clip.label)] = Shot(clip.clip_id, number, video.frame(number))
        except DataError as error:
            refused.append(str(error))
    return dict(sorted(shots.items())), refused


def grid(shots: dict[int, Shot], title: str, notes: list[str]) -> go.Figure:
    """Pictures with their class above, in the order of classes."""
    rows = -(-len(shots) // COLUMNS)
    figure = make_subplots(
        rows=rows,
        cols=COLUMNS,
        subplot_titles=["<br>".join(wrap(CLASSES[label], NAME_WIDTH)) for label in shots],
        horizontal_spacing=0.01,
        vertical_spacing=0.3 / rows,
    )
    for place, shot in enumerate(shots.values()):
        figure.add_image(
            source=as_source(shot.picture),
            name=shot.clip_id,
            hovertemplate=f"clip {shot.clip_id}, frame {shot.number}<extra></extra>",
            row=place // COLUMNS + 1,
            col=place % COLUMNS + 1,
        )
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    figure.update_annotations(font_size=11)
    figure = styled(figure, title, notes, height=140 + 20 * len(notes) + 150 * rows)
    return figure.update_layout(margin_b=20, margin_t=110 + 20 * len(notes))


def as_source(picture: Frame) -> str:
    """A picture as text that a page shows: JPEG in base64."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()

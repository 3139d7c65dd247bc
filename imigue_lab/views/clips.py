"""Quality of the keypoints, joint by joint, and one example picture of every class."""

from collections import Counter
from textwrap import wrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from einops import reduce
from plotly.subplots import make_subplots

from imigue_lab.data.index import Index
from imigue_lab.data.keypoint_files.clips import keypoint_files, read_file, upper_body
from imigue_lab.data.skeletons.geometry import present
from imigue_lab.data.videos.video import Video, segment_centres
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.errors import DataError, some
from imigue_lab.views.reel import as_source
from imigue_lab.views.skeletons import side_colour
from imigue_lab.views.style import empty_figure, notes_on, styled

SHORT_SIDE = 144  # pixels of a picture in the montage
COLUMNS = 6
NAME_WIDTH = 24  # characters a line


def joint_shares(index: Index, split: str, limit: int) -> tuple[pd.DataFrame, list[str]]:
    """Share of frames in which each joint was detected, a row a video and a column a joint.

    Of at most `limit` videos, spread evenly over the split; 0 for all. The first column is
    `frames`. Also returns an error sentence for each skipped file.
    """
    part = index.videos.video_id[index.videos.split == split]
    files = {video_id: keypoint_files(index, video_id) for video_id in part}
    videos = [video_id for video_id, paths in files.items() if paths]
    if 0 < limit < len(videos):
        videos = [videos[place] for place in np.linspace(0, len(videos) - 1, limit).astype(int)]
    rows, errors = {}, []
    for video_id in videos:
        counts, frames = Counter[str](), 0
        for path in files[video_id]:
            try:
                recording = upper_body(read_file(index, path, video_id))
            except DataError as error:
                errors.append(str(error))
                continue
            seen = reduce(present(recording.skeleton, recording.layout.axes), "m t v -> t v", "max")
            frames += len(seen)
            counts.update(dict(zip(recording.layout.joints, seen.sum(axis=0), strict=True)))
        if frames:
            rows[video_id] = {"frames": frames} | {j: n / frames for j, n in counts.items()}
    return pd.DataFrame.from_dict(rows, orient="index"), errors


def joint_quality(index: Index, split: str = "train", limit: int = 12) -> go.Figure:
    """Share of frames in which each joint of `imigue22` was detected: a bar for all videos
    together, a mark for each; see `joint_shares`.
    """
    shares, errors = joint_shares(index, split, limit)
    notes = notes_on(index)
    if errors:
        notes.append(f"{len(errors)} files were skipped; {errors[0]}")
    title = f"How often each joint was detected, {split}"
    if shares.empty:
        return empty_figure(f"No keypoints of {split} can be read under this root.", title, notes)
    frames = shares.pop("frames")
    names = [joint.replace("_", " ") for joint in shares]
    figure = go.Figure()
    figure.add_bar(
        x=100 * shares.mul(frames, axis=0).sum() / frames.sum(),
        y=names,
        orientation="h",
        marker={"color": [side_colour(joint) for joint in shares], "opacity": 0.55},
        name="all frames",
        hovertemplate="%{y}: detected in %{x:.1f} % of frames<extra></extra>",
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
    sample = f"{len(shares)} videos of {split}, {frames.sum():,} frames"
    notes.append(f"{sample}; orange: the person's right side, blue: the left")
    return styled(figure, title, notes, height=240 + 22 * len(names))


def montage(index: Index, split: str = "train", limit: int = 12) -> go.Figure:
    """One example picture a class: the centre frame of one of its clips.

    At most `limit` videos are opened, selected to show many classes; 0 for any number.
    """
    title = f"One picture of each class, {split}"
    clips = index.clips[(index.clips.split == split) & index.clips.label.notna()]
    notes = notes_on(index)
    if clips.empty:
        return empty_figure(f"No clip of {split} is labelled under this root.", title, notes)
    files = clips.video.combine_first(clips.video_id.map(index.videos.set_index("video_id").video))
    clips = clips.assign(own=clips.video.notna(), video=files).dropna(subset=["video"])
    if clips.empty:
        return empty_figure(f"There are no videos of {split} under this root.", title, notes)
    selected = one_a_class(clips, limit)
    shots, errors = centre_frames(selected)
    hidden = sorted(set(clips.label) - set(selected.label))
    if hidden:
        names = some(index.vocabulary.label(label) for label in hidden)
        notes.append(f"not in the {limit} videos that were opened: {names}")
    if errors:
        notes.append(f"{len(selected) - len(shots)} pictures were skipped; {errors[0]}")
    found, classes = clips.label.nunique(), len(index.vocabulary)
    notes.append(f"{found} of {classes} classes have a clip with a picture")
    if not shots:
        return empty_figure("No picture could be read.", title, notes)
    return grid(shots, title, notes, index.vocabulary)


def one_a_class(clips: pd.DataFrame, limit: int) -> pd.DataFrame:
    """A labelled clip of each class, greedily: the next video adds the most new classes."""
    shows = clips.groupby("video_id").label.agg(set).to_dict()
    missing = set(clips.label)
    selected: list[int] = []
    while missing and (not limit or clips.video_id[selected].nunique() < limit):
        video_id = max(shows, key=lambda name: len(shows[name] & missing))
        new = clips[(clips.video_id == video_id) & clips.label.isin(missing)]
        selected += new.drop_duplicates("label").index.tolist()
        missing -= shows[video_id]
    return clips.loc[selected].sort_values("label")


def centre_frames(clips: pd.DataFrame) -> tuple[dict[int, go.Image], list[str]]:
    """The centre frame of each clip by class, and an error sentence for each unreadable file.

    In `clips`, one a class, `own` states whether the file `video` contains only the clip.
    """
    shots, errors = {}, []
    for path, part in clips.sort_values("start").groupby("video", sort=False):
        try:
            with Video(path, short_side=SHORT_SIDE) as video:
                for clip in part.itertuples():
                    first = 0 if clip.own else clip.start
                    number = segment_centres(first, first + clip.end - clip.start, 1)[0]
                    shots[int(clip.label)] = go.Image(
                        source=as_source(video.frame(number)),
                        name=clip.clip_id,
                        hovertemplate=f"clip {clip.clip_id}, frame {number}<extra></extra>",
                    )
        except DataError as error:
            errors.append(str(error))
    return dict(sorted(shots.items())), errors


def grid(
    shots: dict[int, go.Image], title: str, notes: list[str], vocabulary: Vocabulary
) -> go.Figure:
    """The pictures in order of their classes, each with its class name above."""
    rows = -(-len(shots) // COLUMNS)
    figure = make_subplots(
        rows=rows,
        cols=COLUMNS,
        subplot_titles=["<br>".join(wrap(vocabulary.label(n), NAME_WIDTH)) for n in shots],
        horizontal_spacing=0.01,
        vertical_spacing=0.3 / rows,
    )
    for place, shot in enumerate(shots.values()):
        figure.add_trace(shot, row=place // COLUMNS + 1, col=place % COLUMNS + 1)
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    figure.update_annotations(font_size=11)
    return styled(figure, title, notes, 140 + 20 * len(notes) + 150 * rows, above=30, b=20)

"""What the data contain: their size by split, class and clip length, compared with the published
counts; the quality of the keypoints, joint by joint; one example picture of every class.
"""

from collections import Counter
from textwrap import wrap

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from einops import reduce
from jaxtyping import Float
from plotly.subplots import make_subplots

from imigue_lab.data.checks.tables import OFFICIAL, OFFICIAL_TRAIN, has_official
from imigue_lab.data.index import SPLITS, Index
from imigue_lab.data.keypoint_files.clips import keypoint_files, read_file, upper_body
from imigue_lab.data.skeletons.geometry import present
from imigue_lab.data.videos.frame_table import is_steady, open_stream, seconds_of
from imigue_lab.errors import DataError, some
from imigue_lab.views.footage import as_source, clip_pictures
from imigue_lab.views.skeletons import side_colour
from imigue_lab.views.style import NEUTRAL, SPLIT_COLOURS, empty_figure, notes_on, styled

PUBLISHED = "published (MiGA track 1, train)"
SYMBOLS = ("circle", "diamond", "triangle-down")  # of the splits
ZERO = 0.5  # position of a count of 0 on a logarithmic axis
WIDER = 1.12  # minimum ratio of the widths of consecutive bins of lengths
COLUMNS = 6
NAME_WIDTH = 24  # characters a line


def split_counts(index: Index) -> pd.DataFrame:
    """Videos, clips, subjects and outcomes by split, with the published counts of MiGA track 1.

    Only real iMiGUE in its own layouts has published columns.
    """
    videos, clips = index.videos, index.clips
    table = pd.DataFrame(index=pd.Index(SPLITS, name="split"))
    table["videos"] = videos.groupby("split").size()
    table["clips"] = clips.groupby("split").size()
    table["clips without class"] = clips[clips.label.isna()].groupby("split").size()
    table["subjects"] = videos.groupby("split").subject.nunique()
    names = dict(enumerate(index.vocabulary.outcomes))
    outcomes = videos.outcome.map(names).fillna("outcome unknown")
    for name in (*names.values(), "outcome unknown"):
        table[name] = videos[outcomes == name].groupby("split").size()
    if has_official(index):
        for name in ("videos", "clips", "subjects"):
            table[f"published {name}"] = [getattr(OFFICIAL[split], name) for split in SPLITS]
    return table.fillna(0).astype(int)


def class_table(index: Index) -> pd.DataFrame:
    """Clips by class (rows, in order of the vocabulary) and split (columns)."""
    labelled = index.clips.dropna(subset=["label"])
    counts = labelled.groupby(["label", "split"]).size().unstack(fill_value=0)
    return counts.reindex(index=range(len(index.vocabulary)), columns=list(SPLITS), fill_value=0)


def class_counts(index: Index) -> go.Figure:
    """Clips of each class and split on a logarithmic axis that includes 0, by group if any.

    For real iMiGUE a ring marks the published count of train.
    """
    counts, vocabulary = class_table(index), index.vocabulary
    order = list(range(len(vocabulary)))
    order.sort(key=lambda label: (*vocabulary.group_names, "").index(vocabulary.groups[label]))
    names = [vocabulary.label(label) for label in order]
    groups = [vocabulary.groups[label] for label in order]
    figure = go.Figure()
    marks = []  # name, counts by class, symbol, size, colour
    if has_official(index):
        marks.append((PUBLISHED, OFFICIAL_TRAIN, "circle-open", 15, NEUTRAL))
    for split, symbol in zip(SPLITS, SYMBOLS, strict=True):
        if counts[split].any():
            marks.append((split, counts[split], symbol, 9, SPLIT_COLOURS[split]))
    for name, of_class, symbol, size, colour in marks:
        values = [int(of_class[label]) for label in order]
        figure.add_scatter(
            x=[max(count, ZERO) for count in values],
            y=[groups, names] if any(groups) else names,
            customdata=values,
            name=name,
            mode="markers",
            marker={"symbol": symbol, "size": size, "color": colour},
            hovertemplate=f"%{{y}}<br>{name}: %{{customdata}}<extra></extra>",
        )
    ticks = [1, 3, 10, 30, 100, 300, 1000, 3000]
    figure.update_xaxes(
        type="log", title_text="clips", tickvals=[ZERO, *ticks], ticktext=["0", *map(str, ticks)]
    )
    figure.update_yaxes(autorange="reversed", dtick=1, tickfont={"size": 11})
    unlabelled = int(index.clips.label.isna().sum())
    notes = notes_on(index) + [f"{unlabelled} clips have no class"] * (unlabelled > 0)
    return styled(figure, "Clips of each class", notes, height=196 + 22 * len(order))


def clip_lengths(index: Index) -> go.Figure:
    """Histogram of clip lengths by split: bars are as high as clips are dense on the logarithmic
    axis, where bins of few frames are wider; see `whole_frame_edges`.

    In seconds; clips of videos without a frame rate are excluded and counted. In frames if no
    frame rate is known.
    """
    title, notes, clips = "Clip lengths", notes_on(index), index.clips
    if clips.empty:
        return empty_figure("No clips are labelled under this root.", title, notes)
    rate = clips.video_id.map(index.videos.set_index("video_id").fps)
    unknown = int(rate.isna().sum())
    unit, frame, length = "seconds", 1 / rate.median(), clip_seconds(index)
    if unknown == len(clips):
        unit, frame, length = "frames", 1.0, clips.end - clips.start + 1
        notes.append("no frame rate is known: lengths are in frames")
    elif unknown:
        notes.append(f"{unknown} clips are excluded: the frame rate of their video is unknown")
    edges = frame * whole_frame_edges(length.min() / frame, length.max() / frame)
    figure, widths = go.Figure(), np.diff(np.log(edges))
    for split in SPLITS:
        part = length[clips.split == split].dropna()
        if len(part):
            count = np.histogram(part, edges)[0]
            share = 100 * count / len(part) * np.median(widths) / widths
            figure.add_scatter(
                x=edges,
                y=np.append(share, share[-1]),  # the last step of the line
                customdata=np.append(count, count[-1]),
                name=f"{split}: median {part.median():.3g}, 95 % under {part.quantile(0.95):.3g},"
                f" longest {part.max():.4g}",
                mode="lines",
                line={"shape": "hv", "color": SPLIT_COLOURS[split]},
                hovertemplate=f"from %{{x:.3g}} {unit}: %{{customdata}} clips"
                f"<extra>{split}</extra>",
            )
    figure.update_xaxes(title_text=f"clip length in {unit}", type="log")
    if edges[-1] > 10 * edges[0]:
        ticks = [step * 10.0**power for power in range(-2, 5) for step in (1, 2, 5)]
        figure.update_xaxes(tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    title_text = f"% of the split's clips by factor of {np.exp(np.median(widths)):.2f}"
    figure.update_yaxes(title_text=title_text, rangemode="tozero")
    return styled(figure, title, notes, height=440)


def clip_seconds(index: Index) -> pd.Series:
    """The length of each clip; by time stamps in videos whose rate may vary."""
    videos, seconds = index.videos.set_index("video_id"), []
    for video_id, own in index.clips.groupby("video_id"):
        path, fps = videos.video[video_id], videos.fps[video_id]
        length = (own.end - own.start + 1) / fps
        if path is not None and fps > 0:
            container, stream = open_stream(path)
            with container:
                steady = is_steady(stream)
            if not steady:
                times = seconds_of(path, float(fps), int(own.end.max()) + 1)
                length = own.end.map(lambda end, t=times: t[end + 1]) - times[own.start]
        seconds.append(length)
    return pd.concat(seconds).reindex(index.clips.index)


def whole_frame_edges(shortest: float, longest: float) -> Float[np.ndarray, " N"]:
    """Bin edges halfway between whole numbers of frames, so that every bin contains a length."""
    low, high = np.floor(shortest + 1e-6), np.floor(longest + 1e-6) + 1
    bins = max(1, int(np.log(high / low) / np.log(WIDER)))
    return np.unique(np.round(np.geomspace(low, high, bins + 1))) - 0.5


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
    clips = clips[files.notna()]
    if clips.empty:
        return empty_figure(f"There are no videos of {split} under this root.", title, notes)
    selected = one_a_class(clips, limit)
    shots = {label: clip_pictures(index, clip_id, 1) for label, clip_id in selected.items()}
    hidden = sorted(set(clips.label) - set(shots))
    if hidden:
        absent = some(map(index.vocabulary.label, hidden))
        notes.append(f"not in the {limit} videos that were opened: {absent}")
    if errors := [shot.absent for shot in shots.values() if shot.absent]:
        notes.append(f"{len(errors)} pictures were skipped; {errors[0]}")
    found = f"{clips.label.nunique()} of {len(index.vocabulary)}"
    notes.append(f"{found} classes have a clip with a picture")
    if len(errors) == len(shots):
        return empty_figure("No picture could be read.", title, notes)
    shown = {label: shot for label, shot in shots.items() if shot.pictures}
    rows = -(-len(shown) // COLUMNS)
    names = map(index.vocabulary.label, shown)
    figure = make_subplots(
        rows=rows,
        cols=COLUMNS,
        subplot_titles=["\n".join(wrap(name, NAME_WIDTH)) for name in names],
        horizontal_spacing=0.01,
        vertical_spacing=0.3 / rows,
    )
    for place, (label, shot) in enumerate(shown.items()):
        figure.add_image(
            source=as_source(shot.pictures[0]),
            name=selected[label],
            hovertemplate=f"clip %{{fullData.name}}, frame {shot.frames[0]}<extra></extra>",
            row=place // COLUMNS + 1,
            col=place % COLUMNS + 1,
        )
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    figure.update_annotations(font_size=11)
    return styled(figure, title, notes, 180 + 150 * rows, above=30, b=20)


def one_a_class(clips: pd.DataFrame, limit: int) -> dict[int, str]:
    """A labelled clip of each class, by class: greedily, the next video adds most new classes."""
    shows = clips.groupby("video_id").label.agg(set).to_dict()
    missing, opened = set(clips.label), list[str]()
    while missing and (not limit or len(opened) < limit):
        opened.append(max(shows, key=lambda name: len(shows[name] & missing)))
        missing -= shows[opened[-1]]
    known = clips[clips.video_id.isin(opened)]
    known = known.sort_values("video_id", key=lambda ids: ids.map(opened.index), kind="stable")
    first = known.drop_duplicates("label").sort_values("label")
    return dict(zip(first.label.astype(int), first.clip_id, strict=True))

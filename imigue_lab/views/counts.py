"""Size of the data by split, class and clip length, compared with the published counts."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float

from imigue_lab.data.checks.tables import OFFICIAL, OFFICIAL_TRAIN, has_official
from imigue_lab.data.index import SPLITS, Index
from imigue_lab.data.videos.frame_table import is_steady, open_stream, seconds_of
from imigue_lab.views.style import NEUTRAL, SPLIT_COLOURS, empty_figure, notes_on, styled

PUBLISHED = "published (MiGA track 1, train)"
SYMBOLS = ("circle", "diamond", "triangle-down")  # of the splits
ZERO = 0.5  # position of a count of 0 on a logarithmic axis
WIDER = 1.12  # minimum ratio of the widths of consecutive bins of lengths


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
    """Histogram of clip lengths by split; the axis is logarithmic if the range is wide.

    In seconds; clips of videos without a frame rate are excluded and counted. In frames if no
    frame rate is known.
    """
    title, notes, clips = "Clip lengths", notes_on(index), index.clips
    if clips.empty:
        return empty_figure("No clips are labelled under this root.", title, notes)
    length = (clips.end - clips.start + 1).astype(float)
    rate = clips.video_id.map(index.videos.set_index("video_id").fps)
    unknown = int(rate.isna().sum())
    unit, frame = "seconds", 1 / rate.median()
    if unknown == len(clips):
        unit, frame = "frames", 1.0
        notes.append("no frame rate is known: lengths are in frames")
    elif unknown:
        notes.append(f"{unknown} clips are excluded: the frame rate of their video is unknown")
    if unit == "seconds":
        length = clip_seconds(index)
    edges = frame * whole_frame_edges(length.min() / frame, length.max() / frame)
    figure = go.Figure()
    for split in SPLITS:
        part = length[clips.split == split].dropna()
        if len(part):
            count = np.histogram(part, edges)[0]
            count = np.append(count, count[-1])  # the last step of the line
            figure.add_scatter(
                x=edges,
                y=100 * count / len(part),
                customdata=count,
                name=f"{split}: median {part.median():.3g}, 95 % under {part.quantile(0.95):.3g},"
                f" longest {part.max():.4g}",
                mode="lines",
                line={"shape": "hv", "color": SPLIT_COLOURS[split]},
                hovertemplate=f"from %{{x:.3g}} {unit}: %{{customdata}} clips"
                f"<extra>{split}</extra>",
            )
    figure.update_xaxes(title_text=f"clip length in {unit}")
    if edges[-1] > 10 * edges[0]:
        ticks = [step * 10.0**power for power in range(-2, 5) for step in (1, 2, 5)]
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    figure.update_yaxes(title_text="% of the split's clips", rangemode="tozero")
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

"""The gestures that a recogniser finds in whole videos, against the true ones (notebook 11).

They are of test, or of validation where the truth of test is hidden. M is the number of true ones.
"""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from ipywidgets import Dropdown
from jaxtyping import Bool

from imigue_lab.data.index import clips_table
from imigue_lab.data.segments import as_segments, overlap
from imigue_lab.errors import RunError
from imigue_lab.training.recognition.data import RecognitionData, frames_of
from imigue_lab.training.recognition.scores import IOUS, curve, match, of_split, read_truth
from imigue_lab.training.recognition.settings import Rule
from imigue_lab.training.recognition.train import read_choice
from imigue_lab.training.runs import Run
from imigue_lab.views.corrections import Corrections
from imigue_lab.views.player.lanes import Lane, Lanes, Moment
from imigue_lab.views.player.widgets import AroundPlayer, Player, beside
from imigue_lab.views.style import CONTEXT, FACE, NEGATIVE, NEUTRAL, POSITIVE, notes_of, styled
from imigue_lab.views.timeline import segment_bars

TOUCH = 0.1  # IoU from which an incorrect segment refers to a true one
KINDS = ("correct", "doubled", "badly placed", "wrong class", "nothing there")  # of found ones
FOUND = dict(zip(KINDS, (POSITIVE, FACE, CONTEXT, NEGATIVE, "#222222"), strict=True))
TRUE = {"true": NEUTRAL, "missed": "#b0413e"}
CELLS = 1280  # of a lane, at most


def held_out(run: Run) -> tuple[str, pd.DataFrame, pd.DataFrame]:
    """The split, its true segments, and all candidates; RunError where no truth is known."""
    for split in ("test", "validation"):
        videos, true = of_split(read_truth(run), split)
        if len(videos):
            every = run.predictions()
            return split, true, every[every.video_id.isin(videos.video_id)]
    raise RunError(f"{run.folder}: no truth of test or validation is known; choose another run")


def precision_recall(run: Run) -> go.Figure:
    """Precision over recall at each of `IOUS`, with a mark at the chosen threshold."""
    (split, true, found), choice = held_out(run), read_choice(run)
    figure = go.Figure()
    looks = (POSITIVE, 6), (FACE, 4), (CONTEXT, 2)  # of curves that may coincide
    for iou, (colour, width) in zip(IOUS, looks, strict=True):
        own = curve(found, true, iou, choice.matching)
        at = own[own.threshold >= choice.threshold].tail(1)
        f1 = f", F1 {at.f1.iloc[0]:.2f}" if len(at) else ""
        figure.add_scatter(
            x=own.recall,
            y=own.precision,
            name=f"IoU {iou}{f1}",
            line={"color": colour, "width": width},
            customdata=own[["threshold", "f1"]],
            hovertemplate="threshold %{customdata[0]:.2f}, F1 %{customdata[1]:.2f}",
        )
        mark = {"mode": "markers", "marker": {"color": colour, "size": 12}, "showlegend": False}
        figure.add_scatter(x=at.recall, y=at.precision, **mark)
    figure.update_xaxes(title_text="recall", range=[0, 1.03])
    figure.update_yaxes(title_text="precision", range=[0, 1.03])
    title = f"Precision and recall on {split}: {len(true)} gestures, matching {choice.matching}"
    where = f"{choice.videos} videos of {choice.split}"
    best = f"best on {where}: F1 {choice.f1:.2f} at IoU {choice.iou}"
    notes = [*notes_of(run), f"marks: threshold {choice.threshold:.2f}, {best}"]
    return styled(figure, title, notes, height=460)


def judge(
    found: pd.DataFrame, true: pd.DataFrame, iou: float, rule: Rule = "one-to-one"
) -> tuple["pd.Series[str]", Bool[np.ndarray, " M"]]:
    """The kind of each found segment, and which true ones are missed.

    A found segment is of the first kind that applies:

        correct        it matches a true one by the rule (`training.recognition.scores`)
        doubled        a true one of its class, which another one matches, has an IoU of `iou` with
                       it or more
        badly placed   a true one of its class has an IoU of `TOUCH` or more
        wrong class    a true one of another class has an IoU of `TOUCH` or more
        nothing there  none of these

    A true one is missed if none matches it, and no incorrect one has an IoU of `TOUCH` with it, so
    that each error counts once.
    """
    rows = match(found, true, iou, rule)
    matched, kinds = rows >= 0, pd.Series("", found.index, dtype=str)
    correct, missed = set(found.index[rows[matched]]), ~matched
    for video_id, own in found.groupby("video_id"):
        of_video = (true.video_id == video_id).to_numpy()
        real = true[of_video]
        ends = [np.add(rows[["start", "end"]].to_numpy(float), (0, 1)) for rows in (own, real)]
        shared = overlap(*ends)
        same, near = own.label.to_numpy()[:, None] == real.label.to_numpy(), shared >= TOUCH
        conditions = [
            own.index.isin(correct),
            (same & (shared >= iou) & matched[of_video]).any(axis=1),
            (same & near).any(axis=1),
            near.any(axis=1),
        ]
        kinds[own.index] = np.select(conditions, KINDS[:4], KINDS[4])
        missed[of_video] &= ~near[~conditions[0]].any(axis=0)
    return kinds, missed


def errors_by_kind(run: Run) -> pd.DataFrame:
    """Segments above the threshold by kind, and missed true ones, of all found or true ones; and
    the most frequent class of each kind. See `judge`.
    """
    (_, true, found), choice = held_out(run), read_choice(run)
    found, names = found[found.kept], run.vocabulary().classes
    kinds, missed = judge(found, true, choice.iou, choice.matching)
    every = pd.concat([found.assign(kind=kinds), true[missed].assign(kind="missed")])
    labels = every.groupby("kind").label
    most_often = labels.agg(lambda own: names[own.mode()[0]])
    table = pd.DataFrame({"segments": labels.size(), "most_often": most_often})
    table = table.reindex([*KINDS, "missed"]).fillna({"segments": 0, "most_often": "–"})
    table.insert(1, "of", [f"{len(found)} found"] * len(KINDS) + [f"{len(true)} true"])
    return table.astype({"segments": int})


def segments_of_video(run: Run, data: RecognitionData, video_id: str = "") -> pd.DataFrame:
    """True and found segments of a video, by default of the held-out one with most true ones.

    Columns: those of `data.segments`, video_id, kind (of `FOUND` or `TRUE`), clip_id by kind, and
    item, the clip's id in the data, empty for a found one.
    """
    video_id = video_id or str(held_out(run)[1].video_id.mode()[0])
    times = Moment(data.index, video_id).times(frames_of(data.videos)[video_id])
    found, true, choice = run.predictions(), data.split.clips, read_choice(run)
    found = found[(found.video_id == video_id) & found.kept]
    true = true[(true.video_id == video_id) & true.label.notna()]
    kinds, missed = judge(found, true, choice.iou, choice.matching)
    rows = pd.concat([true.assign(confidence=np.nan), found])
    every = [*np.where(missed, "missed", "true"), *kinds]
    items = [*true.clip_id, *[""] * len(found)]
    table = as_segments(rows, times).assign(video_id=video_id, kind=every, item=items)
    number = table.groupby(table.kind.isin(FOUND)).cumcount() + 1
    return table.assign(clip_id=table.kind + " " + number.astype(str))


def recognition_timeline(run: Run, data: RecognitionData, video_id: str = "") -> go.Figure:
    """True and found segments of `segments_of_video`, one above the other, by class and kind."""
    table, vocabulary = segments_of_video(run, data, video_id), run.vocabulary()
    figure = go.Figure()
    for kind, colour in (TRUE | FOUND).items():
        own, row = table[table.kind == kind], "found" if kind in FOUND else "true"
        name = f"{kind} ({len(own)})"
        figure.add_trace(segment_bars(own, name, colour, vocabulary, offsetgroup=row))
    figure.update_layout(barmode="group", bargap=0.3, yaxis_autorange="reversed")
    figure.update_xaxes(title_text="seconds", rangemode="tozero")
    correct, true = (table.kind == "correct").sum(), table.kind.isin(TRUE).sum()
    title = f"Video {table.video_id.iloc[0]}: {true} gestures, {correct} found correctly"
    notes = [*notes_of(run), "upper bars are true, lower ones found, paler at low confidence"]
    return styled(figure, title, notes, height=260 + 44 * table.label.nunique())


class SegmentPlayer(AroundPlayer):
    """The video of `segments_of_video`, and a lane a class: press a segment to play it.

    The widgets are `video`, which selects one of any split whose segments are known, `player`,
    `lanes`, and `buttons` that correct; `table` has the segments.
    """

    def __init__(self, run: Run, data: RecognitionData, video_id: str = ""):
        self.run, self.data = run, data
        own = segments_of_video(run, data, video_id).video_id.iloc[0]
        known = {own, *data.known.dropna(subset="label").video_id}
        videos = data.videos[data.videos.video_id.isin(known)]
        options = sorted(zip(videos.split + " · " + videos.video_id, videos.video_id, strict=True))
        self.video = Dropdown(options=options, value=own, description="video")
        self.moment = Moment(data.index, own)
        self.player = Player(self.moment)
        self.buttons = Corrections(self.moment, run.folder)
        super().__init__(self.player, [])
        self.show()
        self.video.observe(self.show, "value")

    def show(self, _: object = None) -> None:
        """Shows the selected video."""
        video_id, index = self.video.value, self.data.index
        self.table = segments_of_video(self.run, self.data, video_id)
        clips = clips_table(self.table.to_dict("records"), index.videos, len(index.vocabulary))
        self.moment.clips = clips.set_index("clip_id")
        self.buttons.items = dict(zip(self.table.clip_id, self.table["item"], strict=True))
        self.moment.show(video_id)
        frames = frames_of(self.data.videos)[video_id]
        self.lanes = segment_lanes(self.moment, self.table, frames)
        self.lanes.on_msg(self.press)
        self.children = [self.video, beside(self.player, self.lanes), self.buttons]

    def press(self, _: object, content: dict[str, Any], __: object) -> None:
        """A lane was pressed: plays the segment there, of two the one that is drawn nearer."""
        label, frame = sorted(self.table.label.unique())[content["lane"]], content["frame"]
        own = self.table[(self.table.label == label) & (self.table.start <= frame)]
        own = own[own.end + self.lanes.window >= frame]
        if len(own):
            farther = own.kind.isin(FOUND) != (content["height"] < 0.5)
            self.player.play(own.clip_id[farther.idxmin()])


def segment_lanes(moment: Moment, table: pd.DataFrame, frames: int) -> Lanes:
    """A lane for each class of a table, in their order: true segments above, found ones below."""
    lanes, window = [], -(-frames // CELLS)
    for label, own in table.groupby("label"):
        values = np.full((2, -(-frames // window)), np.nan)
        for row in own.itertuples():
            start, place = row.start // window, int(row.kind in FOUND)
            values[place, start : max(start + 2, row.end // window + 1)] = 0.75 - 0.5 * place
        name = moment.index.vocabulary.label(int(label))
        lanes.append(Lane(name, values, lines=(("true", NEUTRAL), ("found", CONTEXT)), stroke=12.0))
    return Lanes(moment, moment.video_id, lanes, window=window)

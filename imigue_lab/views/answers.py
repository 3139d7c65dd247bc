"""What a finished run answered, in one form for all tasks: a row a clip or interview of a part.

Columns: item (clip or video id), video_id, subject, split, truth, predicted (names of classes,
ordered), truth_group, predicted_group (of the body part; the class itself for interviews), p_truth,
p_said (the probabilities of the two), right.

Figures of what a run answered: which is taken for which, and whether it knows it is right.

Which clip to look at where nobody has named one, and why just this one.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from imigue_lab.data.vocabulary import GROUPS, OUTCOMES, group_of
from imigue_lab.errors import RunError
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import labelled, name_of, probabilities
from imigue_lab.training.statistics import wilson_interval
from imigue_lab.views.learning import notes_of
from imigue_lab.views.style import CONTEXT, NEUTRAL, styled


def read_answers(run: Run, split: str = "") -> pd.DataFrame:
    """Answers of a gesture, baseline or emotion run where the truth is known.

    Args:
        split: empty: test, or validation where the truth of test is hidden.

    Raises:
        RunError: no truth of this part is known.
    """
    predictions = run.predictions()
    interviews = "outcome" in predictions
    if interviews:
        predictions = predictions.assign(
            label=predictions.outcome,
            clip_id=predictions.video_id,
            p0=1 - predictions.probability,
            p1=predictions.probability,
        )
    if not split:
        split = "validation" if labelled(predictions, "test").empty else "test"
    part = labelled(predictions, split)
    if part.empty:
        raise RunError(f"{run.folder}: knows no truth of {split}; choose another part")
    probability, truth = probabilities(part), part.label.to_numpy(dtype=int)
    said = (probability[:, 1] >= 0.5).astype(int) if interviews else probability.argmax(axis=1)
    names = OUTCOMES if interviews else [name_of(n) for n in range(probability.shape[1])]
    rows = np.arange(len(part))
    answers = pd.DataFrame(
        {
            "item": part.clip_id.to_numpy(),
            "video_id": part.video_id.to_numpy(),
            "subject": part.subject.to_numpy() if "subject" in part else part.video_id.to_numpy(),
            "split": split,
            "truth": pd.Categorical.from_codes(truth, names, ordered=True),
            "predicted": pd.Categorical.from_codes(said, names, ordered=True),
            "p_truth": probability[rows, truth],
            "p_said": probability[rows, said],
            "right": truth == said,
        }
    )
    groups = names if interviews else list(GROUPS)
    for column, labels in (("truth", truth), ("predicted", said)):
        of = answers[column] if interviews else [group_of(label) for label in labels.tolist()]
        answers[f"{column}_group"] = pd.Categorical(of, groups, ordered=True)
    return answers


def confusion_counts(answers: pd.DataFrame, by: str = "class") -> pd.DataFrame:
    """Items of each truth (rows) by what they were taken for (columns), of those that occur.

    Args:
        by: `class`, or `group` of the body part.
    """
    truth, said = columns_of(by)
    counts = pd.crosstab(answers[truth], answers[said], dropna=False)
    occur = [n for n in counts.index if counts.loc[n].any() or counts.get(n, pd.Series([0])).any()]
    return counts.reindex(index=occur, columns=occur, fill_value=0)


def columns_of(by: str) -> tuple[str, str]:
    return {"class": ("truth", "predicted"), "group": ("truth_group", "predicted_group")}[by]


def in_cell(answers: pd.DataFrame, truth: str, said: str, by: str = "class") -> pd.DataFrame:
    """The answers of one cell of `confusion_counts`, the most confident first."""
    columns = columns_of(by)
    here = (answers[columns[0]] == truth) & (answers[columns[1]] == said)
    return answers[here].sort_values("p_said", ascending=False, kind="stable")


def hardest(answers: pd.DataFrame, most: int = 20) -> pd.DataFrame:
    """Wrong answers, first those that gave the truth the least probability."""
    wrong = answers[~answers.right]
    return wrong.sort_values("p_truth", kind="stable").head(most)


def share_table(answers: pd.DataFrame, by: str) -> pd.DataFrame:
    """The share of right answers by `subject`, `truth` or another column, with Wilson's interval.

    Clips of one video, and interviews of one person, are not independent: the true intervals are
    wider. Columns: n, right, share, low, high (95 %), taken_for (the commonest wrong answer).
    """
    rows = {}
    for name, part in answers.groupby(by, observed=True):
        n, right = len(part), int(part.right.sum())
        low, high = wilson_interval(right, n)
        wrong = part.predicted[~part.right].value_counts()
        taken_for = wrong.index[0] if n > right else ""
        rows[name] = (n, right, right / n, low, high, taken_for)
    columns = ["n", "right", "share", "low", "high", "taken_for"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis(by)


def confidence_bins(answers: pd.DataFrame, bins: int = 10) -> pd.DataFrame:
    """By the probability of the answer: its mean, the share of right ones, the interval, and n."""
    place = np.minimum((answers.p_said.to_numpy() * bins).astype(int), bins - 1)
    rows = []
    for number in np.unique(place):
        here = answers[place == number]
        low, high = wilson_interval(int(here.right.sum()), len(here))
        rows.append((here.p_said.mean(), here.right.mean(), low, high, len(here)))
    return pd.DataFrame(rows, columns=["confidence", "right", "low", "high", "n"])


NAME_WIDTH = 30  # letters
HANG_TOGETHER = "intervals take the items as independent; those of one video or person are not"


def confusion(run: Run, answers: pd.DataFrame, by: str = "class") -> go.Figure:
    """The share of each truth (rows) that was taken for each answer, with counts.

    Args:
        by: `class`, or `group` of the body part.
    """
    counts = confusion_counts(answers, by)
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    figure = go.Figure(
        go.Heatmap(
            z=shares.to_numpy(),
            x=[shorten(name) for name in counts.columns],
            y=[shorten(name) for name in counts.index],
            text=counts.to_numpy(),
            texttemplate="%{text}",
            colorscale="Blues",
            zmin=0,
            zmax=1,
            colorbar={"title": "share"},
            hovertemplate="%{y}<br>taken for %{x}<br>%{text} items<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="taken for", automargin=True)
    figure.update_yaxes(autorange="reversed", automargin=True)
    title = f"Which {by} is taken for which on {part_of(answers)}"
    return styled(figure, title, notes_of(run), height=260 + 30 * len(counts))


def part_of(answers: pd.DataFrame) -> str:
    """Which items these are, and how many."""
    return f"{answers.split.iloc[0]} (n={len(answers)})"


def shorten(name: str) -> str:
    """At most `NAME_WIDTH` letters; the classes of iMiGUE stay apart."""
    return name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…"


def confidence(run: Run, answers: pd.DataFrame, bins: int = 10) -> go.Figure:
    """The share of right answers among those given with a like probability.

    On the diagonal a probability means what it says; below it the model is too sure. Bars are 95 %
    Wilson intervals.
    """
    binned = confidence_bins(answers, bins)
    figure = go.Figure()
    line = {"color": NEUTRAL, "dash": "dash"}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=line, name="means what it says")
    figure.add_scatter(
        x=binned.confidence,
        y=binned.right,
        mode="markers+text",
        text=[f"n={n}" for n in binned.n],
        textposition="middle right",
        marker={"color": CONTEXT, "size": 9},
        error_y={
            "type": "data",
            "array": binned.high - binned.right,
            "arrayminus": binned.right - binned.low,
        },
        name="answers",
    )
    figure.update_xaxes(title_text="mean probability of the answer", range=[0, 1.08])
    figure.update_yaxes(title_text="share of right answers", range=[-0.02, 1.04])
    notes = [*notes_of(run), HANG_TOGETHER]
    return styled(figure, f"Reliability on {part_of(answers)}", notes, height=480)


def shares(run: Run, answers: pd.DataFrame, by: str = "subject") -> go.Figure:
    """The share of right answers of each subject, or class, with its interval and n."""
    table = share_table(answers, by).sort_values("share", kind="stable")
    figure = go.Figure(
        go.Scatter(
            x=table.share,
            y=[f"{name} (n={n})" for name, n in zip(table.index, table.n, strict=True)],
            mode="markers",
            marker={"color": CONTEXT, "size": 9},
            error_x={
                "type": "data",
                "array": table.high - table.share,
                "arrayminus": table.share - table.low,
            },
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
        )
    )
    mean = float(answers.right.mean())
    figure.add_vline(mean, line={"dash": "dash", "color": NEUTRAL}, annotation_text="all")
    figure.update_xaxes(title_text="share of right answers", range=[-0.02, 1.02])
    figure.update_yaxes(automargin=True, dtick=1)
    what = "class" if by == "truth" else by
    title = f"Right answers by {what} on {part_of(answers)}"
    notes = [*notes_of(run), HANG_TOGETHER]
    return styled(figure, title, notes, height=230 + 24 * len(table))


def error_figures(run: Run, answers: pd.DataFrame) -> dict[str, go.Figure]:
    """All of them, by the name that `keep_figures` gives their files; groups are of clips alone."""
    figures = {
        "confusion": confusion(run, answers),
        "right_by_class": shares(run, answers, "truth"),
        "right_by_subject": shares(run, answers),
        "reliability": confidence(run, answers),
    }
    if not (answers.truth.astype(str) == answers.truth_group.astype(str)).all():
        figures["confusion_by_group"] = confusion(run, answers, by="group")
    return figures


class Choice(NamedTuple):
    """A clip, and a sentence on why it was chosen."""

    clip_id: str
    why: str


def choose_clip(run: Run, clip_id: str = "") -> Choice:
    """The named clip, or the held-out one that is told right with most confidence.

    Raises:
        RunError: the run predicts no clip of that name, or none from both modalities.
    """
    predictions = run.predictions()
    if clip_id:
        named = predictions[predictions.clip_id == clip_id]
        if named.empty:
            raise RunError(f"{run.folder.name}: predicts no clip {clip_id!r}; name another")
        return Choice(clip_id, f"clip {clip_id} of {named.split.iloc[0]}, as named")
    both = predictions[predictions.based_on == "both"]
    if both.empty:
        raise RunError(f"{run.folder.name}: decides no clip from both modalities")
    held_out = both[both.split != "train"]
    part = both if held_out.empty else held_out
    right = part[part.label == part.predicted]
    told = "told right" if len(right) else "of which none is told right,"
    part = part if right.empty else right
    sure = probabilities(part).max(axis=1)
    best = part.iloc[int(sure.argmax())]
    return Choice(
        str(best.clip_id),
        f"clip {best.clip_id} of {best.split}: of those decided from both modalities and {told}"
        f" with most confidence, {sure.max():.2f} for {name_of(int(best.predicted))}",
    )

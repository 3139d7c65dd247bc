"""Figures of what a run answered: which is taken for which, and whether it knows it is right."""

import pandas as pd
import plotly.graph_objects as go

from imigue_lab.training.runs import Run
from imigue_lab.views.answers import confidence_bins, confusion_counts, share_table
from imigue_lab.views.learning import notes_of
from imigue_lab.views.style import CONTEXT, NEUTRAL, styled

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

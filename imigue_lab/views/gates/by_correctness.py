"""Gates of the interviews that a run predicts correctly and of those it predicts incorrectly.

Letters in shapes: N interviews, Q quantities, R resamples.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float

from imigue_lab.training.emotion.data import EmotionData
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import clusters_of, labelled, predicted_of
from imigue_lab.training.statistics import draw_groups, percentiles
from imigue_lab.views.gates.interview import compute_gates, load_gated, whole_interview
from imigue_lab.views.style import NEGATIVE, POSITIVE, empty_figure, notes_of, styled

LOOKS = {"correct": (POSITIVE, "circle"), "incorrect": (NEGATIVE, "diamond")}


def mean_gates(run: Run, data: EmotionData) -> pd.DataFrame:
    """One row for each test interview whose outcome is known; errors as of `load_gated`.

    Columns: video_id, subject, correctness (`correct` or `incorrect`) and the columns of
    `Gates.per_window`, averaged over windows with a face; null where an interview shows no face.
    """
    model = load_gated(run, data)
    known = labelled(run.predictions(), "test")
    known = known.assign(correct=predicted_of(known) == known.outcome)
    names, rows = run.outcomes(), []
    for interview in known.itertuples():
        gates = compute_gates(model, whole_interview(data, str(interview.video_id)), names)
        row = {"video_id": interview.video_id, "subject": interview.subject}
        row["correctness"] = "correct" if interview.correct else "incorrect"
        rows.append(row | gates.per_window[gates.face_seen].astype(float).mean().to_dict())
    return pd.DataFrame(rows)


def compare_by_correctness(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of each quantity in `mean_gates` by correctness, and the difference of the two.

    The 95 % intervals are over draws of whole subjects, because interviews of one subject are not
    independent; an interval that contains 0 shows no difference. Null where either group has fewer
    than two interviews.
    """
    subject, names = pd.factorize(clusters_of(table)[0])
    draws = draw_groups(len(names), seed=0)[:, subject]
    values = table.filter(like="stage").astype(float)
    groups = [(table.correctness == name).to_numpy(dtype=float) for name in LOOKS]
    means = [weighted_means(values.to_numpy(), group[None])[0] for group in groups]
    drawn = [weighted_means(values.to_numpy(), draws * group) for group in groups]
    found: dict[str, tuple[float, float]] = {}
    if min(group.sum() for group in groups) > 1:
        found = percentiles(dict(zip(values, (drawn[0] - drawn[1]).T, strict=True)), len(names))
    low, high = zip(*(found.get(name, (np.nan, np.nan)) for name in values), strict=True)
    compared = pd.DataFrame({"quantity": values.columns, **dict(zip(LOOKS, means, strict=True))})
    compared = compared.assign(difference=means[0] - means[1], low=low, high=high)
    counts = {f"n {name}": int(group.sum()) for name, group in zip(LOOKS, groups, strict=True)}
    return compared.assign(**counts)


def weighted_means(
    values: Float[np.ndarray, "N Q"], weights: Float[np.ndarray, "R N"]
) -> Float[np.ndarray, "R Q"]:
    """Of the values that are not null; NaN where none of them has weight."""
    total = weights @ ~np.isnan(values)
    sums = weights @ np.nan_to_num(values)
    return np.divide(sums, total, out=np.full(total.shape, np.nan), where=total > 0)


def gates_by_correctness(run: Run, table: pd.DataFrame) -> go.Figure:
    """`mean_gates`: a mark an interview, a bar a mean, and the difference of means at the right."""
    title = "Gates of correctly and incorrectly predicted test interviews"
    if table.empty:
        return empty_figure("No outcome of test is known.", title, notes_of(run))
    figure = go.Figure()
    compared = compare_by_correctness(table)
    for correctness, (colour, symbol) in LOOKS.items():
        own = table[table.correctness == correctness]
        long = own.melt(["video_id", "subject", "correctness"], var_name="quantity").dropna()
        shared: dict[str, object] = {"mode": "markers", "orientation": "h", "cliponaxis": False}
        figure.add_scatter(
            x=long.value,
            y=long.quantity,
            customdata=long.video_id,
            marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.55},
            name=f"{correctness} (n={len(own)})",
            offsetgroup=correctness,
            hovertemplate="interview %{customdata}: %{x:.3f}<extra></extra>",
            **shared,
        )
        figure.add_scatter(
            x=compared[correctness],
            y=compared.quantity,
            marker={"color": colour, "symbol": "line-ns-open", "size": 26, "line_width": 3},
            name=f"mean of {correctness}",
            offsetgroup=correctness,
            hovertemplate="mean: %{x:.3f}<extra></extra>",
            **shared,
        )
    figure.update_layout(scattermode="group", scattergap=0.4)
    beside = {"x": 1.01, "xref": "paper", "xanchor": "left", "showarrow": False}
    for row in compared.itertuples():
        interval = "" if np.isnan(row.low) else f" ({row.low:+.3f} to {row.high:+.3f})"
        figure.add_annotation(text=f"{row.difference:+.3f}{interval}", y=row.quantity, **beside)
    head = {"text": "correct − incorrect (95 %)", "y": 1.02, "yref": "paper", "yanchor": "bottom"}
    figure.add_annotation(**head, **beside)
    figure.update_xaxes(title_text="mean gate, or share by vector length")
    figure.update_yaxes(autorange="reversed", automargin=True)
    drawn = f"{table.subject.nunique()} {clusters_of(table)[1]}"
    remark = f"intervals over draws of {drawn}; one that contains 0 shows no difference"
    return styled(figure, title, [*notes_of(run), remark], 230 + 62 * len(compared), r=190)

"""Gates of the interviews that were told right beside those that were told wrong.

Letters in shapes: N interviews, R resamples.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float

from imigue_lab.training.emotion.data import EmotionData
from imigue_lab.training.runs import Run
from imigue_lab.training.statistics import draw_groups
from imigue_lab.views.gates.values import gates_of, load_gated, whole_interview
from imigue_lab.views.style import LOSE, WIN, empty_figure, notes_of, styled

TOLD = {"right": WIN, "wrong": LOSE}
SYMBOLS = {"right": "circle", "wrong": "diamond"}


def mean_gates(run: Run, data: EmotionData, split: str = "test") -> pd.DataFrame:
    """One row an interview of a part whose outcome is known.

    Columns: video_id, subject, told (right or wrong), and for each stage `gate, stage 1` (the mean
    over windows with a face and channels), `face in context, stage 1`, `context in face, stage 1`
    (means over windows). Null where an interview shows no face.

    Raises:
        RunError: the run's model has no gates.
    """
    model = load_gated(run, data)
    predictions = run.predictions()
    part = predictions[(predictions.split == split) & predictions.outcome.notna()]
    rows = []
    for interview in part.itertuples():
        gates = gates_of(model, whole_interview(data, str(interview.video_id)))
        right = (interview.probability >= 0.5) == (interview.outcome == 1)
        row = {
            "video_id": interview.video_id,
            "subject": interview.subject,
            "told": "right" if right else "wrong",
        }
        pairs = zip(gates.stages, gates.taken, strict=True)
        for stage, (gate, taken) in enumerate(pairs, start=1):
            seen = gate[gates.face_seen]
            row[f"gate, stage {stage}"] = float(seen.mean()) if len(seen) else np.nan
            for name in taken:
                row[f"{name}, stage {stage}"] = float(taken[name][gates.face_seen].mean())
        rows.append(row)
    return pd.DataFrame(rows)


def compare(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Mean of each quantity among right and wrong, and their difference with its interval.

    The intervals are 95 % percentiles over draws of whole subjects, whose interviews hang together;
    an interval that holds 0 tells no difference. Null where either has fewer than two interviews.

    Args:
        table: of `mean_gates`.
    """
    subject, names = pd.factorize(table.subject)
    draws = draw_groups(len(names), seed)[:, subject]
    once = np.ones((1, len(table)))
    right = (table.told == "right").to_numpy()
    counts = {"n right": int(right.sum()), "n wrong": int((~right).sum())}
    rows = []
    for name in (column for column in table.columns if "stage" in column):
        value = table[name].to_numpy(dtype=float)
        of_right, of_wrong = (
            float(weighted_mean(value, once * told)[0]) for told in (right, ~right)
        )
        difference = weighted_mean(value, draws * right) - weighted_mean(value, draws * ~right)
        low = high = np.nan
        if min(counts.values()) > 1:
            low, high = np.nanquantile(difference, [0.025, 0.975])
        means = {"right": of_right, "wrong": of_wrong, "difference": of_right - of_wrong}
        rows.append({"quantity": name, **means, "low": low, "high": high, **counts})
    return pd.DataFrame(rows)


def weighted_mean(
    value: Float[np.ndarray, " N"], weights: Float[np.ndarray, "R N"]
) -> Float[np.ndarray, " R"]:
    """Of the values that are there; NaN where none of them has weight."""
    there = ~np.isnan(value)
    total = weights[:, there].sum(axis=1)
    sums = weights[:, there] @ value[there]
    return np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0)


def right_and_wrong(run: Run, table: pd.DataFrame, split: str = "test") -> go.Figure:
    """A mark an interview, a bar the mean with its difference below."""
    title = f"Gates of {split} interviews told right and wrong"
    if table.empty:
        return empty_figure(f"No outcome of {split} is known.", title, notes_of(run))
    figure = go.Figure()
    compared = compare(table)
    for told, colour in TOLD.items():
        part = table[table.told == told]
        long = part.melt(["video_id", "subject", "told"], var_name="quantity").dropna()
        figure.add_scatter(
            x=long.value,
            y=long.quantity,
            customdata=long.video_id,
            mode="markers",
            marker={"color": colour, "symbol": SYMBOLS[told], "size": 7, "opacity": 0.55},
            name=f"told {told} (n={len(part)})",
            hovertemplate="interview %{customdata}: %{x:.3f}<extra></extra>",
            offsetgroup=told,
            orientation="h",
            cliponaxis=False,
        )
        figure.add_scatter(
            x=compared[told],
            y=compared.quantity,
            mode="markers",
            marker={"color": colour, "symbol": "line-ns-open", "size": 26, "line_width": 3},
            name=f"mean of {told}",
            hovertemplate="mean: %{x:.3f}<extra></extra>",
            offsetgroup=told,
            orientation="h",
            cliponaxis=False,
        )
    figure.update_layout(scattermode="group", scattergap=0.4)
    for row in compared.itertuples():
        text = f"{row.difference:+.3f}"
        if not np.isnan(row.low):
            text += f" ({row.low:+.3f} to {row.high:+.3f})"
        figure.add_annotation(
            text=text, x=1.01, xref="paper", xanchor="left", y=row.quantity, showarrow=False
        )
    head = {"x": 1.01, "xref": "paper", "xanchor": "left", "y": 1.02, "yref": "paper"}
    figure.add_annotation(text="right − wrong (95 %)", showarrow=False, yanchor="bottom", **head)
    figure.update_xaxes(title_text="mean gate, or share by length")
    figure.update_yaxes(autorange="reversed", automargin=True)
    notes = [*notes_of(run), "intervals over draws of subjects; one that holds 0 tells nothing"]
    figure = styled(figure, title, notes, height=230 + 62 * len(compared))
    return figure.update_layout(margin_r=190)

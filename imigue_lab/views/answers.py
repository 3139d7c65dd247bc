"""Predictions of a finished run, one table for all tasks, figures of its errors, learning curves.

One row per clip or interview of a split whose truth is known. Columns:

    item               clip id, or video id of an interview
    video_id, subject, split
    truth, predicted   classes as `Vocabulary.label` shows them, or outcomes: ordered categories
    truth_group, predicted_group   of clips whose classes have groups only
    p_truth, p_predicted           probabilities of these two classes
    correct            truth == predicted
    p_positive         interviews only: probability of the last of two outcomes; null of more
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Bool, Float
from plotly.subplots import make_subplots

from imigue_lab.errors import RunError
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import clusters_of, labelled, predicted_of, probabilities, truth_of
from imigue_lab.training.statistics import Clusters, interval_of_share
from imigue_lab.views.style import CONTEXT, FACE, NEUTRAL, POSITIVE, interval_bars, notes_of, styled

NAME_WIDTH = 30  # characters
COLUMNS = {"class": ("truth", "predicted"), "group": ("truth_group", "predicted_group")}
TRAIN = ("train_loss", "train loss", CONTEXT, 1)
LINES = {  # by the monitored column: column, name, colour, subplot
    "validation_loss": (  # emotion
        TRAIN,
        ("validation_loss", "validation loss", FACE, 1),
        ("validation_accuracy", "accuracy", POSITIVE, 2),
        ("validation_balanced_accuracy", "balanced accuracy", NEUTRAL, 2),
        ("validation_auc", "AUC", "#222222", 2),  # of two outcomes
        ("probe_accuracy", "linear probe", "#b0413e", 2),  # of pre-training
    ),
    "validation_error": (  # gestures, baselines, recognition
        TRAIN,
        ("validation_top1", "top-1", POSITIVE, 2),
        ("validation_top5", "top-5", NEUTRAL, 2),
        ("validation_macro_f1", "macro F1", FACE, 2),
        ("validation_f1", "F1", "#222222", 2),  # of recognition
    ),
    "train_loss": (TRAIN,),  # after a refit there is no validation
}


def read_predictions(run: Run, split: str = "") -> pd.DataFrame:
    """Predictions of a gesture, baseline or emotion run where the truth is known.

    The default split is test, or validation where the truth of test is hidden. Raises RunError
    where no truth of the split is known.
    """
    table = run.predictions()
    interviews = "outcome" in table
    if not split:
        split = "validation" if labelled(table, "test").empty else "test"
    part = labelled(table, split)
    if part.empty:
        raise RunError(f"{run.folder}: no truth of {split} is known; choose another split")
    probability, truth = probabilities(part), truth_of(part).to_numpy(dtype=int)
    predicted, vocabulary = predicted_of(part), run.vocabulary()
    names = list(map(vocabulary.label, range(len(vocabulary))))
    names = list(run.outcomes()) if interviews else names
    rows = np.arange(len(part))
    predictions = pd.DataFrame(
        {
            "item": part["video_id" if interviews else "clip_id"].to_numpy(),
            "video_id": part.video_id.to_numpy(),
            "subject": clusters_of(part)[0].to_numpy(),
            "split": split,
            "truth": pd.Categorical.from_codes(truth, names, ordered=True),
            "predicted": pd.Categorical.from_codes(predicted, names, ordered=True),
            "p_truth": probability[rows, truth],
            "p_predicted": probability[rows, predicted],
            "correct": truth == predicted,
        }
    )
    if interviews:
        predictions["p_positive"] = probability[:, 1] if "probability" in part else np.nan
    groups = () if interviews else vocabulary.group_names
    for column, labels in (("truth", truth), ("predicted", predicted)) if groups else ():
        of = [vocabulary.groups[label] for label in labels.tolist()]
        predictions[f"{column}_group"] = pd.Categorical(of, groups, ordered=True)
    return predictions


def confusion_counts(predictions: pd.DataFrame, by: str = "class") -> pd.DataFrame:
    """The confusion matrix: true classes (rows) by predicted ones (columns), of those that occur.

    `by` is `class`, or `group` of the body part.
    """
    truth, predicted = COLUMNS[by]
    counts = pd.crosstab(predictions[truth], predictions[predicted], dropna=False)
    occur = [n for n in counts.index if counts.loc[n].any() or counts.get(n, pd.Series([0])).any()]
    return counts.reindex(index=occur, columns=occur, fill_value=0)


def in_cell(predictions: pd.DataFrame, truth: str, predicted: str, by="class") -> pd.DataFrame:
    """The items of one cell of `confusion_counts`, the most confident first."""
    cell = (predictions[list(COLUMNS[by])] == [truth, predicted]).all(axis=1)
    return predictions[cell].sort_values("p_predicted", ascending=False, kind="stable")


def hardest(predictions: pd.DataFrame, most: int = 20) -> pd.DataFrame:
    """Incorrect predictions, the lowest probability of the truth first."""
    incorrect = predictions[~predictions.correct]
    return incorrect.sort_values("p_truth", kind="stable").head(most)


def accuracy_table(predictions: pd.DataFrame, by: str) -> pd.DataFrame:
    """Accuracy by `subject`, `truth` or another column, with its interval over other subjects.

    Of one subject, over other videos; see `interval_of_share`. Columns: n, correct, accuracy, low,
    high (95 %), confused_with (the most frequent incorrect class; null where all are correct).
    """
    rows = {}
    for name, part in predictions.groupby(by, observed=True):
        n, correct = len(part), int(part.correct.sum())
        cluster = part.video_id if by == "subject" else part.subject
        low, high = interval_of_share(part.correct.to_numpy(), cluster)
        incorrect = part.predicted[~part.correct].value_counts()
        confused_with = incorrect.index[0] if n > correct else None
        rows[name] = (n, correct, correct / n, low, high, confused_with)
    columns = ["n", "correct", "accuracy", "low", "high", "confused_with"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis(by)


def reliability_bins(
    probability: Float[np.ndarray, " N"],
    occurred: Bool[np.ndarray, " N"],
    bins: int,
    cluster: Clusters,
) -> pd.DataFrame:
    """Mean probability of an event, how often it occurred with its interval, and n, by bin.

    Columns: probability, share, low, high (95 %), n; bins without items are left out.
    """
    number = np.minimum((probability * bins).astype(int), bins - 1)
    rows = []
    for own in (number == n for n in np.unique(number)):
        low, high = interval_of_share(occurred[own], cluster[own])
        rows.append((probability[own].mean(), occurred[own].mean(), low, high, own.sum()))
    return pd.DataFrame(rows, columns=["probability", "share", "low", "high", "n"])


def confusion(run: Run, predictions: pd.DataFrame, by: str = "class") -> go.Figure:
    """`confusion_counts` as a heat map, coloured by their share of the true class."""
    counts = confusion_counts(predictions, by)
    names = [shorten(name) for name in counts.index]
    names = names if len(set(names)) == len(names) else list(counts.index)
    figure = go.Figure()
    figure.add_heatmap(
        z=counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy(),
        x=names,
        y=names,
        text=counts.to_numpy(),
        texttemplate="%{text}",
        colorscale="Blues",
        zmin=0,
        zmax=1,
        colorbar={"title": "share"},
        hovertemplate="true: %{y}<br>predicted: %{x}<br>%{text} items<extra></extra>",
    )
    figure.update_xaxes(title_text=f"predicted {by}", automargin=True)
    figure.update_yaxes(title_text=f"true {by}", autorange="reversed", automargin=True)
    grouped = "" if by == "class" else f" by {by}"
    title = f"Confusion matrix{grouped} on {split_of(predictions)}"
    return styled(figure, title, notes_of(run), height=260 + 30 * len(counts))


def split_of(predictions: pd.DataFrame) -> str:
    """The split, and the number of items."""
    return f"{predictions.split.iloc[0]} (n={len(predictions)})"


def shorten(name: str) -> str:
    """At most `NAME_WIDTH` characters."""
    return name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…"


def reliability(run: Run, predictions: pd.DataFrame) -> go.Figure:
    """The reliability diagram: observed frequency against predicted probability, in bins.

    Of two outcomes: share of the positive one by its probability. Of more, and of clips: share of
    correct predictions by their confidence. Interviews are in 5 bins, clips in 10. Calibrated
    probabilities follow the diagonal; below it the model is overconfident. Bars are 95 % intervals
    over other subjects, long where a bin has few of them.
    """
    items, bins = ("interviews", 5) if "p_positive" in predictions else ("clips", 10)
    names = predictions.truth.cat.categories
    if items == "interviews" and len(names) == 2:
        probability, occurred = predictions.p_positive, predictions.truth == names[1]
        x, y = f"mean predicted probability of {names[1]}", f"share of {names[1]}"
    else:
        probability, occurred = predictions.p_predicted, predictions.correct
        x, y = "mean confidence", "share of correct predictions"
    subject = predictions.subject
    binned = reliability_bins(probability.to_numpy(), occurred.to_numpy(), bins, subject)
    figure = go.Figure()
    line = {"color": NEUTRAL, "dash": "dash"}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=line, name="calibrated")
    figure.add_scatter(
        x=binned.probability,
        y=binned.share,
        mode="markers+text",
        text=[f"n={n}" for n in binned.n],
        textposition="middle right",
        marker={"color": CONTEXT, "size": 9},
        error_y=interval_bars(binned.share, binned.low, binned.high),
        name=f"{predictions.split.iloc[0]} {items}",
    )
    figure.update_xaxes(title_text=x, range=[0, 1.08])
    figure.update_yaxes(title_text=y, range=[-0.02, 1.04])
    notes = [*notes_of(run), f"intervals over {subject.nunique()} {clusters_of(predictions)[1]}"]
    return styled(figure, f"Reliability on {split_of(predictions)}", notes, height=480)


def accuracies(run: Run, predictions: pd.DataFrame, by: str = "subject") -> go.Figure:
    """Accuracy of each subject, or class (`by="truth"`), with its interval and n."""
    table = accuracy_table(predictions, by).sort_values("accuracy", kind="stable")
    figure = go.Figure()
    figure.add_scatter(
        x=table.accuracy,
        y=[f"{name} (n={n})" for name, n in table.n.items()],
        mode="markers",
        marker={"color": CONTEXT, "size": 9},
        error_x=interval_bars(table.accuracy, table.low, table.high),
        hovertemplate="%{y}: %{x:.2f}<extra></extra>",
    )
    mean = float(predictions.correct.mean())
    figure.add_vline(mean, line={"dash": "dash", "color": NEUTRAL}, annotation_text="all")
    figure.update_xaxes(title_text="accuracy", range=[-0.02, 1.02])
    figure.update_yaxes(automargin=True, dtick=1)
    title = f"Accuracy by {'class' if by == 'truth' else by} on {split_of(predictions)}"
    unit = "subjects of each class" if by == "truth" else "videos of each subject"
    notes = [*notes_of(run), f"intervals over the {unit}"]
    return styled(figure, title, notes, height=230 + 24 * len(table))


def learning_curves(run: Run) -> go.Figure:
    """Losses and validation scores by epoch; a dotted line marks the kept epoch.

    With a memory bank the training loss rises during the ramp of alpha.
    """
    metrics = run.metrics()
    monitor = next(column for column in LINES if column in metrics)
    # With a memory bank the epochs of warm-up, in which the bank is not read, do not count.
    settings = run.settings()["settings"]
    warmup = settings["warmup"] if settings.get("memory") else 0
    best = metrics[monitor][warmup if len(metrics) > warmup else 0 :].idxmin() + 1
    if settings.get("keep") == "last" or monitor == "train_loss":
        best = len(metrics)
    figure = make_subplots(rows=1, cols=2, subplot_titles=("loss", "validation"))
    lines = [line for line in LINES[monitor] if line[0] in metrics]
    for column, name, colour, place in lines:
        look = {"name": name, "mode": "lines+markers", "line_color": colour}
        figure.add_scatter(x=metrics.epoch + 1, y=metrics[column], row=1, col=place, **look)
    figure.add_vline(x=best, line_dash="dot", annotation_text="kept", col=1)
    figure.add_vline(x=best, line_dash="dot", col=2)
    figure.update_xaxes(title_text="epoch")
    figure.update_yaxes(rangemode="tozero", row=1, col=1)
    figure.update_yaxes(range=[0, 1.02], row=1, col=2)
    return styled(figure, f"Learning curves of {run.folder.name}", notes_of(run), height=440)


def error_figures(run: Run, predictions: pd.DataFrame) -> dict[str, go.Figure]:
    """The figures of predictions by the name of their file; those of groups if there are any."""
    figures = {
        "confusion": confusion(run, predictions),
        "accuracy_by_class": accuracies(run, predictions, "truth"),
        "accuracy_by_subject": accuracies(run, predictions),
        "reliability": reliability(run, predictions),
    }
    if "truth_group" in predictions:
        figures["confusion_by_group"] = confusion(run, predictions, by="group")
    return figures


def choose_clip(run: Run, clip_id: str = "") -> tuple[str, str]:
    """The named clip, or the held-out one that is predicted correctly with most confidence; and a
    sentence that explains why it was chosen.

    Raises RunError where the run has no prediction of that clip, or none based on both modalities.
    """
    predictions = run.predictions()
    if clip_id:
        named = predictions[predictions.clip_id == clip_id]
        if named.empty:
            raise RunError(
                f"{run.folder.name}: no prediction of clip {clip_id!r}; choose another clip"
            )
        return clip_id, f"clip {clip_id} of {named.split.iloc[0]}, as requested"
    both = predictions[predictions.based_on == "both"]
    if both.empty:
        raise RunError(f"{run.folder.name}: no prediction is based on both modalities")
    held_out = both[both.split != "train"]
    part = both if held_out.empty else held_out
    correct = part[part.label == part.predicted]
    kind = "incorrect prediction (none is correct)" if correct.empty else "correct prediction"
    part = part if correct.empty else correct
    confidence = probabilities(part).max(axis=1)
    best = part.iloc[int(confidence.argmax())]
    return str(best.clip_id), (
        f"clip {best.clip_id} of {best.split}: the most confident {kind} based on both modalities,"
        f" {confidence.max():.2f} for {run.vocabulary().label(int(best.predicted))}"
    )

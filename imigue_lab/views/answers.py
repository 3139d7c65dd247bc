"""What a finished run answered, in one form for all tasks: a row a clip or interview of a part.

Columns: item (clip or video id), video_id, subject, split, truth, said (names of classes, ordered),
truth_group, said_group (of the body part; the class itself for interviews), p_truth, p_said (the
probabilities of the two), right.
"""

import numpy as np
import pandas as pd

from imigue_lab.data.classes import GROUPS, OUTCOMES, group_of
from imigue_lab.errors import RunError
from imigue_lab.training.gesture_scores import labelled, name_of, probabilities
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import wilson_interval


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
            "said": pd.Categorical.from_codes(said, names, ordered=True),
            "p_truth": probability[rows, truth],
            "p_said": probability[rows, said],
            "right": truth == said,
        }
    )
    groups = names if interviews else list(GROUPS)
    for column, labels in (("truth", truth), ("said", said)):
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
    return {"class": ("truth", "said"), "group": ("truth_group", "said_group")}[by]


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
        wrong = part.said[~part.right].value_counts()
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

"""Agreement on the classes of clips and found segments: of two people, or of a person and a run.

A person is a CSV of corrections, or `FILE:NAME` for one of several people in it; a rejected item
is of a class of its own. Items are joined by id, found segments by video, frames and class.
Letters in shapes: G clusters, R resamples.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from imigue_lab.data.corrections import read_corrections, read_rows_of
from imigue_lab.data.index import Survey
from imigue_lab.data.layouts.tables import read_table
from imigue_lab.data.vocabulary import OWN, Vocabulary
from imigue_lab.errors import DataError, some
from imigue_lab.training.runs import Run, find_run
from imigue_lab.training.scores import clusters_of, predicted_of
from imigue_lab.training.statistics import draw_groups, interval_of_share, percentiles


def find_person(side: str) -> tuple[Path, str] | None:
    """The CSV of corrections and the name in it; None for a side that is something else."""
    for file, name in ((side, ""), side.rpartition(":")[::2]):
        if (path := Path(file).expanduser()).suffix.lower() == ".csv" and path.is_file():
            columns = read_table(path, [], Survey(path.parent, "corrections")).columns
            return (path, name) if {"kind", "previous"} <= {*columns} else None
    return None


def agree_on_clips(a: str, b: str) -> tuple[pd.DataFrame, list[str]]:
    """One row: n, agreed, share and Cohen's kappa with their 95 % intervals, clusters; and remarks.

    Intervals are over draws of subjects, or of videos where no run names the subjects: one of the
    sides, or that in whose folder a CSV is. Raises DataError for a file that cannot be used or
    without an item of the other side, RunError for a run that does not exist.
    """
    runs = [run for side in (a, b) if (run := run_beside(side))]
    vocabulary = runs[0].vocabulary() if runs else names_in(a, b)
    one, two = (read_decisions(side, vocabulary) for side in (a, b))
    both = one.join(two.label.rename("other"), how="inner")
    if both.empty:
        todo = "name sides of the same clips"
        raise DataError.expected(b, f"items that {a} decides too", "none", todo)
    cluster, unit = both.video_id, "videos"
    if runs:
        predictions = runs[0].predictions()
        subjects, unit = clusters_of(predictions)
        cluster = both.video_id.map(dict(zip(predictions.video_id, subjects, strict=True)))
    equal = (both.label == both.other).to_numpy()
    row = {"n": len(both), "agreed": equal.sum(), "share": equal.mean()}
    row |= zip(("low", "high"), interval_of_share(equal, cluster), strict=True)
    names = "kappa", "kappa_low", "kappa_high"
    row |= zip(names, kappa_over_clusters(both.label, both.other, cluster), strict=True)
    row["clusters"] = f"{cluster.nunique()} {unit}"
    shown = {-1: "rejected", **dict(enumerate(vocabulary.classes))}
    pairs = both[~equal].value_counts(["label", "other"]).head(5)
    remarks = [f"{n} are {shown[p]} in A, {shown[q]} in B" for (p, q), n in pairs.items()]
    alone = f"{len(one) - len(both)} items of A alone, {len(two) - len(both)} of B alone"
    return pd.DataFrame([row]), [*remarks, f"not compared: {alone}"]


def run_beside(side: str) -> Run | None:
    """The run that a side is, or in whose folder it is."""
    if not (person := find_person(side)):
        return find_run(side)
    run = Run(person[0].parent)
    return run if run.finished else None


def names_in(*sides: str) -> Vocabulary:
    """Of the classes that occur in files of people."""
    people = [person[0] for side in sides if (person := find_person(side))]
    rows = [row for path in people for row in read_rows_of(path).values()]
    names = {row[column].lower() for row in rows for column in ("class", "previous")} - {""}
    return Vocabulary.from_rows(OWN, [{"class": name, "name": ""} for name in sorted(names)])


def read_decisions(side: str, vocabulary: Vocabulary) -> pd.DataFrame:
    """video_id and label (-1 if rejected) of each item, by a person or as a run predicts it."""
    if person := find_person(side):
        path, name = person
        found = read_corrections(path, vocabulary)
        if (not name and found.who.nunique() > 1) or (name and name not in {*found.who}):
            what, todo = f"one of {some(found.who.unique())}", f"name one, as {path.name}:NAME"
            raise DataError.expected(side, what, name or "several people", todo)
        found = found[found.who == name] if name else found
    else:
        found = find_run(side).predictions()
        if "kept" in found:
            found = found[found.kept].assign(item="", before=found.label)
        else:
            found = found.assign(item=found[found.columns[0]], label=predicted_of(found))
    places = [n for n in ("video_id", "start", "end", "before") if n in found]
    segment = found[places].astype(str).agg(" ".join, axis=1)
    key = found["item"].where(found["item"] != "", segment)
    return found[["video_id", "label"]].set_index(key)


def kappa_over_clusters(
    a: pd.Series, b: pd.Series, cluster: pd.Series
) -> tuple[float, float, float]:
    """Cohen's κ and its 95 % interval over draws of clusters; NaN where both have one class.

    κ = (p_o - p_e) / (1 - p_e),  p_e = Σ_c p_a(c) p_b(c)
    """
    tables = [pd.crosstab(cluster.to_numpy(), own.to_numpy()) for own in (a, b)]
    of_a, of_b = (own.to_numpy(float) for own in tables[0].align(tables[1], fill_value=0))
    agreed = pd.Series(a.to_numpy() == b.to_numpy()).groupby(cluster.to_numpy()).sum().to_numpy()

    def kappa(draws: Float[np.ndarray, "R G"]) -> Float[np.ndarray, " R"]:
        n = (draws @ of_a).sum(axis=1)
        chance = ((draws @ of_a) * (draws @ of_b)).sum(axis=1) / n**2
        with np.errstate(invalid="ignore"):
            return (draws @ agreed / n - chance) / (1 - chance)

    groups = len(agreed)
    ends = percentiles({"kappa": kappa(draw_groups(groups, 0))}, groups)
    return float(kappa(np.ones((1, groups)))[0]), *ends.get("kappa", (np.nan, np.nan))

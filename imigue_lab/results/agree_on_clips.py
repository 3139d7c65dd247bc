"""Agreement on the classes of clips and found segments: of two people, or of a person and a run.

A person is a CSV of corrections, of whose rows those of one name count: `FILE:NAME` where there are
several. A rejected item is in a class of its own. Items are joined by id, a found segment by its
video, frames and class; classes are compared by name, ignoring case.
Letters in shapes: N items, G clusters, C classes, R resamples.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from imigue_lab.data.corrections import last_of_each, read_rows_of
from imigue_lab.data.index import Survey
from imigue_lab.data.layouts.tables import read_table
from imigue_lab.errors import DataError, some
from imigue_lab.training.runs import Run, find_run
from imigue_lab.training.scores import clusters_of, predicted_of
from imigue_lab.training.statistics import draw_groups, interval_of_share, percentiles

REJECTED = "(rejected)"


class Side(NamedTuple):
    """Decisions by `key` (see `last_of_each`): video_id and name; and the run, to name subjects."""

    table: pd.DataFrame
    run: Run | None


def find_person(side: str) -> tuple[Path, str] | None:
    """The file and the name of a side that is a CSV of corrections; None for another side."""
    for file, name in ((side, ""), side.rpartition(":")[::2]):
        path = Path(file).expanduser()
        if path.suffix.lower() == ".csv" and path.is_file():
            columns = read_table(path, [], Survey(path.parent, "corrections")).columns
            return (path, name) if {"kind", "previous"} <= {*columns} else None
    return None


def agree_on_clips(a: str, b: str) -> tuple[pd.DataFrame, list[str]]:
    """One row: n, agreed, share with low and high, Cohen's kappa with its interval, clusters; and
    remarks on disagreements and on what was not compared. Intervals are over draws of subjects, or
    of videos where neither side knows their subjects.

    Raises DataError for a file that cannot be used or nothing in common, RunError for no run.
    """
    sides = [read_decisions(side) for side in (a, b)]
    both = sides[0].table.join(sides[1].table.name.rename("name_b"), how="inner")
    if both.empty:
        what, todo = f"items that {a} decides too", "name sides of the same clips"
        raise DataError.expected(b, what, "none", todo)
    run, unit, cluster = next((own.run for own in sides if own.run), None), "videos", both.video_id
    if run:
        predictions = run.predictions()
        subjects, unit = clusters_of(predictions)
        cluster = both.video_id.map(dict(zip(predictions.video_id, subjects, strict=True)))
    equal = (both.name == both.name_b).to_numpy()
    low, high = interval_of_share(equal, cluster)
    kappa, *ends = kappa_over_clusters(both.name, both.name_b, cluster)
    row = {"n": len(both), "agreed": equal.sum(), "share": equal.mean(), "low": low, "high": high}
    row |= {"kappa": kappa, "kappa_low": ends[0], "kappa_high": ends[1]}
    row["clusters"] = f"{cluster.nunique()} {unit}"
    pairs = (both.name + ", " + both.name_b)[~equal].value_counts()
    remarks = [f"{count} are {pair}" for pair, count in pairs.head(5).items()]
    alone = [len(own.table) - len(both) for own in sides]
    remarks.append(f"not compared: {alone[0]} items of {a} alone, {alone[1]} of {b} alone")
    return pd.DataFrame([row]), remarks


def read_decisions(side: str) -> Side:
    """A person's classes, or those that a run predicts."""
    person = find_person(side)
    if person is None:
        found = find_run(side)
        return Side(read_predicted(found), found)
    path, name = person
    rows = last_of_each(read_rows_of(path))
    rows = rows[rows.who == name] if name else rows
    if rows.who.nunique() != 1:
        every = last_of_each(read_rows_of(path)).who.unique()
        got = f"{name!r}, of whom there is no row" if name else some(every) or "none"
        raise DataError.expected(side, "one person", got, f"name one, as {path.name}:NAME")
    names = rows["class"].where(rows.kind == "relabel", rows.previous).str.lower()
    names = names.where(rows.kind != "reject", REJECTED)
    run = Run(path.parent) if (path.parent / "predictions.parquet").exists() else None
    return Side(rows.assign(name=names).set_index("key")[["video_id", "name"]], run)


def read_predicted(run: Run) -> pd.DataFrame:
    """The same of a run of clips, or of the segments that a run of recognition keeps."""
    found, classes = run.predictions(), pd.Series(run.vocabulary().classes)
    if "kept" in found:
        found = found[found.kept]
        places = found[["video_id", "start", "end"]].astype(str).agg(" ".join, axis=1)
        found = found.assign(key=places + " " + classes[found.label].to_numpy())
    else:
        found = found.assign(key=found[found.columns[0]], label=predicted_of(found))
    names = classes[found.label].str.lower().to_numpy()
    return found.assign(name=names).set_index("key")[["video_id", "name"]]


def kappa_over_clusters(
    a: "pd.Series[str]", b: "pd.Series[str]", cluster: "pd.Series[str]"
) -> tuple[float, float, float]:
    """Cohen's κ and its 95 % interval over draws of clusters; NaN where both have one class.

    κ = (p_o - p_e) / (1 - p_e),  p_e = Σ_c p_a(c) p_b(c)
    """
    counts = [pd.crosstab(cluster, own) for own in (a, b)]
    classes = counts[0].columns.union(counts[1].columns)
    of_a, of_b = (own.reindex(columns=classes, fill_value=0).to_numpy(float) for own in counts)
    agreed = pd.Series(a.to_numpy() == b.to_numpy()).groupby(cluster.to_numpy()).sum().to_numpy()

    def kappa(draws: Float[np.ndarray, "R G"]) -> Float[np.ndarray, " R"]:
        n = (draws @ of_a).sum(axis=1)
        chance = ((draws @ of_a) * (draws @ of_b)).sum(axis=1) / n**2
        with np.errstate(invalid="ignore"):
            return (draws @ agreed / n - chance) / (1 - chance)

    groups = len(agreed)
    value = float(kappa(np.ones((1, groups)))[0])
    spread = percentiles({"kappa": kappa(draw_groups(groups, 0))}, groups)
    return value, *spread.get("kappa", (np.nan, np.nan))

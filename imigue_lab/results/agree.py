"""Agreement of two people, or of a person and a model.

On the gestures of one video (`agree`) either side is an ELAN file, a CSV as 09 writes it, or a
finished run of 11, of whose videos the one counts that the other file is named after. Classes are
compared by name, ignoring case, and times in milliseconds, so frame rates may differ.

On the classes of clips and found segments (`agree_on_clips`) a person is a CSV of corrections, or
`FILE:NAME` for one of several people in it. Items are joined by id, found segments by video, frames
and class; a rejected item is of a class of its own.
Letters in shapes: G clusters, R resamples.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from sklearn.metrics import cohen_kappa_score

from imigue_lab.data.corrections import read_corrections, read_rows_of
from imigue_lab.data.elan import TIER, open_eaf, read_eaf, time_origin
from imigue_lab.data.index import Survey
from imigue_lab.data.layouts.recognise import raise_first
from imigue_lab.data.layouts.tables import read_table
from imigue_lab.data.segments import Times, as_segments, named
from imigue_lab.data.source import open_data
from imigue_lab.data.videos.frame_table import frame_table, seconds_of
from imigue_lab.data.vocabulary import OWN, Vocabulary
from imigue_lab.errors import DataError, RunError, some
from imigue_lab.models.recognition import paint
from imigue_lab.training.recognition.scores import IOUS, match, ratios
from imigue_lab.training.runs import Run, find_run
from imigue_lab.training.scores import clusters_of, predicted_of
from imigue_lab.training.statistics import draw_groups, interval_of_share, percentiles

RATE = 25.0  # frames a second, where it is not known
LONGEST = 14_400_000  # milliseconds of an annotated video


class Agreement(NamedTuple):
    """See `agree`; `kappa` is Cohen's κ per frame, NaN if both have one class throughout."""

    table: pd.DataFrame
    kappa: float
    remarks: list[str]


def agree(a: str, b: str, video: Path | None = None) -> Agreement:
    """Compares two sides; raises DataError for a file, RunError for a run that does not fit.

    The table has a row per IoU: the segments of each, how many match one-to-one (`match`), F1,
    and by how many milliseconds B starts and ends later: median and quartiles of matched pairs.
    """
    remarks, tables = list[str](), list[pd.DataFrame]()
    for name, other in ((a, b), (b, a)):
        own = read_side(name, other, remarks)
        table = pd.DataFrame({"video_id": "", "label": own["class"].astype(str).str.lower()})
        table["start"] = (1000 * own.start_s).round().astype(int)
        table["end"] = (1000 * own.end_s).round().astype(int) - 1
        table["confidence"] = own.confidence.fillna(1.0)  # of people
        tables.append(table.sort_values(["confidence", "start"], ascending=[False, True]))
    every = pd.concat(tables)
    for name, table in zip((a, b), tables[::-1], strict=True):
        alone = every.label[~every.label.isin(table.label)].unique()
        remarks += [f"classes of {name} alone: {some(alone)}"] * (len(alone) > 0)
    last_s = (every.end.max() + 1) / 1000 if len(every) else 0
    times = frame_table(video).seconds if video else np.arange(np.ceil(RATE * last_s) + 1) / RATE
    tracks = [as_track(table, times, every.label.unique().tolist()) for table in tables]
    kappa = cohen_kappa_score(*tracks) if len(np.unique(tracks)) > 1 else np.nan
    until = "of the video" if video else f"at {RATE:g} a second, up to the last segment"
    remarks.append(f"kappa is of {len(times) - 1} frames {until}")
    rows = [{"iou": iou, **match_at(tables[0], tables[1], iou)} for iou in IOUS]
    return Agreement(pd.DataFrame(rows), float(kappa), remarks)


def as_track(table: pd.DataFrame, times: Times, names: list[str]) -> Int[np.ndarray, " T"]:
    """The place of the class in `names` at the middle of each frame, see `paint`."""
    middles = 500 * (times[1:] + times[:-1])
    ends = (np.searchsorted(middles, own) for own in (table.start, table.end + 1))
    true = np.stack([[names.index(label) for label in table.label], *ends], axis=1)
    return paint(torch.tensor(true, dtype=torch.long), len(middles), len(names)).numpy()


def match_at(a: pd.DataFrame, b: pd.DataFrame, iou: float) -> dict[str, float | int]:
    """One row of the table; F1 is NaN if there is no segment."""
    rows = match(a, b, iou)
    pair = a.iloc[rows[rows >= 0]], b[rows >= 0]
    row: dict[str, float | int] = {"a": len(a), "b": len(b), "matched": len(pair[0])}
    row["f1"] = ratios(len(pair[0]), len(a), len(b))["f1"] if len(a) + len(b) else np.nan
    for end in ("start", "end"):
        later = pd.Series(pair[1][end].to_numpy() - pair[0][end].to_numpy(), dtype=float)
        columns = (f"{end}_ms", f"{end}_q1_ms", f"{end}_q3_ms")
        row |= dict(zip(columns, later.quantile([0.5, 0.25, 0.75]), strict=True))
    return row


def read_side(name: str, other: str, remarks: list[str]) -> pd.DataFrame:
    """Segments with class, start_s, end_s and confidence; adds remarks on what was ignored."""
    path, video_id = Path(name), Path(other).stem
    if path.suffix.lower() in READERS:
        return READERS[path.suffix.lower()](path, remarks)
    run = find_run(name)
    if (task := run.settings()["task"]) != "recognition":
        raise RunError.expected(name, "a run of recognition", task, "name one, or an .eaf or .csv")
    found, where = run.predictions(), run.provenance()["where"]
    videos = open_data(where["data"], store=where["store"]).videos.set_index("video_id")
    if video_id not in videos.index:
        todo = f"rename {other} after its video"
        raise RunError.expected(name, f"a video {video_id}", some(videos.index), todo)
    own = found[(found.video_id == video_id) & found.kept]
    film, fps = (videos[key].dropna().get(video_id) for key in ("video", "fps"))
    if not (film or fps):
        remarks.append(f"{name}: {video_id} has no frame rate, {RATE:g} a second is assumed")
    frames = int(own.end.max()) + 1 if len(own) else 1
    times = seconds_of(Path(film) if film else None, fps or RATE, frames)
    return named(as_segments(own, times), run.vocabulary())


def read_elan(path: Path, remarks: list[str]) -> pd.DataFrame:
    """Whatever its classes are."""
    eaf = open_eaf(path)
    tiers = [eaf.tiers[tier] for tier in eaf.get_tier_names() if tier.startswith(TIER)]
    texts = {row[2] for aligned, *_ in tiers for row in aligned.values()}
    texts |= {row[1] for _, symbolic, *_ in tiers for row in symbolic.values()}
    vocabulary = vocabulary_of(texts)
    last = max((slot for slot in eaf.timeslots.values() if slot), default=0)
    last = min(LONGEST, last + abs(time_origin(eaf, path, "")))
    read = read_eaf(path, np.arange(last + 2) / 1000, vocabulary)
    remarks += [f"{path}: {own}" for own in read.remarks if "converted by seconds" not in own]
    return named(read.segments, vocabulary)


def read_segments(path: Path, _: list[str]) -> pd.DataFrame:
    survey, columns = Survey(path.parent, "segments"), ["class", "start_s", "end_s"]
    table = read_table(path, columns, survey)
    raise_first(survey.problems)
    own = table.reindex(columns=[*columns, "confidence"])
    for name in own.columns[1:]:
        own[name] = pd.to_numeric(own[name], errors="coerce").astype(float)
    fits = (own.start_s >= 0) & (own.end_s > own.start_s) & (own.end_s <= LONGEST / 1000)
    for row in own.index[~(fits & (own["class"] != ""))]:
        what = f"a class, and end_s after a start_s of at least 0 and up to {LONGEST / 1000:g}"
        got = ",".join(table.loc[row, columns])
        raise DataError.expected(f"{path}:{row}", what, got, "correct the row")
    return own


READERS = {".eaf": read_elan, ".csv": read_segments}


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
    return vocabulary_of(row[column] for row in rows for column in ("class", "previous"))


def vocabulary_of(texts: Iterable[str]) -> Vocabulary:
    """Of the names in these texts, in lower case."""
    names = tuple(sorted({text.strip().lower() for text in texts} - {""}))
    return Vocabulary(OWN, names, names, ("",) * len(names))


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
    return found[["video_id", "label"]].set_index(found["item"].where(found["item"] != "", segment))


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

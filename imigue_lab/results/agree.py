"""Agreement of two annotators, or of a person and a model, on the gestures of one video.

Either side is an ELAN file, a CSV as 09 writes it, or a finished run of 11, of whose videos the one
counts that the other file is named after. Classes are compared by name, ignoring case, and times in
milliseconds, so frame rates may differ.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from sklearn.metrics import cohen_kappa_score

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
from imigue_lab.training.runs import find_run

RATE = 25.0  # frames a second, where it is not known
LONGEST = 14_400_000  # milliseconds of an ELAN file


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
    names = tuple(sorted({text.strip().lower() for text in texts} - {""}))
    last = max((slot for slot in eaf.timeslots.values() if slot), default=0)
    last = min(LONGEST, last + abs(time_origin(eaf, path, "")))
    vocabulary = Vocabulary(OWN, names, names, ("",) * len(names))
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
    for row in own.index[~((own.start_s >= 0) & (own.end_s > own.start_s) & (own["class"] != ""))]:
        what = "a class, and end_s after a start_s of at least 0"
        got = ",".join(table.loc[row, columns])
        raise DataError.expected(f"{path}:{row}", what, got, "correct the row")
    return own


READERS = {".eaf": read_elan, ".csv": read_segments}

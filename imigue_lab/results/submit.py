"""Challenge submissions: a zip with one CSV, one row per expected id, in the order of the labels.

    track 1, 2025    prediction.zip: prediction.csv, header Id,Target, rows 0054_0,25
    track 1, 2023    Submission.zip: Submission.csv, no header
    track 3          prediction.zip: prediction.csv, header video_id,label, rows 0054,1

Header and numbering differ between years and are arguments. `made_from.json` records the origin.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from imigue_lab.data.vocabulary import builtin
from imigue_lab.data.workspace import short_hash, write_atomically
from imigue_lab.errors import DataError, RunError, SettingsError, some
from imigue_lab.results.open import open_index
from imigue_lab.training.provenance import describe_environment
from imigue_lab.training.runs import Run, find_run
from imigue_lab.training.scores import probabilities

Form = Literal["2023", "2025"]
Numbering = Literal["zero", "csv"]
CHALLENGE = re.compile(r"[0-9]{4}(_[0-9]+)?")  # ids of videos and clips
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest of zip; equal rows give equal bytes


class Track(NamedTuple):
    """What one track predicts: the column that names an item, and its header in a submission."""

    number: int
    item: Literal["clip_id", "video_id"]
    header: str
    classes: tuple[str, ...]


TRACKS = {
    1: Track(1, "clip_id", "Id,Target", builtin("imigue").classes),
    3: Track(3, "video_id", "video_id,label", builtin("imigue").outcomes),
}


def submit(
    run: Run,
    track: int,
    form: Form = "2025",
    header: str = "",
    numbering: Numbering = "zero",
    data: str = "",
    out: Path | None = None,
) -> Path:
    """Writes the submission of a finished run and returns the zip.

    Args:
        track: 1 gestures of clips, 3 outcomes of interviews.
        form: 2023 has no header and other file names.
        header: two names with a comma; empty: that of the track.
        numbering: of track 1: `zero` is 0 to 31 as in the model, `csv` 1 to 31 and 99.
        data: root with the expected test split; empty: the one that the run was trained on.
        out: folder; empty: `submissions/track<n>-<form>` of the run.

    Raises:
        RunError: the run is of another task or order of classes, or its predictions lack an
            expected id, contain one twice or an unexpected one, or an invalid class.
        DataError: the data have no test split, or ids that no challenge has.
        SettingsError: the header is not two names, or the track has no such form.
    """
    chosen = TRACKS[track]
    names = header_names(header or chosen.header)
    if form == "2023" and track != 1:
        raise SettingsError(f"format: 2023 exists for track 1 only; use 2025 for track {track}")
    if form == "2023" and header:
        raise SettingsError("header: the 2023 form has none; omit it, or use --format 2025")
    refuse_other_classes(run, chosen)
    where = run.provenance()["where"]
    index = open_index(run, data or where["data"], where.get("labels", ""), where.get("store", ""))
    items = index.clips if track == 1 else index.videos
    ids = items[chosen.item][items.split == "test"].tolist()
    if not ids:
        raise DataError(f"{index.root}: expected a test split, got none; name a root that has one")
    if foreign := [name for name in ids if not CHALLENGE.fullmatch(name)]:
        raise DataError(
            f"{index.root}: expected ids of the challenge's test split, such as 0054_17, got"
            f" {some(foreign, 3)}; the predictions of other data are in predictions.parquet"
        )
    predicted = predicted_classes(run, chosen, ids)
    if track == 1 and numbering == "csv":
        predicted = [int(builtin("imigue").ids[label]) for label in predicted]
    name = {"2023": "Submission", "2025": "prediction"}[form]
    rows = pd.DataFrame({names[0]: ids, names[1]: predicted})
    text = rows.to_csv(index=False, header=form != "2023", lineterminator="\n")
    place = out or run.folder / "submissions" / f"track{track}-{form}"
    origin = {
        "run": run.folder.name,
        **run.settings(),
        "predictions": short_hash((run.folder / "predictions.parquet").read_bytes()),
        "track": track,
        "format": form,
        "numbering": numbering if track == 1 else "1 is a win",
        "rows": len(rows),
        "csv": short_hash(text.encode()),
        "synthetic": index.synthetic,
        "environment": describe_environment(),
    }
    write_atomically(place / "made_from.json", json.dumps(origin, indent=2))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo(f"{name}.csv", EPOCH), text, zipfile.ZIP_DEFLATED)
    write_atomically(place / f"{name}.zip", content.getvalue())
    return place / f"{name}.zip"


def header_names(header: str) -> list[str]:
    names = [name.strip() for name in header.split(",")]
    if len(names) != 2 or len({*names} - {""}) != 2 or not header.isprintable():
        raise SettingsError(
            f"header: expected two names with a comma, got {header!r}; write e.g. Id,Target"
        )
    return names


def refuse_other_classes(run: Run, track: Track) -> None:
    """Compares the classes of the checkpoint, or of those of the runs that were fused."""
    settings = run.settings()
    if settings["task"] == "fusion":
        for member in settings["settings"]["runs"].split(","):
            refuse_other_classes(find_run(member), track)
        return
    found = run.read_checkpoint("best").get("classes", [])
    if found == list(track.classes):
        return
    if set(found) == set(track.classes):
        raise RunError(
            f"{run.folder}: has the classes of track {track.number} in another order, so its"
            " numbers would mean other classes; name a run of this package"
        )
    raise RunError(
        f"{run.folder}: expected the classes {some(track.classes, 2)} for track {track.number}, got"
        f" {some(found, 2) or 'none'} of a run of {settings['task']}; name another run or track"
    )


def predicted_classes(run: Run, track: Track, ids: list[str]) -> list[int]:
    table = run.predictions()
    table = table[(table.split == "test") | table[track.item].isin(ids)]
    found = table[track.item]
    refuse(run, found[found.duplicated()].unique(), "predicts twice")
    refuse(run, sorted(set(ids) - set(found)), "does not predict")
    refuse(run, sorted(set(found) - set(ids)), "predicts ids that are not in the test split,")
    table = table.set_index(track.item).loc[ids]
    if track.item == "video_id":
        win = table.probability.to_numpy(dtype=float)
        refuse(run, table.index[~((win >= 0) & (win <= 1))], "has no probability of")
        return (win >= 0.5).astype(int).tolist()
    probability = probabilities(table)
    if probability.shape[1] != len(track.classes):
        raise RunError(
            f"{run.folder}: expected {len(track.classes)} classes for track {track.number}, got"
            f" {probability.shape[1]}; name another run"
        )
    refuse(run, table.index[~np.isfinite(probability).all(axis=1)], "has no probability of")
    predicted = probability.argmax(axis=1)
    differing = table.index[predicted != table.predicted]
    refuse(run, differing, "predicts a class that is not the most probable of")
    return predicted.tolist()


def refuse(run: Run, ids: Iterable[str], what: str) -> None:
    if names := list(ids):
        raise RunError(
            f"{run.folder}: {what} {some(names)}; each expected id must occur once: name the data"
            " it predicts with --data, or train again"
        )

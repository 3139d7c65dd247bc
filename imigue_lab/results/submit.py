"""What a challenge takes: one zip with one CSV, a row for each expected id, in their order.

    track 1, 2025    prediction.zip: prediction.csv, header Id,Target, rows 0054_0,25
    track 1, 2023    Submission.zip: Submission.csv, no header
    track 3          prediction.zip: prediction.csv, header video_id,label, rows 0054,1

Header and numbering differ from year to year and can be said. Beside it lies `made_from.json`.
"""

import io
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from imigue_lab.data.index import Index
from imigue_lab.data.source import open_data
from imigue_lab.data.vocabulary import CLASSES, OUTCOMES, to_csv_id
from imigue_lab.data.workspace import short_hash, write_atomically
from imigue_lab.errors import DataError, RunError, SettingsError, some
from imigue_lab.training.gesture_scores import probabilities
from imigue_lab.training.provenance import describe_environment
from imigue_lab.training.runs import Run, find_run

Form = Literal["2023", "2025"]
Numbering = Literal["zero", "csv"]
EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's own; the same rows give the same bytes


@dataclass(frozen=True)
class Track:
    """What one track predicts: the column that names an item, and its header in a submission."""

    number: int
    item: Literal["clip_id", "video_id"]
    header: str
    classes: tuple[str, ...]


TRACKS = {
    1: Track(1, "clip_id", "Id,Target", CLASSES),
    3: Track(3, "video_id", "video_id,label", OUTCOMES),
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
    """Writes the submission of a finished run.

    Args:
        track: 1 gestures of clips, 3 outcomes of interviews.
        form: 2023 has no header and another name.
        header: two names with a comma; empty is the track's own.
        numbering: of track 1: `zero` says 0 to 31 as the model does, `csv` 1 to 31 and 99.
        data: root whose test part is expected; empty is the one that the run was made from.
        out: folder; empty is `submissions/track<n>-<form>` of the run.

    Returns:
        The zip.

    Raises:
        RunError: the run is of another task or order of classes, or its predictions lack an
            expected id, name one twice or one that is not expected, or hold no such class.
        DataError: the data hold no test part.
        SettingsError: the header is not two names, or the form is not known of the track.
    """
    asked = TRACKS[track]
    names = header_names(header or asked.header)
    if form == "2023" and track != 1:
        raise SettingsError(f"format: 2023 is known of track 1 only; track {track} takes 2025")
    if form == "2023" and header:
        raise SettingsError("header: the 2023 form has none; leave it out, or take --format 2025")
    refuse_other_classes(run, asked)
    where = run.provenance()["where"]
    index = open_data(data or where["data"], where.get("labels", ""), where.get("store", ""))
    ids = expected_ids(index, asked)
    answers = answer(run, asked, ids)
    if track == 1 and numbering == "csv":
        answers = [to_csv_id(label) for label in answers]
    name = {"2023": "Submission", "2025": "prediction"}[form]
    rows = pd.DataFrame({names[0]: ids, names[1]: answers})
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
    write_atomically(place / f"{name}.zip", zipped(f"{name}.csv", text))
    return place / f"{name}.zip"


def header_names(header: str) -> list[str]:
    names = [name.strip() for name in header.split(",")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        raise SettingsError(f"header: {header!r} is not two names with a comma, such as Id,Target")
    return names


def refuse_other_classes(run: Run, track: Track) -> None:
    """Looks into the checkpoint, or those of the runs that a fusion was made of."""
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
            f"{run.folder}: has the classes of track {track.number} in another order; its numbers"
            " would mean other classes: take a run of this package"
        )
    told = some(found, 2) or "no classes"
    raise RunError(
        f"{run.folder}: a run of {settings['task']} that tells {told}, track {track.number} is"
        f" about {some(track.classes, 2)}; name another run or track"
    )


def expected_ids(index: Index, track: Track) -> list[str]:
    """The test part in the order of the labels."""
    table = index.clips if track.item == "clip_id" else index.videos
    ids = table[track.item][table.split == "test"].tolist()
    if not ids:
        raise DataError(f"{index.root}: holds no test part to submit; name a root that does")
    return ids


def answer(run: Run, track: Track, ids: list[str]) -> list[int]:
    """The class of each expected id, joined by id."""
    table = run.predictions()
    table = table[(table.split == "test") | table[track.item].isin(ids)]
    predicted = table[track.item]
    refuse(run, predicted[predicted.duplicated()].unique(), "predicts twice")
    refuse(run, sorted(set(ids) - set(predicted)), "does not predict")
    refuse(run, sorted(set(predicted) - set(ids)), "predicts, and the test does not hold,")
    table = table.set_index(track.item).loc[ids]
    if track.item == "video_id":
        chance = table.probability.to_numpy(dtype=float)
        refuse(run, table.index[~((chance >= 0) & (chance <= 1))], "has no probability of")
        return (chance >= 0.5).astype(int).tolist()
    chances = probabilities(table)
    if chances.shape[1] != len(track.classes):
        raise RunError(
            f"{run.folder}: predicts {chances.shape[1]} classes, track {track.number} has"
            f" {len(track.classes)}; name another run"
        )
    refuse(run, table.index[~np.isfinite(chances).all(axis=1)], "has no probability of")
    said = chances.argmax(axis=1)
    refuse(
        run, table.index[said != table.predicted], "says a class that is not the most probable of"
    )
    return said.tolist()


def refuse(run: Run, ids: Iterable[str], what: str) -> None:
    names = list(ids)
    if names:
        raise RunError(
            f"{run.folder}: {what} {some(names)}; each expected id is due once: name the data it"
            " was made for with --data, or train again"
        )


def zipped(name: str, text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo(name, EPOCH), text, zipfile.ZIP_DEFLATED)
    return content.getvalue()

"""Challenge submissions: a zip with one CSV, one row per expected id, in the order of the labels.

`FORMS` has the form of each data set, track and year: MiGA's on iMiGUE and SMG, MAC's on MA-52; and
a plain one, with ids and classes as the data's own files write them, for any other data. The names
of columns and the numbering of classes are arguments. `made_from.json` records the origin.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from imigue_lab.data.vocabulary import BUILTIN, Vocabulary, builtin
from imigue_lab.data.workspace import short_hash, write_atomically
from imigue_lab.errors import DataError, RunError, SettingsError, some
from imigue_lab.results.open import open_index
from imigue_lab.training.runs import Run, find_run
from imigue_lab.training.scores import predicted_of, probabilities
from imigue_lab.training.session import describe_environment

Numbering = Literal["zero", "csv"]
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest of zip; equal rows give equal bytes
RANKS = range(1, 6)
MAC_2025 = ("vid", *(f"{part}_pred_{rank}" for part in ("action", "body") for rank in RANKS))


class Form(NamedTuple):
    """One form of a submission.

    `cells` follow the id: the class, the group of the class and the class, or both of the five most
    probable classes; a group is numbered by its first class. `own` is the id of the class in the
    data's files, or the name of the outcome.
    """

    example: str  # an id of the test split; others have other digits; empty: any id
    header: tuple[str, ...]  # empty: none
    cells: Literal["class", "group, class", "top 5", "own"] = "class"
    ending: str = ""  # of ids in the file
    file: str = "prediction"


FORMS = {  # data set and track -> forms by year, the last is the default
    ("imigue", 1): {
        "2023": Form("0054_17", (), file="Submission"),
        "2025": Form("0054_17", ("Id", "Target")),
    },
    ("imigue", 3): {"2025": Form("0054", ("video_id", "label"))},
    ("smg", 1): {"2023": Form("Sample0036_0", (), file="Submission")},
    ("ma52", 1): {
        "2024": Form("test0000", ("id", "pred_label_1", "pred_label_2"), "group, class", ".mp4"),
        "2025": Form("test0000", MAC_2025, "top 5", ".mp4"),
    },
}
PLAIN = {1: Form("", ("clip_id", "class"), "own"), 3: Form("", ("video_id", "outcome"), "own")}
ITEMS = {track: form.header[0] for track, form in PLAIN.items()}  # what a track predicts


def submit(
    run: Run,
    track: int,
    form: str = "",
    header: str = "",
    numbering: Numbering = "zero",
    data: str = "",
    out: Path | None = None,
) -> Path:
    """Writes the submission of a finished run and returns the zip.

    Args:
        track: 1 gestures of clips, 3 outcomes of interviews.
        form: year, see `FORMS`, or `plain`; empty: the newest one of the data set and track.
        header: names of the columns with commas; empty: those of the form.
        numbering: of track 1: `zero` is the place of a class, from 0, `csv` its id in label files.
        data: root with the expected test split; empty: the one that the run was trained on.
        out: folder; empty: `submissions/track<n>-<form>` of the run.

    Raises:
        RunError: the run is of another task or order of classes, or its predictions lack an
            expected id, contain one twice or an unexpected one, or an invalid class.
        DataError: the data have no test split, or ids that no challenge has.
        SettingsError: the header has another number of names, or the track has no such form.
    """
    where = run.provenance()["where"]
    if (task := run.settings()["task"]) == "recognition":
        what, todo = f"a run for track {track}", "omit the track, or name another run"
        raise RunError.expected(run.folder, what, f"one of {task}", todo)
    index = open_index(run, data or where["data"], where.get("labels", ""), where.get("store", ""))
    vocabulary = index.vocabulary
    if track == 3 and {*run.outcomes()} == {*vocabulary.outcomes}:
        vocabulary = replace(vocabulary, outcomes=run.outcomes())  # by its positive one
    year, chosen, classes = choose_form(vocabulary, track, form)
    names = header_names(header, year, chosen)
    refuse_wrong_track(run, track, classes)
    items = index.clips if track == 1 else index.videos
    ids = items[ITEMS[track]][items.split == "test"].tolist()
    if not ids:
        raise DataError(f"{index.root}: expected a test split, got none; name a root that has one")
    digits = re.compile(r"\d+")
    pattern = digits.sub(lambda own: r"\d{4}" if len(own[0]) == 4 else r"\d+", chosen.example)
    foreign = [name for name in ids if chosen.example and not re.fullmatch(pattern, name)]
    if foreign:
        what = f"ids of the challenge's test split, such as {chosen.example}"
        todo = "set the format to plain for a table of other data"
        raise DataError.expected(index.root, what, some(foreign, 3), todo)
    ranked = predicted_classes(run, track, len(classes), ids)
    rows = pd.DataFrame(cells_of(ranked, chosen, vocabulary, track, numbering))
    rows.insert(0, "id", [f"{name}{chosen.ending}" for name in ids])
    text = rows.to_csv(index=False, header=names or False, lineterminator="\n")
    numbers = numbering if track == 1 else "1 is a win"
    facts = {
        "track": track,
        "format": year,
        "numbering": "own" if chosen.cells == "own" else numbers,
        "rows": len(rows),
        "synthetic": index.synthetic,
    }
    return write_zip(run, facts, {f"{chosen.file}.csv": text}, chosen.file, out)


def write_zip(
    run: Run, facts: dict[str, Any], texts: dict[str, str], name: str, out: Path | None
) -> Path:
    """`<name>.zip` with these CSV files, and `made_from.json` beside it."""
    place = out or run.folder / "submissions" / f"track{facts['track']}-{facts['format']}"
    origin = {
        "run": run.folder.name,
        **run.settings(),
        "predictions": short_hash((run.folder / "predictions.parquet").read_bytes()),
        **facts,
        "csv": short_hash("".join(texts.values()).encode()),
        "environment": describe_environment(),
    }
    write_atomically(place / "made_from.json", json.dumps(origin, indent=2))
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for csv, text in texts.items():
            file.writestr(zipfile.ZipInfo(csv, EPOCH), text, zipfile.ZIP_DEFLATED)
    write_atomically(place / f"{name}.zip", content.getvalue())
    return place / f"{name}.zip"


def choose_form(own: Vocabulary, track: int, year: str) -> tuple[str, Form, tuple[str, ...]]:
    """The year and form of a challenge on this data set, or the plain form; and its classes."""
    data = {name: data for data, name in BUILTIN.items()}.get(own.name, "")
    forms = {"plain": PLAIN[track], **FORMS.get((data, track), {})}
    year = year or list(forms)[-1]
    if year not in forms:
        raise SettingsError(
            f"format: track {track} of {own.name} has {' and '.join(forms)}, got {year}; choose"
            " one of these"
        )
    own = own if year == "plain" else builtin(data)
    return year, forms[year], own.classes if track == 1 else own.outcomes


def header_names(header: str, year: str, form: Form) -> list[str]:
    """The names of the columns; none where the form has none."""
    expected = form.header
    if not header:
        return list(expected)
    if not expected:
        raise SettingsError(f"header: the {year} form has none; omit it")
    names = [name.strip() for name in header.split(",")]
    if len(names) != len(expected) or len({*names} - {""}) < len(names) or not header.isprintable():
        what, todo = f"{len(expected)} names with commas", f"write e.g. {','.join(expected)}"
        raise SettingsError.expected("header", what, repr(header), todo)
    return names


def cells_of(
    ranked: Int[np.ndarray, "N ranks"],
    form: Form,
    vocabulary: Vocabulary,
    track: int,
    numbering: Numbering,
) -> np.ndarray:
    """The cells of each row after its id, of classes by falling probability."""
    if form.cells == "own":
        return np.array(vocabulary.ids if track == 1 else vocabulary.outcomes)[ranked[:, :1]]
    if track == 3:
        return ranked
    label = np.array(vocabulary.ids if numbering == "csv" else range(len(vocabulary)))[ranked]
    groups = list(dict.fromkeys(vocabulary.groups))
    group = np.array([groups.index(own) for own in vocabulary.groups])[ranked]
    first, five = slice(1), slice(len(RANKS))
    if form.cells == "top 5":
        return np.hstack([label[:, five], group[:, five]])
    return np.hstack([group[:, first], label[:, first]][form.cells == "class" :])


def refuse_wrong_track(run: Run, track: int, classes: tuple[str, ...]) -> None:
    """Compares the classes of the checkpoint, or of those of the runs that were fused."""
    settings = run.settings()
    if settings["task"] == "fusion":
        for member in settings["settings"]["runs"].split(","):
            refuse_wrong_track(find_run(member), track, classes)
        return
    found = run.read_checkpoint("best").get("classes", [])
    if found == list(classes):
        return
    if set(found) == set(classes):
        raise RunError(
            f"{run.folder}: has the classes of track {track} in another order, so its numbers would"
            " mean other classes; name a run of this package"
        )
    what = f"the classes {some(classes, 2)} for track {track}"
    got = f"{some(found, 2) or 'none'} of a run of {settings['task']}"
    raise RunError.expected(run.folder, what, got, "name another run or track")


def predicted_classes(
    run: Run, track: int, classes: int, ids: list[str]
) -> Int[np.ndarray, "N ranks"]:
    """Classes by falling probability; of track 3 the outcome alone."""
    table, item = run.predictions(), ITEMS[track]
    table = table[(table.split == "test") | table[item].isin(ids)]
    found = table[item]
    refuse(run, found[found.duplicated()].unique(), "predicts twice")
    refuse(run, sorted(set(ids) - set(found)), "does not predict")
    refuse(run, sorted(set(found) - set(ids)), "predicts ids that are not in the test split,")
    table = table.set_index(item).loc[ids]
    probability = probabilities(table)
    if track == 3:
        unknown = ~((probability >= 0) & (probability <= 1)).all(axis=1)
        refuse(run, table.index[unknown], "has no probability of")
        return predicted_of(table)[:, None]
    if probability.shape[1] != classes:
        what = f"{classes} classes for track {track}"
        raise RunError.expected(run.folder, what, probability.shape[1], "name another run")
    refuse(run, table.index[~np.isfinite(probability).all(axis=1)], "has no probability of")
    ranked = np.argsort(-probability, axis=1, kind="stable")
    differing = table.index[ranked[:, 0] != table.predicted]
    refuse(run, differing, "predicts a class that is not the most probable of")
    return ranked


def refuse(run: Run, ids: Iterable[str], what: str) -> None:
    if names := list(ids):
        raise RunError(
            f"{run.folder}: {what} {some(names)}; each expected id must occur once: name the data"
            " it predicts with --data, or train again"
        )

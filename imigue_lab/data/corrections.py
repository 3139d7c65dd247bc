"""Corrections of labels by people: a CSV beside a run or an analysis, never the source's own files.

    item,video_id,start,end,kind,class,previous,who,when

`item` is a clip id, empty for a segment that a model has found; frames count from 0, the end
inclusive; `class` is that after the correction (of a rejected item empty), `previous` that before;
`when` is in UTC. Of each item a person has one row, the last.

`merge_roots` joins folders whose gestures people have corrected.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from imigue_lab.data.index import Index, Row, Survey, clips_table
from imigue_lab.data.layouts.recognise import raise_first, read_index
from imigue_lab.data.layouts.tables import parse_clip, read_table, restore_zeros
from imigue_lab.data.skeletons.keypoints import FILE as KEYPOINTS
from imigue_lab.data.skeletons.keypoints import declared_layout
from imigue_lab.data.source import open_data
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.data.workspace import locked, write_atomically
from imigue_lab.errors import DataError, some

FILE = "corrections.csv"  # in the folder of a run, or of an analysis
KINDS = ("confirm", "relabel", "reject")
ITEM = ["item", "video_id", "start", "end", "previous"]
COLUMNS = [*ITEM, "kind", "class", "who", "when"]
EFFECTS = ("confirmed", "relabelled", "left out", "added", "found and rejected")


def write_correction(path: Path, item: Row, kind: str, name: str, who: str) -> Row:
    """Adds a row, or replaces this person's earlier one of the item; returns it.

    `item` has the columns `ITEM`; `name` is the class after a confirmation or another label.
    Raises DataError if the file is not such a CSV, LabError if it cannot be written.
    """
    row = {**item, "kind": kind, "class": name, "who": who}
    row["when"] = datetime.now(UTC).isoformat(timespec="seconds")
    with locked(path.with_suffix(".lock")):
        rows = read_rows_of(path) if path.exists() else {}
        rows[key_of(item), who] = row
        table = pd.DataFrame(rows.values()).drop(columns="row", errors="ignore")
        write_atomically(path, table.to_csv(index=False))
    return row


def read_rows_of(path: Path) -> dict[tuple[str, str], Row]:
    """The last row by `key_of` its item and person: the cells as text, and the number `row`."""
    survey = Survey(path.parent, "corrections")
    table = read_table(path, COLUMNS, survey)
    raise_first(survey.problems)
    rows = table.assign(row=table.index).to_dict("records")
    return {(key_of(own), own["who"]): own for own in rows}


def key_of(item: Row) -> str:
    """The clip, or the video, frames and class of a found segment."""
    return item["item"] or " ".join(str(item[name]) for name in ITEM[1:])


def read_corrections(path: Path, vocabulary: Vocabulary) -> pd.DataFrame:
    """The last row of each person and item: the columns of the file (start and end are integers),
    row, key, and label and before, the places of both classes; the label of a rejected item is -1.

    Raises DataError for the first row of an unknown kind or class, or without frames.
    """
    survey, found = Survey(path.parent, "corrections", vocabulary=vocabulary), list[Row]()
    for (key, _), own in read_rows_of(path).items():
        if own["kind"] not in KINDS:
            what = f"expected {', '.join(KINDS)}, got {own['kind']!r}"
            survey.report("unknown kind", path, own["row"], what, "correct it")
        names = own["previous"], own["class" if own["kind"] == "relabel" else "previous"]
        cells = [(name, own["start"], own["end"]) for name in names]
        clips = [parse_clip(path, own["row"], each, False, survey) or {} for each in cells]
        raise_first(survey.problems)
        found.append(own | clips[1] | {"key": key, "before": clips[0]["label"]})
    table = pd.DataFrame(found, columns=[*COLUMNS, "row", "key", "label", "before"])
    return table.assign(label=table.label.where(table.kind != "reject", -1))


def decisions(path: Path, vocabulary: Vocabulary) -> pd.DataFrame:
    """One row of `read_corrections` for each item; DataError where people disagree on one."""
    rows, first = read_corrections(path, vocabulary), dict[str, Any]()
    for own in rows.itertuples():
        other = first.setdefault(own.key, own)
        if own.label != other.label:
            what = f"{other.kind} for {own.key} as in row {other.row} by {other.who}"
            got = f"{own.kind} by {own.who}"
            todo = "agree on a class, and delete the other row"
            raise DataError.expected(f"{path}:{own.row}", what, got, todo)
    return rows.drop_duplicates("key")


def correct(clips: dict[str, Row], rows: pd.DataFrame) -> dict[str, list[str]]:
    """Changes clips (by id: video_id, start, end, label) by `decisions`; the ids by `EFFECTS`.

    A found segment is the clip with the same frames and class. If there is none it becomes a clip,
    unless it is rejected, or a clip of its class shares a frame with it.
    """
    effects: dict[str, list[str]] = {name: [] for name in EFFECTS}
    names = ("video_id", "start", "end", "label")
    same = {tuple(clip[name] for name in names): clip_id for clip_id, clip in clips.items()}
    for row in rows.itertuples():
        clip_id = row.item or same.get((row.video_id, row.start, row.end, row.before), row.key)
        effect, of = EFFECTS[KINDS.index(row.kind)], (row.video_id, row.label)
        if clip_id in clips and row.kind == "reject":
            del clips[clip_id]
        elif clip_id in clips:
            clips[clip_id]["label"] = row.label
        elif row.kind == "reject":
            effect = "found and rejected"
        elif not any(
            (c["video_id"], c["label"]) == of and c["start"] <= row.end and c["end"] >= row.start
            for c in clips.values()
        ):
            clip_id, effect = f"{row.video_id}_{row.start}_{row.end}_{row.label}", "added"
            own = (row.video_id, row.start, row.end, row.label)
            clips[clip_id] = {"clip_id": clip_id, **dict(zip(names, own, strict=True))}
        effects[effect].append(clip_id)
    return effects


def with_corrections(index: Index, source: str) -> Index:
    """The index with the labels of train and validation that people corrected in the CSV `source`,
    and a remark on what changed; unchanged if that is empty.

    Corrections of test clips are counted and not applied: with other labels it is another
    benchmark. Raises DataError for a faulty row, an unknown clip, or people who disagree.
    """
    if not source:
        return index
    path, split = Path(source).expanduser(), index.videos.set_index("video_id").split
    rows = decisions(path, index.vocabulary)
    rows["video_id"] = rows.video_id.replace(restore_zeros(rows.video_id, split.index))
    places = pd.MultiIndex.from_frame(index.clips[["clip_id", "video_id", "start", "end"]])
    own = pd.MultiIndex.from_frame(rows[ITEM[:-1]])
    found = own.isin(places) | ((rows["item"] == "") & rows.video_id.isin(split.index))
    for row in rows[~found].itertuples():
        what, todo = f"a clip or video of {index.root}", "name the corrected data, or delete it"
        got = f"{row.key} in frames {row.start} to {row.end} of {row.video_id}"
        raise DataError.expected(f"{path}:{row.row}", what, got, todo)
    known = index.clips.astype(object).where(index.clips.notna(), None)
    clips = {row["clip_id"]: row for row in known.to_dict("records")}
    of = rows.video_id.map(split)
    effects = correct(clips, rows[of != "test"])
    effects["of test, not applied"] = rows.key[of == "test"].tolist()
    counts = [f"{len(ids)} {name} ({some(ids)})" for name, ids in effects.items() if ids]
    held = f"; scores of validation are of {(of == 'validation').sum()} of these labels"
    remark = f"labels corrected by {path.name}: {'; '.join(counts) or 'none'}"
    remark += held * bool((of == "validation").any())
    table = clips_table([*clips.values()], index.videos, len(index.vocabulary))
    return replace(index, clips=table, remarks=[*index.remarks, remark])


def open_corrected(settings: Any) -> Index:
    """The data of a trainer's settings, with its corrections; some settings have no labels."""
    names = ("labels", "store", "subjects")
    index = open_data(settings.data, *(getattr(settings, name, "") for name in names))
    return with_corrections(index, getattr(settings, "corrections", ""))


def merge_roots(folders: Sequence[Path], root: Path) -> Index:
    """Joins plain roots, such as the folders of notebook 09, in a new one: all videos are of train.

    Videos and keypoints are links. Raises DataError if the new folder is not empty, or a folder has
    no gestures, an id of another one, other classes, or another layout of keypoints.
    """
    if root.exists() and any(root.iterdir()):
        raise DataError(f"{root}: is not empty; name a new folder, or delete its contents")
    indexes, seen = [read_index(folder) for folder in folders], dict[str, Path]()
    facts = [(index.vocabulary.to_csv(), declared_layout(index.root)) for index in indexes]
    for index, own in zip(indexes, facts, strict=True):
        if index.clips.empty:
            todo = "correct them in notebook 09, or its .eaf, and run its last cells again"
            raise DataError.expected(index.root, "a clips.csv with gestures", "none", todo)
        if own != facts[0]:
            other = {*own[0].splitlines()} ^ {*facts[0][0].splitlines()}
            what, got = f"the classes and joints of {folders[0]}", some(other) or "other joints"
            todo = "analyse the videos with one gesture run"
            raise DataError.expected(index.root, what, f"a difference in {got}", todo)
        for name in [*index.videos.video_id, *index.clips.clip_id]:
            if (holder := seen.setdefault(name, index.root)) != index.root:
                what, todo = f"ids that {holder} lacks", "rename the video and analyse it again"
                raise DataError.expected(index.root, what, name, todo)
    videos = pd.concat(index.videos for index in indexes).set_index("video_id")
    for kind, folder in (("video", "videos"), ("keypoints", "keypoints")):
        for video_id, path in videos[kind].dropna().items():
            link = root / folder / f"{video_id}{path.suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    if facts[0][1]:
        write_atomically(root / KEYPOINTS, (folders[0] / KEYPOINTS).read_bytes())
    write_atomically(root / "classes.csv", facts[0][0])
    for name, changed in (("clips", {}), ("videos", {"split": "train"})):
        tables = [read_table(i.root / f"{name}.csv", [], Survey(i.root, "plain")) for i in indexes]
        table = pd.concat(tables).assign(**changed)
        write_atomically(root / f"{name}.csv", table.to_csv(index=False))
    return read_index(root)

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

from imigue_lab.data.index import PATHS, Index, Row, Survey, clips_table
from imigue_lab.data.layouts.plain import CLIPS
from imigue_lab.data.layouts.recognise import raise_first, read_index
from imigue_lab.data.layouts.tables import parse_clip, read_table, restore_zeros
from imigue_lab.data.skeletons.keypoints import FILE as KEYPOINTS
from imigue_lab.data.skeletons.keypoints import declared_layout
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.data.workspace import locked, write_atomically
from imigue_lab.errors import DataError, some

FILE = "corrections.csv"  # in the folder of a run, or of an analysis
KINDS = ("confirm", "relabel", "reject")
ITEM = ["item", "video_id", "start", "end", "previous"]
COLUMNS = [*ITEM, "kind", "class", "who", "when"]
EFFECTS = ("confirmed", "relabelled", "left out", "added", "found and rejected")


def write_correction(path: Path, item: Row, kind: str, name: str, who: str) -> None:
    """Adds a row, or replaces this person's earlier one of the item.

    `item` has the columns `ITEM`; `name` is the class after a confirmation or another label.
    Raises DataError if the file is not such a CSV, LabError if it cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    row = {**item, "kind": kind, "class": name, "who": who, "when": now}
    with locked(path.with_suffix(".lock")):
        table = read_rows_of(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
        table = last_of_each(pd.concat([table, pd.DataFrame([row], columns=COLUMNS).astype(str)]))
        write_atomically(path, table[COLUMNS].to_csv(index=False))


def read_rows_of(path: Path) -> pd.DataFrame:
    """The cells as text, by row of the file; DataError if it is no such CSV, or a kind unknown."""
    survey = Survey(path.parent, "corrections")
    table = read_table(path, COLUMNS, survey)
    for row, kind in table.kind[~table.kind.isin(KINDS)].items():
        what = f"expected {', '.join(KINDS)}, got {kind!r}"
        survey.report("unknown kind", path, row, what, "correct it")
    raise_first(survey.problems)
    return table


def last_of_each(table: pd.DataFrame) -> pd.DataFrame:
    """The last row of each person and `key`: the clip, or video, frames and class of a segment."""
    keys = [key_of(row) for row in table.to_dict("records")]
    return table.assign(key=keys).drop_duplicates(["key", "who"], keep="last")


def key_of(item: Row) -> str:
    return item["item"] or " ".join(str(item[name]) for name in ITEM[1:])


def find_decision(path: Path, item: Row, who: str) -> Row:
    """The row of a person and an item; empty if there is none."""
    rows = last_of_each(read_rows_of(path)).to_dict("records") if path.exists() else []
    found = (row for row in rows if (row["key"], row["who"]) == (key_of(item), who))
    return next(found, {})


def read_corrections(path: Path, vocabulary: Vocabulary) -> pd.DataFrame:
    """The last row of each person and item, by row of the file.

    Columns are those of the file (start and end integers), key, and label and before, the places of
    the two classes; the label of a rejected item is -1. Raises DataError for the first row of an
    unknown kind or class, or without frames.
    """
    survey, found = Survey(path.parent, "corrections", vocabulary=vocabulary), list[Row]()
    table = last_of_each(read_rows_of(path))
    for row, own in zip(table.index, table.to_dict("records"), strict=True):
        kind, *span = own["kind"], own["start"], own["end"]
        names = own["previous"], own["class" if kind == "relabel" else "previous"]
        clips = [parse_clip(path, row, (name, *span), False, survey) for name in names]
        raise_first(survey.problems)
        before, after = (clip for clip in clips if clip)
        after |= {"label": -1} if kind == "reject" else {}
        found.append(own | after | {"before": before["label"]})
    return pd.DataFrame(found, table.index, [*COLUMNS, "key", "label", "before"])


def decisions(path: Path, vocabulary: Vocabulary) -> pd.DataFrame:
    """One row of `read_corrections` for each item; DataError where people disagree on one."""
    rows = read_corrections(path, vocabulary)
    first = rows.groupby("key", sort=False).transform("first")
    for row in rows.index[rows.label != first.label]:
        (one, by), (other, too) = (
            (f"{own['kind']} {own['class']}".strip(), own["who"])
            for own in (first.loc[row], rows.loc[row])
        )
        what, got = f"{one} for {rows.key[row]} as {by} has it", f"{other} by {too}"
        raise DataError.expected(f"{path}:{row}", what, got, "agree, and delete the other row")
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
        name = row.item or same.get((row.video_id, row.start, row.end, row.before), "")
        effect = EFFECTS[KINDS.index(row.kind)]
        if name in clips and row.kind == "reject":
            del clips[name]
        elif name in clips:
            clips[name]["label"] = row.label
        elif row.kind == "reject":
            effect = "found and rejected"
        elif not any(shares_a_frame(clip, row) for clip in clips.values()):
            name, effect = f"{row.video_id}_{row.start}_{row.end}_{row.label}", "added"
            clips[name] = {"clip_id": name, "video_id": row.video_id, "label": row.label}
            clips[name] |= {"start": row.start, "end": row.end}
        effects[effect].append(name or row.key)
    return effects


def shares_a_frame(clip: Row, row: Any) -> bool:
    """Whether a clip is of the class and video of a row, and overlaps it."""
    same = (clip["video_id"], clip["label"]) == (row.video_id, row.label)
    return same and clip["start"] <= row.end and clip["end"] >= row.start


def with_corrections(index: Index, source: str) -> Index:
    """The index with the labels of train and validation that people corrected, and a remark on what
    changed; unchanged where `source`, the path of their CSV, is empty.

    Corrections of test clips are counted and not applied: with other labels it is another
    benchmark. Raises DataError for a faulty row, an unknown clip, or people who disagree.
    """
    if not source:
        return index
    path = Path(source).expanduser()
    rows, split = decisions(path, index.vocabulary), index.videos.set_index("video_id").split
    rows["video_id"] = rows.video_id.replace(restore_zeros(rows.video_id, split.index))
    known = index.clips.astype(object).where(index.clips.notna(), None)
    clips = {row["clip_id"]: row for row in known.to_dict("records")}
    for row in rows.itertuples():
        place = row.video_id, row.start, row.end
        clip = clips.get(row.item, {})
        own = tuple(clip.get(name) for name in ("video_id", "start", "end"))
        if row.video_id not in split or (row.item and own != place):
            what, todo = f"a clip or video of {index.root}", "name the corrected data, or delete it"
            got = f"{row.key} in frames {row.start} to {row.end} of {row.video_id}"
            raise DataError.expected(f"{path}:{row.Index}", what, got, todo)
    of = rows.video_id.map(split)
    effects = correct(clips, rows[of != "test"])
    effects["of test, not applied"] = rows.key[of == "test"].tolist()
    counts = [f"{len(ids)} {name} ({some(ids)})" for name, ids in effects.items() if ids]
    remark = f"labels corrected by {path.name}: {'; '.join(counts) or 'none'}"
    if held := int((of == "validation").sum()):
        remark += f"; {held} of them are of validation, whose scores are of these labels"
    table = clips_table(list(clips.values()), index.videos, len(index.vocabulary))
    return replace(index, clips=table, remarks=[*index.remarks, remark])


def merge_roots(folders: Sequence[Path], root: Path) -> Index:
    """Joins plain roots, such as the folders of notebook 09, in a new one: all videos are of train.

    Videos and keypoints are links. Raises DataError if the new folder is not empty, or a folder has
    no gestures, an id of another one, other classes, or another layout of keypoints.
    """
    if root.exists() and any(root.iterdir()):
        raise DataError(f"{root}: is not empty; name a new folder, or delete its contents")
    indexes = [read_index(folder) for folder in folders]
    first, seen = indexes[0], dict[str, Path]()
    declared = declared_layout(first.root)
    for index in indexes:
        if index.clips.empty:
            todo = "correct them in notebook 09, or its .eaf, and run its last cells again"
            raise DataError.expected(index.root, "a clips.csv with gestures", "none", todo)
        own = index.vocabulary.classes
        if own != first.vocabulary.classes or declared_layout(index.root) != declared:
            what = f"the classes and keypoints of {first.root}"
            got = f"{some(set(own) ^ {*first.vocabulary.classes})}" or "another keypoints.json"
            todo = "analyse the videos with one gesture run"
            raise DataError.expected(index.root, what, f"a difference in {got}", todo)
        for name in [*index.videos.video_id, *index.clips.clip_id]:
            if (other := seen.setdefault(name, index.root)) != index.root:
                what, todo = f"ids that {other} lacks", "rename the video and analyse it again"
                raise DataError.expected(index.root, what, name, todo)
    named = [i.videos.outcome.map(dict(enumerate(i.vocabulary.outcomes))) for i in indexes]
    videos = pd.concat(i.videos.assign(outcome=own) for i, own in zip(indexes, named, strict=True))
    clips = pd.concat(index.clips for index in indexes)
    for kind in PATHS:
        for name, path in videos.set_index("video_id")[kind].dropna().items():
            link = root / kind.replace("video", "videos") / f"{name}{path.suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    if declared:
        write_atomically(root / KEYPOINTS, (first.root / KEYPOINTS).read_bytes())
    facts = videos[["video_id", "subject", "outcome"]]
    ids = clips.label.map(dict(enumerate(first.vocabulary.ids)))
    tables = {
        "classes": first.vocabulary.to_csv(),
        "clips": clips[CLIPS[:-1]].assign(**{"class": ids}).to_csv(index=False),
        "videos": facts.dropna(axis=1, how="all").assign(split="train").to_csv(index=False),
    }
    for name, table in tables.items():
        write_atomically(root / f"{name}.csv", table)
    return read_index(root)

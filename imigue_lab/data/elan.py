"""ELAN annotation files: gestures exported for annotators to correct, and imported again.

Tiers of a file:

    gestures        the class by name, from a controlled vocabulary
    confidence      its child, a number per gesture; a gesture added by a person has none
    gestures 2 ...  where gestures overlap: annotations of one ELAN tier cannot

ELAN stores milliseconds of the medium; the time stamp of a frame is rounded to them, and import
restores the frame.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np
import pandas as pd
from defusedxml import ElementTree
from pympi.Elan import Eaf, parse_eaf, to_string

from imigue_lab.data.segments import Times, as_segments
from imigue_lab.data.vocabulary import Vocabulary
from imigue_lab.data.workspace import write_atomically
from imigue_lab.errors import TABLE, DataError, bounded, some, unreadable

TIER = "gestures"
SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
RATE = "imigue_lab:fps"  # property of the file: the frame rate of its segments


def write_eaf(
    segments: pd.DataFrame, video: Path, fps: int | float, path: Path, vocabulary: Vocabulary
) -> None:
    """Writes a file that opens in ELAN with the video, of at most 500 frames per second."""
    eaf = Eaf(author="imigue_lab")
    eaf.remove_tier("default")
    eaf.add_linked_file(str(video.resolve()), relpath=video.name, mimetype="video/mp4")
    eaf.add_property(RATE, repr(float(fps)))
    eaf.add_language("und", None, "undetermined")
    eaf.add_controlled_vocabulary("gestures")
    for label, name in enumerate(vocabulary.classes):
        eaf.add_cv_entry("gestures", f"class{label}", [(name, "und", None)])
    kind = {"LINGUISTIC_TYPE_ID": "gesture", "TIME_ALIGNABLE": "true"}
    kind |= {"GRAPHIC_REFERENCES": "false", "CONTROLLED_VOCABULARY_REF": "gestures"}
    eaf.add_linguistic_type("gesture", param_dict=kind)
    eaf.add_linguistic_type("number", "Symbolic_Association", timealignable=False)
    for number, rows in enumerate(in_tiers(segments), start=1):
        suffix = f" {number}" if number > 1 else ""
        tier, child = f"{TIER}{suffix}", f"confidence{suffix}"
        eaf.add_tier(tier, "gesture")
        eaf.add_tier(child, "number", parent=tier)
        for row in rows.itertuples():
            begin, end = round(1000 * row.start_s), round(1000 * row.end_s)
            eaf.add_annotation(tier, begin, end, vocabulary.classes[row.label])
            if not pd.isna(row.confidence):
                eaf.add_ref_annotation(child, tier, (begin + end) // 2, repr(row.confidence))
    write_atomically(path, to_string(eaf, encoding="UTF-8"))


def in_tiers(segments: pd.DataFrame) -> list[pd.DataFrame]:
    """As few tables as possible without overlap; one empty table where there is no segment."""
    ends: list[int] = []
    tiers = {}
    for row in segments.sort_values("start", kind="stable").itertuples():
        free = (number for number, end in enumerate(ends) if end < row.start)
        tier = next(free, len(ends))
        ends[tier : tier + 1] = [row.end]
        tiers[row.Index] = tier
    tier_of = segments.index.map(tiers)
    return [segments[tier_of == number] for number in range(max(1, len(ends)))]


class Corrected(NamedTuple):
    """Segments of an annotation file in temporal order, and remarks on its other contents."""

    segments: pd.DataFrame
    remarks: list[str]


def read_eaf(
    path: Path,
    times: Times,
    vocabulary: Vocabulary,
    renamed: Mapping[str, str] | None = None,
    video: str = "",
) -> Corrected:
    """The gestures of a file that people have corrected.

    All tiers named ``gestures...`` are read, others are ignored and named. An annotation without
    a time of its own has that of its parent (a symbolic child), or is placed between its neighbours
    (`place_slots`). Times are those of the medium, TIME_ORIGIN included; between two frames they
    are rounded to the nearer. A gesture that ends after the video is cut to it, an empty one is
    skipped: with a remark.

    `times` are the video's, see `segments`; `renamed` maps annotators' terms to class names;
    `video` is its file name, to select one of several media. Raises DataError for another kind of
    file, an unknown class, or a gesture outside of the video; it names the annotation and its time.
    """
    eaf = open_eaf(path)
    read = [tier for tier in eaf.get_tier_names() if tier.startswith(TIER)]
    if not read:
        what, got = f"a tier named {TIER!r}", some(eaf.get_tier_names()) or "none"
        raise DataError.expected(path, what, got, "rename the tier with the gestures")
    origin, placed = time_origin(eaf, path, video), place_slots(eaf)
    rows, empty, cut, between = [], [], [], []
    for tier in read:
        confidence = confidences(eaf, tier, path)
        aligned, symbolic = eaf.tiers[tier][:2]
        values = {n: row[2] for n, row in aligned.items()}
        for number, name in (values | {n: row[1] for n, row in symbolic.items()}).items():
            span = time_span(eaf, number, origin)
            if not name.strip():
                empty.append(clock(span[0]))
                continue
            where = f"{path}, {tier}, {clock(span[0])}"
            label = class_named(name, where, vocabulary, renamed or {})
            own = {*aligned.get(number, ())[:2]}
            between += [f"{name.strip()} at {clock(span[0])}"] * bool(placed & own)
            start, last, over = to_frames(span, times, f"{path}, {tier}, {name!r}")
            cut += [f"{name.strip()} at {clock(span[0])} by {over} ms"] * (over > 0)
            rows.append((label, start, last, confidence.get(number)))
    table = pd.DataFrame(rows, columns=["label", "start", "end", "confidence"])
    segments = as_segments(table.sort_values(["start", "end", "label"]), times)
    remarks = remarks_on(eaf, read, segments, (len(times) - 1) / (times[-1] - times[0]))
    remarks += [f"annotations without a value were skipped: at {some(empty)}"] * bool(empty)
    remarks += [f"gestures were cut to the end of the video: {some(cut)}"] * bool(cut)
    what = "annotations without a time are placed evenly between their neighbours"
    remarks += [f"{what}: {some(between)}"] * bool(between)
    return Corrected(segments, remarks)


def place_slots(eaf: Eaf) -> set[str]:
    """Gives time slots without a time, as time subdivisions have them, the one that ELAN shows:
    evenly between their neighbours of the same tier. Returns these slots."""
    placed = set()
    for aligned, *_ in eaf.tiers.values():
        used = {slot for row in aligned.values() for slot in row[:2]}
        slots = [slot for slot in eaf.timeslots if slot in used]  # in their order in time
        known = [n for n, slot in enumerate(slots) if eaf.timeslots[slot] is not None]
        lost = {*range(min(known, default=0), max(known, default=0))} - {*known}
        moments = [eaf.timeslots[slots[n]] for n in known]
        for n in lost:
            eaf.timeslots[slots[n]] = round(np.interp(n, known, moments))
        placed |= {slots[n] for n in lost}
    return placed


def time_span(eaf: Eaf, number: str, origin: int) -> tuple[int | None, int | None]:
    """Begin and end of an annotation in milliseconds; a symbolic one has those of its parent."""
    for _ in eaf.annotations:  # a chain of parents is no longer
        aligned, symbolic = eaf.tiers[eaf.annotations[number]][:2]
        if number in aligned:
            begin, end = (eaf.timeslots.get(slot) for slot in aligned[number][:2])
            return None if begin is None else begin + origin, None if end is None else end + origin
        number = symbolic[number][0]
        if number not in eaf.annotations:
            break
    return None, None


def media_of(path: Path) -> list[str]:
    """The file names of the videos of an annotation file, else of its other media."""
    media = open_eaf(path).media_descriptors
    media.sort(key=lambda one: not one.get("MIME_TYPE", "").startswith("video"))
    return [PurePath(one["MEDIA_URL"]).name for one in media if one.get("MEDIA_URL")]


def time_origin(eaf: Eaf, path: Path, video: str) -> int:
    """TIME_ORIGIN of the medium: where in it the times of the file start, in milliseconds."""
    media = eaf.media_descriptors
    own = [one for one in media if video and video in PurePath(one.get("MEDIA_URL", "")).parts]
    films = [one for one in media if one.get("MIME_TYPE", "").startswith("video")]
    origin = next((one.get("TIME_ORIGIN") for one in [*own, *films, *media]), None) or "0"
    unit = eaf.header.get("TIME_UNITS", "milliseconds")
    if not re.fullmatch(r"-?[0-9]+", origin) or unit != "milliseconds":
        what, got = "times in milliseconds", f"TIME_ORIGIN {origin!r} in {unit}"
        raise DataError.expected(path, what, got, "save it again with ELAN")
    return int(origin)


def open_eaf(path: Path) -> Eaf:
    try:
        ElementTree.parse(bounded(path, TABLE))  # raises for entities, before any is expanded
        eaf = Eaf()
        eaf.remove_tier("default")
        eaf.adocument[SCHEMA] = ""  # pympi fails on a file without it
        parse_eaf(str(path), eaf, suppress_version_warning=True)
        return eaf
    except Exception as error:  # pympi's XML reading raises many types
        what = "not an ELAN annotation file"
        raise unreadable(path, what, error, "save it again with ELAN") from error


def confidences(eaf: Eaf, tier: str, path: Path) -> dict[str, float]:
    """Confidences by the id of their gesture annotation."""
    found = {}
    for child in eaf.tiers:
        if eaf.tiers[child][2].get("PARENT_REF") != tier or not child.startswith("confidence"):
            continue
        for parent, value, *_ in eaf.tiers[child][1].values():
            try:
                number = float(value or "nan")
            except ValueError:
                number = -1.0
            if number < 0 or number > 1:
                what, todo = "a confidence of 0 to 1", "correct it or leave it empty"
                raise DataError.expected(f"{path}, {child}", what, f"{value!r}", todo)
            found[parent] = number
    return found


def class_named(
    annotation: str, where: str, vocabulary: Vocabulary, renamed: Mapping[str, str]
) -> int:
    """The label of a class name or id, ignoring case."""
    name = renamed.get(annotation.strip(), annotation).strip().lower()
    with suppress(DataError):
        return vocabulary.place(name)
    known = [known.lower() for known in vocabulary.classes]
    near = get_close_matches(name, known, n=1)
    hint = f"use {near[0]!r}" if near else "use a class of the file's vocabulary"
    what = "a class name"
    raise DataError.expected(where, what, f"{annotation!r}", f"{hint}, or map it by `renamed`")


def to_frames(
    span: tuple[int | None, int | None], times: Times, where: str
) -> tuple[int, int, int]:
    """First and last frame of a span in milliseconds, and by how much it is past the end."""
    begin, end = span
    if begin is None or end is None:
        raise DataError(f"{where}: has no time; align it in ELAN")
    if min(begin, end) < 0:
        what = "a time from 0 on"
        raise DataError.expected(where, what, f"{min(begin, end)} ms", "correct it in ELAN")
    start, stop = (int(np.abs(1000 * times - moment).argmin()) for moment in (begin, end))
    if start == len(times) - 1:
        raise DataError(
            f"{where}: starts at {clock(begin)}, after the video's end at"
            f" {clock(round(1000 * times[-1]))}; correct it, or name the annotated video"
        )
    if stop <= start:
        raise DataError(
            f"{where}: is shorter than a frame at {clock(begin)}; delete or lengthen it"
        )
    over = end - 1000 * times[-1]
    return start, stop - 1, round(over) if over > 500 * (times[-1] - times[-2]) else 0


def clock(milliseconds: int | None) -> str:
    """Minutes and seconds as ELAN shows them."""
    if milliseconds is None:
        return "no time"
    return f"{milliseconds // 60_000:02d}:{milliseconds % 60_000 / 1000:06.3f}"


def remarks_on(eaf: Eaf, read: list[str], segments: pd.DataFrame, fps: int | float) -> list[str]:
    """What was converted and what was ignored."""
    remarks = []
    others = [t for t in eaf.get_tier_names() if t not in read and not t.startswith("confidence")]
    if others:
        remarks.append(f"tiers without gestures were ignored: {some(others)}")
    rate = dict(eaf.get_properties()).get(RATE)
    if rate and not np.isclose(pd.to_numeric(rate, errors="coerce"), fps, rtol=0.01):
        remarks.append(f"annotated at {rate} frames per second, converted by seconds to {fps:g}")
    tiers = len(in_tiers(segments))
    if tiers > 1:
        remarks.append(f"gestures overlap, up to {tiers} at a time; each is a separate clip")
    return remarks

"""ELAN's annotation files: gestures out for annotators to correct, and corrected ones back.

    gestures        the class by name, out of a controlled vocabulary
    confidence      below it, a number for each; a person's own gesture has none
    gestures 2 ...  where gestures overlap: a tier of ELAN holds one at a time

ELAN counts milliseconds; a frame's time is rounded to them and read back as that frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

import pandas as pd
from pympi.Elan import Eaf, to_string

from imigue_lab.data.segments import as_segments
from imigue_lab.data.vocabulary import CLASSES
from imigue_lab.data.workspace import write_atomically
from imigue_lab.errors import DataError, some

TIER = "gestures"
RATE = "imigue_lab:fps"  # property of the file: frames a second that its segments were counted in


def write_eaf(segments: pd.DataFrame, video: Path, fps: int | float, path: Path) -> None:
    """One file that opens in ELAN beside the video.

    Args:
        video: that the annotations are of; ELAN asks for it where it has moved.
        fps: frames a second, at most 500.
    """
    eaf = Eaf(author="imigue_lab")
    eaf.remove_tier("default")
    eaf.add_linked_file(str(video.resolve()), relpath=video.name, mimetype="video/mp4")
    eaf.add_property(RATE, repr(float(fps)))
    eaf.add_language("und", None, "undetermined")
    eaf.add_controlled_vocabulary("gestures")
    for label, name in enumerate(CLASSES):
        eaf.add_cv_entry("gestures", f"class{label}", [(name, "und", None)])
    vocabulary = {"LINGUISTIC_TYPE_ID": "gesture", "TIME_ALIGNABLE": "true"}
    vocabulary |= {"GRAPHIC_REFERENCES": "false", "CONTROLLED_VOCABULARY_REF": "gestures"}
    eaf.add_linguistic_type("gesture", param_dict=vocabulary)
    eaf.add_linguistic_type("number", "Symbolic_Association", timealignable=False)
    for number, rows in enumerate(in_tiers(segments), start=1):
        tier, below = name_of(number, TIER), name_of(number, "confidence")
        eaf.add_tier(tier, "gesture")
        eaf.add_tier(below, "number", parent=tier)
        for row in rows.itertuples():
            begin, end = round(1000 * row.start / fps), round(1000 * (row.end + 1) / fps)
            eaf.add_annotation(tier, begin, end, CLASSES[row.label])
            if not pd.isna(row.confidence):
                eaf.add_ref_annotation(below, tier, (begin + end) // 2, repr(row.confidence))
    write_atomically(path, to_string(eaf, encoding="UTF-8"))


def name_of(number: int, tier: str) -> str:
    return tier if number == 1 else f"{tier} {number}"


def in_tiers(segments: pd.DataFrame) -> list[pd.DataFrame]:
    """Parts in which nothing overlaps, as few as will do; one empty part where there is nothing."""
    ends: list[int] = []
    places = {}
    for row in segments.sort_values("start", kind="stable").itertuples():
        free = (number for number, end in enumerate(ends) if end < row.start)
        place = next(free, len(ends))
        ends[place : place + 1] = [row.end]
        places[row.Index] = place
    place_of = segments.index.map(places)
    return [segments[place_of == number] for number in range(max(1, len(ends)))]


@dataclass(frozen=True)
class Corrected:
    """Segments out of an annotation file, in the order of time, and what became of the rest."""

    segments: pd.DataFrame
    remarks: list[str] = field(default_factory=list)


def read_eaf(
    path: Path, fps: int | float, frames: int, renamed: Mapping[str, str] | None = None
) -> Corrected:
    """The gestures of a file that people have corrected.

    All tiers named ``gestures...`` are read, others are left and named. Times that lie between
    frames go to the nearer one; a file counted at another rate is read by its seconds.

    Args:
        fps, frames: of the video.
        renamed: words of the annotators -> names of classes.

    Raises:
        DataError: no annotation file, a word that is no class, or a gesture that the video does
            not hold; the sentence says which and when.
    """
    eaf = open_eaf(path)
    read = [tier for tier in eaf.get_tier_names() if tier.startswith(TIER)]
    if not read:
        raise DataError(
            f"{path}: has no tier named {TIER!r} (there: {some(eaf.get_tier_names()) or 'none'});"
            " rename the one that holds them"
        )
    rows = []
    for tier in read:
        sure = confidences(eaf, tier, path)
        for number, (begin, end, word, _) in eaf.tiers[tier][0].items():
            times = eaf.timeslots.get(begin), eaf.timeslots.get(end)
            label = class_named(word, f"{path}, {tier}, {clock(times[0])}", renamed or {})
            start, last = to_frames(times, fps, frames, f"{path}, {tier}, {word!r}")
            row = {"label": label, "start": start, "end": last}
            rows.append(row | {"confidence": sure.get(number)})
    table = pd.DataFrame(rows, columns=["label", "start", "end", "confidence"])
    table = table.sort_values(["start", "end", "label"])
    segments = as_segments(table, fps)
    return Corrected(segments, remarks_on(eaf, read, segments, fps))


def open_eaf(path: Path) -> Eaf:
    try:
        return Eaf(str(path), suppress_version_warning=True)
    except Exception as error:  # whatever its reading of XML comes to
        said = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path}: no annotation file of ELAN ({said}); save it again with ELAN"
        ) from error


def confidences(eaf: Eaf, tier: str, path: Path) -> dict[str, float]:
    """By the annotation that they belong to."""
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
                raise DataError(
                    f"{path}, {child}: {value!r} is no confidence of 0 to 1; correct it or leave"
                    " it empty"
                )
            found[parent] = number
    return found


def class_named(word: str, where: str, renamed: Mapping[str, str]) -> int:
    """The class by its name, in any case."""
    name = renamed.get(word.strip(), word).strip().lower()
    known = {own.lower(): label for label, own in enumerate(CLASSES)}
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "take one of the file's vocabulary"
    raise DataError(f"{where}: {word!r} is no class; {hint} Or say by `renamed` what it stands for")


def to_frames(
    times: tuple[int | None, int | None], fps: int | float, frames: int, where: str
) -> tuple[int, int]:
    """First and last frame of a span in milliseconds."""
    begin, end = times
    if begin is None or end is None:
        raise DataError(f"{where}: has no time; align it in ELAN")
    start, last = round(begin * fps / 1000), round(end * fps / 1000) - 1
    if last < start:
        raise DataError(
            f"{where}: is shorter than a frame at {clock(begin)}; delete or lengthen it"
        )
    if last >= frames:
        raise DataError(
            f"{where}: ends at {clock(end)} and the video at {clock(round(1000 * frames / fps))};"
            " correct it, or name the video it was made for"
        )
    return start, last


def clock(milliseconds: int | None) -> str:
    """Minutes and seconds as ELAN shows them."""
    if milliseconds is None:
        return "no time"
    return f"{milliseconds // 60_000:02d}:{milliseconds % 60_000 / 1000:06.3f}"


def remarks_on(eaf: Eaf, read: list[str], segments: pd.DataFrame, fps: int | float) -> list[str]:
    """What was mapped and what was left."""
    remarks = []
    below = {tier for tier in eaf.tiers if tier.startswith("confidence")}
    left = [tier for tier in eaf.get_tier_names() if tier not in below.union(read)]
    if left:
        remarks.append(f"tiers that hold no gestures were left: {some(left)}")
    rate = dict(eaf.get_properties()).get(RATE)
    if rate and float(rate) != float(fps):
        remarks.append(f"counted at {rate} frames a second, read by its seconds at {fps:g}")
    tiers = len(in_tiers(segments))
    if tiers > 1:
        remarks.append(f"gestures overlap, up to {tiers} at a time; each is a clip of its own")
    return remarks

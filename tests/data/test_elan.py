"""ELAN files: the round trip is exact, and manual changes are read or refused."""

import re

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from imigue_lab.data.elan import read_eaf, write_eaf
from imigue_lab.data.segments import as_segments
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import DataError

IMIGUE = builtin("imigue")

FRAMES = 2000


def times(fps, frames=FRAMES):
    """Of a film at a constant rate."""
    return np.arange(frames + 1) / fps


def random_segments(seed, fps, count=60, gap=5):
    """Segments with every class; some have no confidence, some touch."""
    rng = np.random.default_rng(seed)
    lengths, pauses = rng.integers(1, 25, count), rng.integers(0, gap, count)
    end = np.cumsum(lengths + pauses)
    rows = {"label": np.arange(count) % 32, "start": end - lengths, "end": end - 1}
    confidence = np.where(rng.random(count) < 0.2, np.nan, rng.random(count))
    return as_segments(pd.DataFrame({**rows, "confidence": confidence}), times(fps))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "anna.eaf"


@pytest.mark.parametrize("fps", [25.0, 30.0, 30000 / 1001, 23.976, 120.0])
def test_a_round_trip_is_exact(file, fps):
    segments = random_segments(0, fps)
    write_eaf(segments, file.with_suffix(".mp4"), fps, file, IMIGUE)
    read = read_eaf(file, times(fps), IMIGUE)
    assert_frame_equal(read.segments, segments)
    assert read.remarks == []


def test_a_round_trip_without_any_gesture_is_empty(file):
    segments = random_segments(0, 25).head(0)
    write_eaf(segments, file.with_suffix(".mp4"), 25, file, IMIGUE)
    assert_frame_equal(read_eaf(file, times(25), IMIGUE).segments, segments, check_dtype=False)


def test_overlapping_gestures_are_written_in_separate_tiers_and_read_again(file):
    rows = [(3, 0, 40, 0.9), (5, 10, 50, 0.8), (7, 20, 30, np.nan), (9, 41, 60, 0.5)]
    table = pd.DataFrame(rows, columns=["label", "start", "end", "confidence"])
    segments = as_segments(table, times(25))
    write_eaf(segments, file.with_suffix(".mp4"), 25, file, IMIGUE)
    text = file.read_text()
    assert all(f'TIER_ID="{name}"' in text for name in ("gestures", "gestures 2", "gestures 3"))
    assert 'TIER_ID="gestures 4"' not in text
    read = read_eaf(file, times(25), IMIGUE)
    assert_frame_equal(read.segments, segments)
    assert read.remarks == ["gestures overlap, up to 3 at a time; each is a separate clip"]


def test_the_vocabulary_offers_every_class_and_the_video_is_linked(file):
    write_eaf(random_segments(0, 25).head(1), file.with_suffix(".mp4"), 25, file, IMIGUE)
    text = file.read_text()
    assert all(f">{name}</CVE_VALUE>" in text for name in IMIGUE.classes)
    assert 'CONTROLLED_VOCABULARY_REF="gestures"' in text
    assert "anna.mp4" in text


def change(file, old, new, count=-1):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, count))


def test_moved_and_renamed_gestures_are_read(file):
    rows = pd.DataFrame([(3, 25, 49, 0.9)], columns=["label", "start", "end", "confidence"])
    write_eaf(as_segments(rows, times(25)), file.with_suffix(".mp4"), 25, file, IMIGUE)
    change(file, 'TIME_VALUE="1000"', 'TIME_VALUE="1210"')  # between frames 30 and 31
    change(file, f"<ANNOTATION_VALUE>{IMIGUE.classes[3]}", "<ANNOTATION_VALUE>Touching Ears ")
    segments = read_eaf(file, times(25), IMIGUE).segments
    assert segments[["label", "start", "end"]].to_numpy().tolist() == [[8, 30, 49]]


def test_a_file_of_another_frame_rate_is_converted_by_its_seconds_with_a_remark(file):
    rows = pd.DataFrame([(3, 25, 49, 0.9)], columns=["label", "start", "end", "confidence"])
    write_eaf(as_segments(rows, times(25)), file.with_suffix(".mp4"), 25, file, IMIGUE)
    read = read_eaf(file, times(50), IMIGUE)
    assert read.segments[["start", "end", "start_s", "end_s"]].to_numpy().tolist() == [
        [50, 99, 1.0, 2.0]
    ]
    assert read.remarks == ["annotated at 25.0 frames per second, converted by seconds to 50"]
    change(file, ">25.0<", ">fast<", 1)
    assert read_eaf(file, times(25), IMIGUE).remarks == [
        "annotated at fast frames per second, converted by seconds to 25"
    ]


def test_other_tiers_are_ignored_and_named(file):
    write_eaf(random_segments(0, 25).head(2), file.with_suffix(".mp4"), 25, file, IMIGUE)
    change(file, "<LINGUISTIC_TYPE ", '<TIER LINGUISTIC_TYPE_REF="gesture" TIER_ID="speech" />'
            "<LINGUISTIC_TYPE ", 1)  # fmt: skip
    read = read_eaf(file, times(25), IMIGUE)
    assert read.remarks == ["tiers without gestures were ignored: speech"]
    assert len(read.segments) == 2


def test_an_unknown_class_is_refused_with_its_time_or_renamed(file):
    rows = pd.DataFrame([(3, 25, 49, 0.9)], columns=["label", "start", "end", "confidence"])
    write_eaf(as_segments(rows, times(25)), file.with_suffix(".mp4"), 25, file, IMIGUE)
    change(file, f"<ANNOTATION_VALUE>{IMIGUE.classes[3]}", "<ANNOTATION_VALUE>touching hair")
    with pytest.raises(
        DataError, match=r"gestures, 00:01.000: expected a class name, got 'touching hair'; use '"
    ):
        read_eaf(file, times(25), IMIGUE)
    renamed = {"touching hair": IMIGUE.classes[12]}
    assert read_eaf(file, times(25), IMIGUE, renamed).segments.label.tolist() == [12]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            'TIME_VALUE="1000"',
            'TIME_VALUE="90000"',
            "starts at 01:30.000, after the .* end at 01:20.000",
        ),
        ('TIME_VALUE="2000"', 'TIME_VALUE="1010"', "shorter than a frame"),
        ('TIME_VALUE="2000"', "", "has no time"),
        ('TIME_VALUE="1000"', 'TIME_VALUE="-40"', "expected a time from 0 on, got -40 ms"),
        ('TIER_ID="gestures"', 'TIER_ID="speech"', "expected a tier named 'gestures', got speech"),
        (
            "<ANNOTATION_VALUE>0.9",
            "<ANNOTATION_VALUE>sure",
            "expected a confidence .*, got 'sure'",
        ),
        ("</ANNOTATION_DOCUMENT>", "", "not an ELAN annotation file"),
    ],
)
def test_impossible_gestures_of_the_video_are_refused(file, old, new, complaint):
    rows = pd.DataFrame([(3, 25, 49, 0.9)], columns=["label", "start", "end", "confidence"])
    write_eaf(as_segments(rows, times(25)), file.with_suffix(".mp4"), 25, file, IMIGUE)
    change(file, old, new, 1)
    with pytest.raises(DataError, match=complaint):
        read_eaf(file, times(25), IMIGUE)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="not an ELAN annotation file"):
        read_eaf(tmp_path / "none.eaf", times(25), IMIGUE)


ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">{media}</HEADER>
<TIME_ORDER>{slots}</TIME_ORDER>{tiers}
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="free" TIME_ALIGNABLE="true"/></ANNOTATION_DOCUMENT>
"""
MEDIUM = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///talks/{}" MIME_TYPE="video/mp4" {}/>'


def aligned(name, *annotations):
    """A tier, and its time slots: (id, begin, end, value) for each annotation."""
    slots, rows = "", ""
    for number, begin, end, value in annotations:
        for edge, moment in (("a", begin), ("b", end)):
            slots += f'<TIME_SLOT TIME_SLOT_ID="{edge}{number}" TIME_VALUE="{moment}"/>'
        rows += (
            f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="n{number}"'
            f' TIME_SLOT_REF1="a{number}" TIME_SLOT_REF2="b{number}">'
            f"<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
        )
    return slots, f'<TIER LINGUISTIC_TYPE_REF="free" TIER_ID="{name}">{rows}</TIER>'


def symbolic(name, parent, *annotations):
    rows = "".join(
        f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="n{number}" ANNOTATION_REF="n{of}">'
        f"<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
        for number, of, value in annotations
    )
    return f'<TIER LINGUISTIC_TYPE_REF="free" TIER_ID="{name}" PARENT_REF="{parent}">{rows}</TIER>'


def written(file, tiers, slots, media=""):
    file.write_text(ELAN.format(media=media, slots=slots, tiers=tiers))
    return file


def frames(read):
    return read.segments[["start", "end"]].to_numpy().tolist()


@pytest.mark.parametrize(("origin", "expected"), [(1000, [75, 99]), (-400, [40, 64])])
def test_the_time_origin_of_the_video_is_added_to_its_times(file, origin, expected):
    slots, tier = aligned("gestures", (1, 2000, 3000, IMIGUE.classes[3]))
    media = MEDIUM.format("side.mp4", 'TIME_ORIGIN="4000"')
    media += MEDIUM.format("anna.mp4", f'TIME_ORIGIN="{origin}"')
    read = read_eaf(written(file, tier, slots, media), times(25), IMIGUE, video="anna.mp4")
    assert frames(read) == [expected]
    written(file, tier, slots, MEDIUM.format("anna.mp4", 'TIME_ORIGIN="soon"'))
    with pytest.raises(DataError, match="expected times in milliseconds, got TIME_ORIGIN 'soon'"):
        read_eaf(file, times(25), IMIGUE)


def test_a_symbolic_child_has_the_times_of_its_parents_parent(file):
    slots, tier = aligned("phases", (1, 400, 1200, "stroke"), (2, 2000, 2400, "stroke"))
    tiers = symbolic("gestures", "hands", (5, 3, IMIGUE.classes[3])) + tier
    tiers += symbolic("hands", "phases", (3, 1, "left"), (4, 2, "right"))
    read = read_eaf(written(file, tiers, slots), times(25), IMIGUE)
    assert frames(read) == [[10, 29]]
    assert read.remarks == ["tiers without gestures were ignored: phases, hands"]


def test_a_gesture_past_the_end_is_cut_and_an_empty_one_skipped_with_remarks(file):
    slots, tier = aligned(
        "gestures",
        (1, 400, 1200, IMIGUE.classes[3]),
        (2, 1300, 1400, " "),
        (3, 1500, 2100, IMIGUE.classes[4]),
    )
    read = read_eaf(written(file, tier, slots), times(25, 50), IMIGUE)
    assert frames(read) == [[10, 29], [37, 49]]
    assert read.remarks == [
        "annotations without a value were skipped: at 00:01.300",
        f"gestures were cut to the end of the video: {IMIGUE.classes[4]} at 00:01.500 by 100 ms",
    ]


def test_times_are_converted_by_the_stamps_of_a_variable_rate(file):
    stamps = np.cumsum([0.0] + [0.1] * 20 + [0.033] * 40)
    rows = pd.DataFrame([(3, 20, 29, 0.9)], columns=["label", "start", "end", "confidence"])
    segments = as_segments(rows, stamps)
    assert segments.start_s.tolist() == pytest.approx([2.0])
    write_eaf(segments, file.with_suffix(".mp4"), 18.1, file, IMIGUE)
    assert 'TIME_VALUE="2000"' in file.read_text()
    assert_frame_equal(read_eaf(file, stamps, IMIGUE).segments, segments)


def test_a_subdivision_without_times_is_even_between_its_neighbours(file):
    rows = [(3, 0, 9, np.nan), (5, 10, 24, np.nan), (7, 25, 74, np.nan), (9, 80, 99, np.nan)]
    table = pd.DataFrame(rows, columns=["label", "start", "end", "confidence"])
    write_eaf(as_segments(table, times(25)), file.with_suffix(".mp4"), 25, file, IMIGUE)
    text = file.read_text()
    slots = dict(re.findall(r'TIME_SLOT_ID="(\w+)" TIME_VALUE="(\d+)"', text))
    for moment in ("400", "1000"):  # ELAN has one slot between two parts of 0 to 3000 ms
        ends, begins = (slot for slot, own in slots.items() if own == moment)
        text = text.replace(f'REF1="{begins}"', f'REF1="{ends}"').replace(
            f'TIME_VALUE="{moment}"', ""
        )
    file.write_text(text)
    read = read_eaf(file, times(25), IMIGUE)
    assert read.segments.start.tolist() == [0, 25, 50, 80]
    assert read.segments.end.tolist() == [24, 49, 74, 99]
    assert "annotations without a time are placed evenly between" in read.remarks[-1]
    file.write_text(text.replace(' TIME_VALUE="4000"', ""))  # the last slot has no neighbour
    with pytest.raises(DataError, match="has no time; align it in ELAN"):
        read_eaf(file, times(25), IMIGUE)


@pytest.mark.parametrize("too_large", [False, True])
def test_entities_are_refused_unexpanded_and_so_is_a_file_beyond_the_bound(
    file, monkeypatch, too_large
):
    write_eaf(random_segments(0, 25), file.with_suffix(".mp4"), 25, file, IMIGUE)
    complaint = r"not an ELAN annotation file \(EntitiesForbidden\(name='a'"
    if too_large:
        monkeypatch.setattr("imigue_lab.data.elan.TABLE", 1000)
        complaint = "it is larger than 0.001 MB"
    else:
        entities = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><ANNOTATION_DOCUMENT'
        change(file, "<ANNOTATION_DOCUMENT", entities, 1)
    with pytest.raises(DataError, match=complaint):
        read_eaf(file, times(25), IMIGUE)

"""The data check finds every inserted fault, in every layout that can have it, and nothing else."""

import json
import shutil
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from imigue_lab.app import main
from imigue_lab.data.checks import tables
from imigue_lab.data.checks.root import check_root, face_sharpness, read_facts
from imigue_lab.data.index import CLIPS, VIDEOS, Index
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.source import open_data
from imigue_lab.data.synthetic import recording
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import DataError
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.tasks import TASKS
from tests.data.checks.faults import FAULTS, faults_of, insert_faults

ROOTS = ("full", "miga2023", "miga2024", "miga2026", "plain")

CAN_HAVE = """
                          full  miga2023  miga2024  miga2026  plain
unknown class               x       x         x         x       x
reversed range              x       x         x         x       x
range past the end          x       x         x         .       x
duplicate row               x       x         x         x       x
empty skeleton              x       x         x         .       x
NaN                         x       x         x         .       x
row lost                    x       .         x         .       x
rows lost                   x       .         x         .       x
missing wrist               x       x         x         .       x
swapped hands               x       x         x         .       x
header missing              .       x         x         .       .
header repeated             .       x         x         .       .
truncated video             x       .         x         x       x
other size                  x       .         x         x       x
blurred face                .       .         x         .       x
unsafe name                 x       x         x         x       x
duplicate video             .       x         x         .       x
validation inside train     x       x         x         x       .
subject leak                x       x         x         x       x
"""


def possible(layout):
    header, *rows = (line.split() for line in CAN_HAVE.strip().splitlines())
    return {" ".join(row[:-5]) for row in rows if row[-5:][header.index(layout)] == "x"}


@pytest.fixture(scope="module", params=ROOTS)
def faulty(request, tmp_path_factory):
    """Each layout with every fault it can have: layout, clean report, fault -> video, report."""
    root = tmp_path_factory.mktemp("faulty") / request.param
    with patch.multiple(recording, WIDTH=192, HEIGHT=144):  # 220 films of a quarter of the pixels
        index = make_data(root, SyntheticSpec(videos=44, layout=request.param))
    clean = check_root(root)
    inserted = insert_faults(index, faults_of(request.param))
    return request.param, clean, inserted, check_root(root)


def important(report):
    return [finding for finding in report.findings if finding.severity != "note"]


def test_a_clean_tree_has_neither_errors_nor_warnings(faulty):
    _, clean, _, _ = faulty
    assert important(clean) == []
    assert clean.usable


def test_every_fault_of_the_table_is_inserted_into_a_different_video(faulty):
    layout, _, inserted, _ = faulty
    assert set(inserted) == possible(layout)
    assert len(set(inserted.values())) == len(inserted)


def test_each_fault_is_found_with_its_kind_and_nothing_else_is(faulty):
    _, _, inserted, report = faulty
    expected = {FAULTS[name].finding for name in inserted}
    assert {(finding.severity, finding.kind) for finding in important(report)} == expected
    assert not report.usable


def test_findings_name_the_faulty_videos_and_no_other(faulty):
    _, _, inserted, report = faulty
    videos = {}
    for name, video in inserted.items():
        videos.setdefault(FAULTS[name].finding[1], set()).add(video)
    for finding in important(report):
        for place in finding.places:
            named = {video for video in videos[finding.kind] if video in place + finding.what}
            in_table = place.split(":")[0].endswith(".csv")
            assert named or in_table or finding.kind == "subject leak", finding
    subjects = report.index.videos.set_index("video_id").subject
    both = next(f for f in important(report) if f.kind == "subject leak")
    assert both.places[0].startswith(f"{subjects[inserted['subject leak']]} (")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Trees of each kind of file: in the plain layout with videos, and keypoints in CSV files."""
    root = tmp_path_factory.mktemp("small")
    make_data(root / "plain", SyntheticSpec(videos=12, layout="plain"))
    make_data(root / "miga2023", SyntheticSpec(videos=12, layout="miga2023", pictures=False))
    return root


ERRORS = [name for name, fault in FAULTS.items() if fault.finding[0] == "error"]


@pytest.mark.parametrize("name", ERRORS)
def test_what_the_check_calls_an_error_stops_training_by_the_same_sentence(small, name, tmp_path):
    layout = "plain" if name in ("truncated video", "unsafe name") else "miga2023"
    root = shutil.copytree(small / layout, tmp_path / "tree")
    insert_faults(read_index(root), [name])
    errors = [f for f in check_root(root, "none").findings if f.severity == "error"]
    with pytest.raises(DataError) as stopped:
        load_gesture_data(open_data(str(root))).skeletons("train", 8)
    (found,) = errors
    of_file = found.places[0].partition(": ")[2]  # of a video: what is wrong with it
    assert (of_file or found.what) in str(stopped.value)
    assert name == "truncated video" or found.advice in str(stopped.value)


def test_a_range_past_the_end_stops_every_task_before_any_feature_is_read(small, tmp_path):
    root = shutil.copytree(small / "plain", tmp_path / "tree")
    insert_faults(read_index(root), ["range past the end"])
    (found,) = [f for f in check_root(root, "none").findings if f.severity == "error"]
    for task in TASKS.values():
        with pytest.raises(DataError) as stopped:
            task.load_data(task.settings.from_arguments({"data": str(root)}))
        assert str(stopped.value) == f"{root}: {found.sentence}"


def test_doubtful_outcomes_are_a_warning(plain):
    splits = ["train", "train", "validation"] * 3
    names = ["calm", "Calm", "tense", "calms", "calms", "tense", "happy", "unhappy", "unhappy"]
    rows = [(f"v{n}", splits[n], own, f"s{n}") for n, own in enumerate(names)]
    findings = {f.kind: f for f in check_root(plain(rows)).findings}
    assert findings["doubtful outcome"].severity == "warning"
    assert findings["doubtful outcome"].places == (
        "'calms' is almost 'calm'",
        "'happy' is the outcome of one video",
    )


def test_the_command_exits_with_a_status_and_writes_json(synthetic, tmp_path, capsys):
    def status(*arguments):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        return end.value.code

    main(["check", str(synthetic)])  # no exit: status 0
    assert "32 videos" in capsys.readouterr().out
    root = str(tmp_path / "tree")
    main(["make-data", root, "--videos", "12", "--no-pictures"])
    assert "12 synthetic interviews" in capsys.readouterr().out
    assert insert_faults(read_index(root), ["unknown class", "NaN"])["unknown class"] == "0002"
    assert status("check", root, "--json", str(tmp_path / "out.json")) == 1
    written = json.loads((tmp_path / "out.json").read_text())
    assert {f["kind"] for f in written["findings"]} >= {"unknown class", "unreadable keypoints"}
    assert (
        "error, unknown class: expected a class of 1 to 31 or 99, got '55'"
        in capsys.readouterr().out
    )


def test_all_decodes_every_frame_and_none_opens_no_video(tmp_path):
    root = tmp_path / "tree"
    index = make_data(root, SyntheticSpec(videos=3))
    path = index.videos.video[0]
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    damaged = [f for f in important(check_root(root, decode="all")) if f.kind == "truncated video"]
    assert len(damaged) == 1
    assert "0001: " in damaged[0].places[0]
    assert important(check_root(root, decode="none")) == []


def make_index(videos, clips=()):
    """An index of a few videos (id, subject, split) and clips (video, split, label)."""
    table = pd.DataFrame(videos, columns=["video_id", "subject", "split"])
    gestures = pd.DataFrame(clips, columns=["video_id", "split", "label"])
    gestures["clip_id"] = [f"{v}_{row}" for row, v in enumerate(gestures.video_id)]
    return Index(
        Path("tree"),
        "miga",
        table.reindex(columns=list(VIDEOS.columns)),
        gestures.reindex(columns=list(CLIPS.columns)),
    )


def test_a_real_tree_is_compared_with_the_official_counts():
    found = tables.check_official_counts(make_index([("0001", "s", "train")]))[0]
    assert found.severity == "note"
    assert "train: expected 241 videos with 12893 clips, got 1 with 0" in found.places


def test_absent_classes_are_named_by_split():
    clips = [("0001", "train", label) for label in range(31)]
    found = tables.check_absent_classes(make_index([("0001", "s", "train")], clips))
    assert [f.places for f in found] == [("99 illustrative gesture",)]


def test_the_known_leak_is_reported_if_0085_is_in_the_test_split_without_0086():
    assert tables.check_known_leak(make_index([("0085", "s", "test")]))
    assert not tables.check_known_leak(make_index([("0085", "s", "test"), ("0086", "s", "test")]))


def test_equal_test_labels_are_reported_as_placeholders():
    same = make_index([("0001", "s", "test")], [("0001", "test", 0)] * 3)
    assert tables.check_placeholders(same)[0].kind == "placeholder labels"
    real = make_index([("0001", "s", "test")], [("0001", "test", n) for n in (0, 4, 4)])
    assert not tables.check_placeholders(real)


def test_crossed_arms_are_not_swapped_hands():
    layout, points = LAYOUTS["light_hand35"], np.zeros((9, 35, 3), np.float32)
    points[..., 2] = 0.9
    points[:, 4, :2], points[:, 7, :2] = (120, 80), (60, 80)  # crossed wrists
    points[:, 25:30, :2], points[:, 30:35, :2] = (122, 84), (58, 84)  # with their fingers
    assert not read_facts(points, layout).swapped
    points[:, 25:30], points[:, 30:35] = points[:, 30:35].copy(), points[:, 25:30].copy()
    assert read_facts(points, layout).swapped


def test_a_blurred_face_is_less_sharp_than_its_frame():
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, size=(80, 80, 3), dtype=np.uint8)
    assert face_sharpness(frame, (40.0, 30.0, 15.0)) > 0.5
    frame[10:50, 20:60] = 128
    assert face_sharpness(frame, (40.0, 30.0, 15.0)) < 0.05

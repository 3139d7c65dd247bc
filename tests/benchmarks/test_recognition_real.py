"""Streams of the benchmark on real actions: every clip once, rest between, the same by seed."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.recognition_real import REST, compare, gains, write_streams
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.training.recognition.scores import score_segments

NAMES = ("wave", "clap", "bend")


@pytest.fixture
def file(tmp_path):
    """A file in the form of the depth camera's: 10 subjects of 6 clips, of three classes."""
    rng = np.random.default_rng(0)
    count, frames = 60, 40
    y, lengths = np.arange(count) % 3, rng.integers(20, frames, count)
    subject = np.arange(count) // 6 + 1
    pose = rng.normal(size=(1, 1, 20, 3))
    swing = np.sin(np.arange(frames)[None, :, None] / (2 + 3 * y[:, None, None]))
    x = np.tile(pose, (count, frames, 1, 1))
    x[:, :, 5:10, 1] += swing
    path = tmp_path / "depth.npz"
    split = np.where(subject % 2 == 1, "train", "test")
    arrays = {"x": x.astype(np.float32), "lengths": lengths, "y": y, "subject": subject}
    np.savez(path, **arrays, split=split, class_names=np.array(NAMES))
    return path


def test_streams_have_every_clip_as_it_is_and_rest_between(file, tmp_path):
    write_streams(file, tmp_path / "a", 3, seed=0)
    index, arrays = read_index(tmp_path / "a"), np.load(file)
    assert index.videos.split.value_counts().to_dict() == {"train": 8, "validation": 2, "test": 10}
    assert set(index.videos.subject[index.videos.split == "validation"]) == {"subject09"}
    assert index.clips.subject.value_counts().eq(6).all() and len(index.clips) == 60
    lengths = (index.clips.end - index.clips.start + 1).tolist()
    assert sorted(lengths) == sorted(arrays["lengths"].tolist())
    own = index.clips[index.clips.video_id == "subject01_0"].sort_values("start")
    stream = np.load(tmp_path / "a/keypoints/subject01_0.npy")
    edges = [0, *np.ravel([own.start, own.end + 1], order="F"), len(stream)]
    quiet = np.diff(edges)[::2]
    assert (quiet >= REST[0]).all() and (quiet < REST[1]).all()
    for row in own.itertuples():
        clips = [x[:n] for x, n in zip(arrays["x"], arrays["lengths"], strict=True)]
        assert any(np.array_equal(stream[row.start : row.end + 1], clip) for clip in clips)
    middle = edges[2] + quiet[1] // 2
    assert np.array_equal(stream[edges[2]], stream[edges[2] - 1])  # still, then towards the next
    assert not np.array_equal(stream[middle + 1], stream[edges[2]])


def test_a_seed_decides_the_streams(file, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_streams(file, tmp_path / name, 3, seed)
    tables = [pd.read_csv(tmp_path / name / "clips.csv") for name in "abc"]
    assert tables[0].equals(tables[1]) and not tables[0].equals(tables[2])


def test_all_three_are_scored_on_the_test_streams_and_resume(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path / "home"))
    write_streams(file, tmp_path / "a", 3, seed=0)
    compared = compare(tmp_path / "a", 0, 1, "st-gcn")
    scores = score_segments(*compared)
    assert scores.predictor.tolist() == ["sliding windows", "frames", "pyramid"]
    assert (
        scores.n.eq(30).all() and scores.clusters.eq(5).all() and set(scores.unit) == {"subjects"}
    )
    assert len(list((tmp_path / "home/runs").iterdir())) == 3
    capsys.readouterr()
    again = compare(tmp_path / "a", 0, 1, "st-gcn")
    pd.testing.assert_frame_equal(score_segments(*again), scores)
    assert "step/s" not in capsys.readouterr().err  # nothing is trained again


def test_gains_are_paired_by_subject_and_averaged_over_seeds():
    videos = pd.DataFrame({"video_id": ["a", "b", "c"], "subject": ["s1", "s2", "s2"]})
    columns = ["video_id", "label", "start", "end", "confidence"]
    true = pd.DataFrame([(own, 0, 0, 9, 1.0) for own in "abc"], columns=columns)
    none, some = true.iloc[:0], true[true.video_id == "a"]
    seeds = [
        ({"windows": some, "own": true}, true, videos),
        ({"windows": some, "own": some}, true, videos),
    ]
    table = gains(seeds).set_index(["finder", "iou"])
    row = table.loc["own", 0.5]
    assert row.f1 == pytest.approx((1 + 0.5) / 2) and row.gain == pytest.approx(0.25)
    assert row.by == "+0.50, +0.00" and row.low <= row.gain <= row.high
    assert table.loc["windows", 0.5].gain == 0 and table.loc["windows", 0.5].high == 0
    nothing = gains([({"windows": none, "own": true}, true, videos)] * 2)
    assert nothing.gain.tolist() == [0, 1] * 3

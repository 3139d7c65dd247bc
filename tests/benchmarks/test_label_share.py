"""What `benchmarks.label_share` trains on: nested shares of labels, and no clip of test."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from benchmarks.label_share import SHARES, write_shares

CLASSES, SUBJECTS, EACH = 2, 4, 5  # clips of each class and subject


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    rng = np.random.RandomState(0)
    clips = CLASSES * SUBJECTS * EACH
    subject = np.repeat(np.arange(SUBJECTS), CLASSES * EACH)
    arrays = {
        "ids": np.array([f"clip{number:02}" for number in range(clips)]),
        "split": np.where(subject < 2, "train", "test"),
        "subject": subject,
        "class_names": np.array(["wave", "clap"]),
        "y": np.tile(np.arange(CLASSES), SUBJECTS * EACH),
        "x": rng.randn(clips, 6, 20, 3).astype(np.float32),
        "lengths": np.full(clips, 6),
    }
    path = tmp_path_factory.mktemp("recorded") / "msraction3d.npz"
    np.savez(path, **arrays)
    return path


def labelled(root, share, split):
    clips, videos = (pd.read_csv(root / f"{share}" / f"{name}.csv") for name in ("clips", "videos"))
    return clips[clips.video_id.isin(videos.video_id[videos.split == split])]


def test_each_share_of_labels_is_even_and_part_of_the_next(file, tmp_path):
    write_shares(file, tmp_path, seed=0, without="")
    found = [labelled(tmp_path, share, "train") for share in SHARES]
    assert [len(own) for own in found] == [2, 5, 10, 20]
    for fewer, more in pairwise(found):
        assert set(fewer.clip_id) < set(more.clip_id)
    for own in found:
        assert np.ptp(own["class"].value_counts()) <= 1
    tests = {tuple(labelled(tmp_path, share, "test").clip_id) for share in SHARES}
    assert len(tests) == 1 and len(*tests) == 20


def test_another_seed_labels_other_clips_and_the_same_seed_the_same(file, tmp_path):
    for name, seed in (("a", 0), ("b", 1), ("c", 0), ("a", 0)):
        write_shares(file, tmp_path / name, seed, without="")
    a, b, c = (set(labelled(tmp_path / name, 50, "train").clip_id) for name in "abc")
    assert a == c != b


def test_a_fold_tests_on_one_training_subject_and_knows_no_test_clip(file, tmp_path):
    write_shares(file, tmp_path, seed=0, without="subject01")
    for share in SHARES:
        videos = pd.read_csv(tmp_path / f"{share}" / "videos.csv")
        assert set(videos.subject[videos.split == "train"]) == {"subject00"}
        assert set(videos.subject[videos.split == "test"]) == {"subject01"}
        assert len(labelled(tmp_path, share, "test")) == 10
    assert len(labelled(tmp_path, 100, "train")) == 10

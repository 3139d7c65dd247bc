"""Train, validation and test: the official split, folds, moved negatives, and refusals."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.index import Index
from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.splits import nest, pool_rare, split_emotion, split_gestures
from imigue_lab.data.synthetic.story import FULL_VIDEOS, SyntheticSpec, plan
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import DataError


@pytest.fixture(scope="module")
def all_win(tmp_path_factory):
    spec = SyntheticSpec(videos=60, pictures=False, all_win_validation=True, leak_subject=True)
    return make_data(tmp_path_factory.mktemp("wins") / "tree", spec)


def test_the_official_split_is_unchanged(index):
    split = split_emotion(index, fold=-1, move_negatives=5, seed=0)
    assert split.videos.split.tolist() == index.videos.split.tolist()
    assert split.remarks == []


def test_five_losses_of_five_subjects_move_to_a_validation_of_wins(all_win):
    before = all_win.videos.set_index("video_id")
    after = split_emotion(all_win, fold=-1, move_negatives=5, seed=0).videos.set_index("video_id")
    moved = after.index[after.split != before.split]
    assert len(moved) == 5
    assert (after.loc[moved].outcome == 0).all()
    assert (after.loc[moved].split == "validation").all()
    assert after.loc[moved].subject.nunique() == 5


def test_the_moved_interviews_depend_on_the_seed_and_the_leak_is_recorded(all_win):
    first, again, other = (split_emotion(all_win, -1, 5, seed) for seed in (0, 0, 1))
    assert first.videos.equals(again.videos)
    assert not first.videos.equals(other.videos)
    assert "moved from train to validation" in first.remarks[0]
    assert any("5 subjects are in both train and validation" in r for r in first.remarks)
    assert any("are in both train and test: s01" in r for r in first.remarks)


def test_nothing_moves_if_validation_has_both_outcomes_or_it_is_not_requested(index, all_win):
    assert not split_emotion(index, -1, 5, 0).remarks
    assert split_emotion(all_win, -1, 0, 0).part("validation").outcome.eq(1).all()


def test_moving_more_interviews_than_subjects_is_refused(all_win):
    with pytest.raises(DataError, match=r"move_negatives=400: training has \d+ subjects"):
        split_emotion(all_win, -1, 400, 0)


def test_folds_separate_subjects_and_do_not_change_the_test_split(index):
    seen = []
    for fold in range(5):
        split = split_emotion(index, fold, 5, seed=0)
        train, validation = split.part("train"), split.part("validation")
        assert not set(train.subject) & set(validation.subject)
        assert set(split.part("test").video_id) == set(
            index.videos[index.videos.split == "test"].video_id
        )
        seen += validation.video_id.tolist()
    assert sorted(seen) == sorted(index.videos[index.videos.split != "test"].video_id)


def test_an_empty_train_split_is_refused_and_an_empty_validation_split_is_a_remark(plain):
    root = plain([("a", "train", "win", "s"), ("b", "train", "lose", "t")])
    remarks = split_emotion(read_index(root), -1, 5, 0).remarks
    assert "there is no validation split: nothing was selected, the last epoch is scored" in remarks
    root = plain([("a", "validation", "win", "s"), ("b", "validation", "lose", "t")])
    with pytest.raises(DataError, match="the train split is empty"):
        split_emotion(read_index(root), -1, 5, 0)


def test_training_on_one_outcome_is_refused(plain):
    root = plain([("a", "train", "win", "s"), ("b", "validation", "lose", "t")])
    with pytest.raises(DataError, match="outcome of every training interview is 'win'"):
        split_emotion(read_index(root), -1, 0, 0)


def test_interviews_without_an_outcome_are_counted_and_named(plain):
    rows = [("a", "train", "win", "s"), ("b", "train", "lose", "t"), ("c", "train", "", "u")]
    rows += [("d", "validation", "lose", "v"), ("e", "test", "", "w")]
    split = split_emotion(read_index(plain(rows)), -1, 0, 0)
    assert "1 interviews have no outcome and are left out: c" in split.remarks[0]
    assert set(split.videos.video_id) == {"a", "b", "d", "e"}


def gestures(counts, subjects=20, split="train", seed=0):
    """A table with the given number of clips of each class, of random subjects."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(list(counts), list(counts.values()))
    subject = rng.integers(subjects, size=len(labels))
    clips = pd.DataFrame({"clip_id": [f"c{n}" for n in range(len(labels))], "label": labels})
    clips["subject"] = [f"s{n:02d}" for n in subject]
    return clips.assign(video_id="v" + clips.subject, split=split, start=0, end=9)


def test_the_official_split_of_clips_is_unchanged(index):
    split = split_gestures(index, fold=-1, seed=0)
    assert split.clips.split.tolist() == index.clips.split.tolist()
    assert split.clips.clip_id.tolist() == index.clips.clip_id.tolist()


def test_gesture_folds_separate_subjects_and_each_clip_validates_once(index):
    test = set(index.clips[index.clips.split == "test"].clip_id)
    seen = []
    for fold in range(5):
        split = split_gestures(index, fold, seed=0)
        train, validation = split.part("train"), split.part("validation")
        assert not set(train.subject) & set(validation.subject)
        assert set(split.part("test").clip_id) == test
        assert len(train) + len(validation) + len(test) == len(index.clips)
        seen += validation.clip_id.tolist()
    assert sorted(seen) == sorted(set(index.clips.clip_id) - test)


def test_gesture_folds_are_stratified_where_a_class_has_enough_clips(index):
    clips = gestures({0: 400, 1: 200, 2: 60, 9: 3, 18: 1}, subjects=40)
    changed = dataclasses.replace(index, clips=clips)
    for fold in range(5):
        validation = split_gestures(changed, fold, seed=0).part("validation")
        for label, count in ((0, 400), (1, 200), (2, 60)):
            assert 0.5 * count / 5 < (validation.label == label).sum() < 1.6 * count / 5


def test_gesture_folds_follow_the_seed(index):
    changed = dataclasses.replace(index, clips=gestures({0: 50, 1: 50}))
    first, again, other = (split_gestures(changed, 0, seed).clips for seed in (0, 0, 1))
    assert first.equals(again)
    assert not first.equals(other)


def test_rare_classes_share_a_stratum_with_the_next_larger():
    labels = pd.Series([0] * 50 + [1] * 9 + [9] * 3 + [18])
    assert pool_rare(labels).value_counts().to_dict() == {0: 50, 1: 13}
    frequent = pd.Series([0] * 50 + [1] * 9)
    assert pool_rare(frequent).equals(frequent)


def test_leaks_and_missing_classes_of_a_gesture_split_are_remarks(index):
    train = gestures({0: 20, 1: 20, 18: 2}, subjects=6)
    validation = gestures({0: 9}, subjects=3, split="validation")
    validation["clip_id"] += "v"
    changed = dataclasses.replace(index, clips=pd.concat([train, validation], ignore_index=True))
    remarks = split_gestures(changed, -1, seed=0).remarks
    assert remarks == [
        "3 subjects are in both train and validation: s00, s01, s02",
        "validation lacks the classes 1, 18 of train",
    ]


def test_gesture_folds_need_five_subjects_and_a_train_split(index):
    changed = dataclasses.replace(index, clips=gestures({0: 50}, subjects=4))
    with pytest.raises(DataError, match=r"expected at least 5 subjects .* for 5 folds, got 4"):
        split_gestures(changed, 0, seed=0)
    assert "no validation split" in split_gestures(changed, -1, seed=0).remarks[-1]
    clips = changed.clips.assign(split="validation")
    with pytest.raises(DataError, match="no clip in the train split"):
        split_gestures(dataclasses.replace(changed, clips=clips), -1, seed=0)


def test_interviews_and_clips_without_a_split_are_counted_and_named(index):
    videos, clips = index.videos.copy(), index.clips.copy()
    videos.loc[3, "split"] = None
    clips.loc[clips.video_id == "0004", "split"] = None
    partial = dataclasses.replace(index, videos=videos, clips=clips)
    for fold in (-1, 0):
        emotion, gestures = split_emotion(partial, fold, 0, 0), split_gestures(partial, fold, 0)
        assert "0004" not in set(emotion.videos.video_id)
        assert "0004" not in set(gestures.clips.video_id)
        assert emotion.remarks[0] == "1 interviews belong to no split and are left out: 0004"
        assert "clips belong to no split and are left out: 0004_0, 0004_1" in gestures.remarks[0]


def test_a_tree_without_outcomes_is_refused_with_the_fix(index):
    none = index.videos.assign(outcome=pd.array([pd.NA] * len(index.videos), dtype="Int64"))
    with pytest.raises(DataError, match=r"no interview has an outcome; set `labels` to a CSV"):
        split_emotion(dataclasses.replace(index, videos=none), -1, 5, 0)


def test_an_empty_split_is_refused_with_the_interviews_left_out(plain):
    rows = [("a", "validation", "win", "s"), ("b", "test", "lose", "t"), ("c", "train", "", "u")]
    with pytest.raises(DataError, match=r"train split is empty \(1 interviews .*: c\)"):
        split_emotion(read_index(plain(rows)), -1, 0, 0)


@pytest.fixture(scope="module")
def full():
    """Tables as large as iMiGUE's: 72 subjects, 359 videos, 18,232 clips."""
    rows = [
        (f"{i.video_id}_{n}", i.video_id, i.subject, i.split, g.label)
        for i in plan(SyntheticSpec(size="full", videos=FULL_VIDEOS))
        for n, g in enumerate(i.gestures)
    ]
    clips = pd.DataFrame(rows, columns=["clip_id", "video_id", "subject", "split", "label"])
    videos = clips.drop_duplicates("video_id").drop(columns=["clip_id", "label"])
    outcome = np.random.default_rng(0).integers(2, size=len(videos))
    return Index(Path("full"), "plain", videos.assign(outcome=outcome), clips)


def test_folds_follow_the_seed_at_full_size_and_stay_disjoint_and_stratified(full):
    official = full.clips.set_index("clip_id").split
    shares = full.clips[full.clips.split != "test"].label.value_counts(normalize=True)
    seen = {"clips": set(), "videos": set(), "nested": set()}
    for seed in range(5):
        whole: list[str] = []
        for fold in range(5):
            split = split_gestures(full, fold, seed)
            train, validation = split.part("train"), split.part("validation")
            assert not set(train.subject) & set(validation.subject)
            assert 0.85 < 5 * len(validation) / (official != "test").sum() < 1.15
            own = validation.label.value_counts(normalize=True).reindex(shares.index, fill_value=0)
            assert (own - shares).abs().sum() / 2 < 0.06
            whole += validation.clip_id.tolist()
        assert sorted(whole) == sorted(official.index[official != "test"])
        seen["clips"].add(frozenset(split.part("validation").subject))
        videos = split_emotion(full, 0, 0, seed).part("validation")
        assert abs(videos.outcome.mean() - full.videos.outcome.mean()) < 0.1
        seen["videos"].add(frozenset(videos.subject))
        nested = nest(full, "label", 0, seed).clips
        seen["nested"].add(frozenset(nested.subject[nested.split == "test"]))
    assert all(len(folds) == 5 for folds in seen.values())


def test_five_subjects_give_five_folds_of_one(index):
    changed = dataclasses.replace(index, clips=gestures({0: 50, 3: 4}, subjects=5))
    folds = [set(split_gestures(changed, fold, 0).part("validation").subject) for fold in range(5)]
    assert sorted(map(len, folds)) == [1] * 5 and len(set.union(*folds)) == 5


def test_unknown_subjects_are_a_remark_of_every_fold_and_of_folds_within_folds(index):
    videos = index.videos.copy()
    videos["subject"] = videos.subject.where(videos.video_id > "0005")
    clips = index.clips.assign(
        subject=index.clips.video_id.map(videos.set_index("video_id").subject)
    )
    partial = dataclasses.replace(index, videos=videos, clips=clips)
    remark = "subjects are unknown for 5 of 32 videos: each counts as a subject of its own"
    nested = nest(partial, "label", 0, 0)
    for split in (
        split_emotion(partial, 0, 0, 0),
        split_gestures(partial, 0, 0),
        split_gestures(nested, -1, 0),
        split_emotion(nested, -1, 0, 0),
    ):
        assert sum(note.startswith(remark) for note in split.remarks) == 1
    assert not any("unknown" in note for note in split_gestures(partial, -1, 0).remarks)
    assert not any("unknown" in note for note in split_gestures(index, 0, 0).remarks)

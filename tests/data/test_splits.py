"""Who trains, validates and tests; what is moved, and what is refused."""

import pytest

from imigue_lab.data.layout import read_index
from imigue_lab.data.splits import split_emotion
from imigue_lab.data.synthetic.story import MadeUp
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import DataError


@pytest.fixture(scope="module")
def all_win(tmp_path_factory):
    spec = MadeUp(videos=60, pictures=False, all_win_validation=True, leak_subject=True)
    return make_data(tmp_path_factory.mktemp("wins") / "tree", spec)


def test_the_official_split_is_taken_as_it_is(index):
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


def test_the_draw_is_seeded_and_the_leak_is_recorded(all_win):
    first, again, other = (split_emotion(all_win, -1, 5, seed) for seed in (0, 0, 1))
    assert first.videos.equals(again.videos)
    assert not first.videos.equals(other.videos)
    assert "moved from train to validation" in first.remarks[0]
    assert any("5 subjects stand in train and in validation" in r for r in first.remarks)
    assert any("stand in train and in test: s01" in r for r in first.remarks)


def test_nothing_moves_where_validation_holds_both_or_it_is_not_asked_for(index, all_win):
    assert not split_emotion(index, -1, 5, 0).remarks
    assert split_emotion(all_win, -1, 0, 0).part("validation").outcome.eq(1).all()


def test_more_than_there_are_cannot_move(all_win):
    with pytest.raises(DataError, match=r"move_negatives=400: training holds \d+ subjects"):
        split_emotion(all_win, -1, 400, 0)


def test_folds_keep_subjects_apart_and_leave_the_test_alone(index):
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


def test_an_empty_part_is_refused(plain):
    root = plain([("a", "train", "win", "s"), ("b", "train", "lose", "t")])
    with pytest.raises(DataError, match="the validation split is empty"):
        split_emotion(read_index(root), -1, 5, 0)


def test_training_on_one_outcome_is_refused(plain):
    root = plain([("a", "train", "win", "s"), ("b", "validation", "lose", "t")])
    with pytest.raises(DataError, match="every training interview is a win"):
        split_emotion(read_index(root), -1, 0, 0)


def test_interviews_without_an_outcome_are_counted_and_named(plain):
    rows = [("a", "train", "win", "s"), ("b", "train", "lose", "t"), ("c", "train", "", "u")]
    rows += [("d", "validation", "lose", "v"), ("e", "test", "", "w")]
    split = split_emotion(read_index(plain(rows)), -1, 0, 0)
    assert "1 interviews have no outcome and are left out: c" in split.remarks[0]
    assert set(split.videos.video_id) == {"a", "b", "d", "e"}

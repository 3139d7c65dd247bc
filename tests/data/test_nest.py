"""Folds within folds: no test split, no subject in two splits, each item held out in one fold."""

import pandas as pd
import pytest

from imigue_lab.data.layouts.recognise import read_index
from imigue_lab.data.splits import nest
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import DataError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_data(
        tmp_path_factory.mktemp("nest") / "tree", SyntheticSpec(videos=60, pictures=False)
    )


@pytest.mark.parametrize("by", ["outcome", "label"])
def test_the_test_split_is_removed_and_each_other_interview_is_held_out_once(whole, by):
    official = whole.videos.set_index("video_id").split
    held_out: list[str] = []
    for fold in range(5):
        index = nest(whole, by, fold, seed=0)
        for table in (index.videos, index.clips):
            assert (official[table.video_id] != "test").all()
            assert set(table.split) == {"train", "validation", "test"}
            splits = table.groupby("subject").split.nunique()
            assert (splits == 1).all()
        held_out += index.videos.video_id[index.videos.split == "test"].tolist()
    assert sorted(held_out) == sorted(official.index[official != "test"])


def test_folds_depend_on_the_seed(whole):
    first, again, other = (nest(whole, "outcome", 0, seed).videos for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first, again)
    assert not first.split.equals(other.split)


def test_too_few_subjects_are_refused(tmp_path):
    index = make_data(tmp_path / "tree", SyntheticSpec(videos=24, pictures=False))
    with pytest.raises(DataError, match=r"expected at least 7 subjects .* within 5 folds, got 4"):
        nest(read_index(index.root), "outcome", 0, seed=0)

"""Folds within folds: no test split, no subject on two sides, every held-out item in one fold."""

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
def test_the_test_split_is_gone_and_each_other_interview_is_held_out_once(whole, by):
    official = whole.videos.set_index("video_id").split
    held: list[str] = []
    for fold in range(5):
        index = nest(whole, by, fold, seed=0)
        for table in (index.videos, index.clips):
            assert (official[table.video_id] != "test").all()
            assert set(table.split) == {"train", "validation", "test"}
            parts = table.groupby("subject").split.nunique()
            assert (parts == 1).all()
        held += index.videos.video_id[index.videos.split == "test"].tolist()
    assert sorted(held) == sorted(official.index[official != "test"])


def test_the_same_seed_divides_alike_and_another_otherwise(whole):
    first, again, other = (nest(whole, "outcome", 0, seed).videos for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first, again)
    assert not first.split.equals(other.split)


def test_too_few_subjects_are_said(tmp_path):
    index = make_data(tmp_path / "tree", SyntheticSpec(videos=24, pictures=False))
    with pytest.raises(DataError, match="a search within 5 folds needs 7"):
        nest(read_index(index.root), "outcome", 0, seed=0)

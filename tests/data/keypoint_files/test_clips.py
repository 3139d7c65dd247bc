"""A clip's keypoints are the rows of its range, in every layout that has some."""

import numpy as np
import pytest

from imigue_lab.data.keypoint_files.clips import keypoint_files, read_clip, upper_body
from imigue_lab.data.keypoint_files.tables import read_recording
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import DataError


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The same interviews as `index`, in the layout that has a spreadsheet a clip."""
    root = tmp_path_factory.mktemp("full") / "interviews"
    return make_data(root, SyntheticSpec(videos=32, pictures=False, layout="full"))


def test_a_clip_is_its_range_of_the_videos_rows_end_included(index):
    clip = index.clips.iloc[3]
    whole = read_recording(index.videos.set_index("video_id").keypoints[clip.video_id])
    here = read_clip(index, clip.clip_id)
    assert here.layout.name == "light_hand35"
    np.testing.assert_array_equal(here.skeleton, whole.skeleton[:, clip.start : clip.end + 1])


def test_a_file_of_the_clip_alone_holds_the_same_joints_as_the_videos_rows(index, full):
    clip_id = index.clips.clip_id[5]
    rows, own = read_clip(index, clip_id), read_clip(full, clip_id)
    assert own.layout.name == "openpose137"
    np.testing.assert_allclose(
        upper_body(own).skeleton, upper_body(rows).skeleton, atol=1e-3, rtol=0
    )
    assert upper_body(own).layout.name == "imigue22"


def test_files_of_a_video_are_its_own_or_those_of_its_clips(index, full):
    assert [path.name for path in keypoint_files(index, "0002")] == ["0002_light_hand.csv"]
    count = (full.clips.video_id == "0002").sum()
    assert len(keypoint_files(full, "0002")) == count


def test_what_is_not_there_is_said_in_one_sentence(index):
    with pytest.raises(DataError, match=r"clip '9999_0' is not in .*; there are 0001_0"):
        read_clip(index, "9999_0")
    clips = index.clips.copy()
    clips.loc[0, "end"] = 10**6
    with pytest.raises(DataError, match="clip 0001_0 ends at frame 1000000 and"):
        read_clip(type(index)(index.root, index.layout, index.videos, clips), "0001_0")
    bare = index.videos.assign(keypoints=None)
    with pytest.raises(DataError, match="holds no keypoints of clip 0001_0"):
        read_clip(type(index)(index.root, index.layout, bare, index.clips), "0001_0")

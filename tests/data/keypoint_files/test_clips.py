"""The keypoints of clips, in every layout that has keypoints."""

import numpy as np
import pytest

from imigue_lab.data.keypoint_files.clips import keypoint_files, read_clip, upper_body
from imigue_lab.data.keypoint_files.tables import read_recording
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import DataError


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The same interviews as `index`, in the layout with one spreadsheet a clip."""
    root = tmp_path_factory.mktemp("full") / "interviews"
    return make_data(root, SyntheticSpec(videos=32, pictures=False, layout="full"))


def test_a_clip_is_a_range_of_its_videos_rows_including_the_end(index):
    clip = index.clips.iloc[3]
    whole = read_recording(index.videos.set_index("video_id").keypoints[clip.video_id])
    clipped = read_clip(index, clip.clip_id)
    assert clipped.layout.name == "light_hand35"
    np.testing.assert_array_equal(clipped.skeleton, whole.skeleton[:, clip.start : clip.end + 1])


def test_a_clips_own_file_has_the_same_joints_as_the_videos_rows(index, full):
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


def test_missing_clips_and_keypoints_are_refused(index):
    with pytest.raises(DataError, match=r"no clip '9999_0'; choose one of 0001_0"):
        read_clip(index, "9999_0")
    clips = index.clips.copy()
    clips.loc[0, "end"] = 10**6
    with pytest.raises(DataError, match="expected frames up to 1000000 for clip 0001_0, got"):
        read_clip(type(index)(index.root, index.layout, index.videos, clips), "0001_0")
    bare = index.videos.assign(keypoints=None)
    with pytest.raises(DataError, match="contains no keypoints of clip 0001_0"):
        read_clip(type(index)(index.root, index.layout, bare, index.clips), "0001_0")

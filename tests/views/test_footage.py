"""Footage shows the files in frames of the whole video, and notes what is missing."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from imigue_lab.data.keypoint_files.clips import read_clip, upper_body
from imigue_lab.data.keypoint_files.tables import Recording
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.data.videos.video import Video
from imigue_lab.errors import DataError
from imigue_lab.views.footage import Reel, find_footage, still
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.skeletons import skeleton_of


def test_a_clip_is_shown_with_a_second_around_it_and_its_range_marked(filmed):
    clip = filmed.clips.set_index("clip_id").loc["0001_2"]
    footage = find_footage(Moment(filmed, clip_id="0001_2"))
    assert footage.marked == (clip.start, clip.end)
    assert (footage.first, footage.last) == (clip.start - 25, clip.end + 25)
    assert footage.size == (384, 288)
    expected = [number / 25 for number in range(footage.first, footage.last + 2)]
    assert footage.times == pytest.approx(expected)
    assert footage.notes == ["these interviews are synthetic: nothing here was filmed"]


def test_a_whole_video_is_shown_to_its_last_frame(filmed):
    footage = find_footage(Moment(filmed, "0002"))
    frames = filmed.videos.set_index("video_id").frames["0002"]
    assert (footage.first, footage.last, footage.marked) == (0, frames - 1, None)


def test_the_skeleton_of_a_frame_is_the_keypoints_of_that_frame(filmed):
    clip = filmed.clips.set_index("clip_id").loc["0001_2"]
    footage = find_footage(Moment(filmed, clip_id="0001_2"))
    expected = upper_body(read_clip(filmed, "0001_2")).skeleton[0, 3, :, :2]
    np.testing.assert_allclose(footage.skeleton.at(int(clip.start) + 3), expected, atol=1e-3)
    assert np.isnan(footage.skeleton.at(10_000)).all()


def test_a_picture_is_the_frame_of_the_video(filmed):
    footage = find_footage(Moment(filmed, "0001"))
    reel = Reel(footage.film)
    with Video(footage.film.path) as video:
        np.testing.assert_array_equal(reel.picture(40), video.frame(40))
        jpeg = np.asarray(Image.open(io.BytesIO(reel.jpeg(40)))).astype(int)
        assert np.abs(jpeg - video.frame(40)).mean() < 4
    reel.close()


def test_paint_is_drawn_on_each_picture(filmed):
    footage = find_footage(Moment(filmed, "0001"))
    painted = []

    def paint(frame, picture):
        painted.append(frame)
        return np.full_like(picture, 7)

    reel = Reel(footage.film, paint=paint)
    assert (reel.picture(12) == 7).all()
    assert painted == [12]
    reel.close()


def test_frames_of_a_file_of_one_clip_are_numbered_as_in_the_video(tmp_path):
    index = make_data(tmp_path / "tree", SyntheticSpec(videos=4, layout="miga2026"))
    clip = index.clips.iloc[1]
    footage = find_footage(Moment(index, clip_id=clip.clip_id))
    assert (footage.film.first, footage.film.frames) == (clip.start, clip.end - clip.start + 1)
    assert (footage.first, footage.last) == (clip.start, clip.end)
    assert "no skeleton: video 0001: no keypoints found" in footage.notes
    reel = Reel(footage.film)
    with Video(clip.video) as video:
        np.testing.assert_array_equal(reel.picture(int(clip.start) + 2), video.frame(2))
    reel.close()
    whole = find_footage(Moment(index, clip.video_id))
    assert whole.film is None
    assert "no pictures: video 0001 is not under this root" in whole.notes


def test_keypoints_of_one_clip_start_at_its_first_frame(tmp_path):
    index = make_data(tmp_path / "tree", SyntheticSpec(videos=4, layout="full", pictures=False))
    clip = index.clips.iloc[1]
    footage = find_footage(Moment(index, clip_id=clip.clip_id))
    assert (footage.skeleton.first, footage.skeleton.last) == (clip.start, clip.end)
    whole = find_footage(Moment(index, clip.video_id))
    assert "no skeleton: video 0001: keypoints are stored by clip; choose a clip" in whole.notes


def test_without_pictures_the_skeleton_fills_an_empty_picture(index):
    footage = find_footage(Moment(index, clip_id="0001_1"))
    assert footage.film is None
    width, height = footage.size
    found = footage.skeleton.places[~np.isnan(footage.skeleton.places).any(axis=2)]
    assert (found >= 0).all() and (found <= (width, height)).all()
    bones = np.array(footage.skeleton.bones)
    raw = upper_body(read_clip(index, "0001_1")).skeleton[0, 0, :, :2]
    moved = footage.skeleton.at(int(index.clips.start[1]))
    lengths = [np.linalg.norm(p[bones[:, 0]] - p[bones[:, 1]], axis=1) for p in (raw, moved)]
    ratio = lengths[1] / lengths[0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)  # no side is stretched


def test_a_skeleton_in_depth_camera_coordinates_is_drawn_upright():
    layout = LAYOUTS["kinect20"]
    skeleton = np.ones((1, 2, 20, 3), np.float32)
    skeleton[:, :, layout.joints.index("head"), 1] = 2.0  # y points up
    drawn, _ = skeleton_of(Recording(skeleton, layout)).framed()
    head, hip = (layout.joints.index(name) for name in ("head", "hip_center"))
    assert drawn.places[0, head, 1] < drawn.places[0, hip, 1]


def test_what_cannot_be_read_is_noted_and_the_rest_is_shown(filmed, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    videos = filmed.videos.assign(video=[broken] * len(filmed.videos))
    footage = find_footage(Moment(replace(filmed, videos=videos), "0001"))
    assert footage.film is None
    assert any(f"no pictures: {broken}: not a readable video" in note for note in footage.notes)
    assert footage.skeleton is not None
    bare = replace(filmed, videos=videos.assign(video=None, keypoints=None, fps=np.nan))
    nothing = find_footage(Moment(bare, clip_id="0001_1"))
    assert (nothing.film, nothing.skeleton) == (None, None)
    assert nothing.first <= nothing.last
    assert "the frame rate is unknown: played at 25 frames a second" in nothing.notes


def test_a_frame_past_the_end_is_refused(filmed):
    reel = Reel(find_footage(Moment(filmed, "0001")).film)
    with pytest.raises(DataError, match="expected frame 99999"):
        reel.jpeg(99_999)
    reel.close()


def test_a_still_shows_the_picture_and_the_bones_on_it(filmed):
    footage = find_footage(Moment(filmed, clip_id="0001_2"))
    frame = footage.marked[0]
    drawn = np.asarray(still(footage, frame)).astype(int)
    plain = np.asarray(still(replace(footage, skeleton=None), frame)).astype(int)
    x, y = (footage.skeleton.at(frame)[0] * 480 / 384).round().astype(int)  # the nose
    assert np.abs(drawn - plain)[y, x].sum() > 30
    assert 0.005 < (np.abs(drawn - plain).sum(axis=2) > 30).mean() < 0.2

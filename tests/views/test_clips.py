"""Joints are counted frame by frame; the montage shows the centre frame of a clip of each class."""

import base64
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imigue_lab.data.skeletons.keypoints import subset
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.data.videos.video import Video
from imigue_lab.views.contents import joint_quality, joint_shares, montage, one_a_class
from tests.views.texts import labels_of, text_of


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Eight interviews with pictures."""
    return make_data(tmp_path_factory.mktemp("filmed") / "eight", SyntheticSpec(videos=8))


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """The same eight, a video file a clip and no keypoints."""
    spec = SyntheticSpec(videos=8, layout="miga2026")
    return make_data(tmp_path_factory.mktemp("cut") / "eight", spec)


def hide(index, video_id, joint, every, tmp_path):
    """A copy of the index in which a joint of a video is missing in one frame of `every`."""
    path = index.videos.set_index("video_id").keypoints[video_id]
    lines = path.read_text().splitlines()
    column = 1 + 3 * subset("imigue22", "light_hand35")[joint]
    for number in range(1, len(lines), every):
        cells = lines[number].split(",")
        cells[column : column + 3] = ["0", "0", "0"]
        lines[number] = ",".join(cells)
    other = tmp_path / path.name
    other.write_text("\n".join(lines))
    videos = index.videos.copy()
    videos.loc[videos.video_id == video_id, "keypoints"] = other
    return replace(index, videos=videos)


def test_a_joint_that_is_missing_in_every_second_frame_is_detected_in_half(index, tmp_path):
    blinking = hide(index, "0001", 4, 2, tmp_path)
    figure = joint_quality(blinking, "train", limit=0)
    bars, ticks = figure.data
    assert list(bars.y)[4] == "right wrist"
    mine = ticks.customdata == "0001"
    by_joint = dict(zip(ticks.y[mine], ticks.x[mine], strict=True))
    assert by_joint["right wrist"] == pytest.approx(50, abs=0.5)
    assert by_joint["left wrist"] == 100
    shares, _ = joint_shares(blinking, "train", 0)
    expected = 100 * (shares.right_wrist * shares.frames).sum() / shares.frames.sum()
    assert bars.x[4] == pytest.approx(expected)
    assert expected < 99.9


def test_at_most_limit_videos_are_read_spread_over_the_split(index):
    shares, _ = joint_shares(index, "train", 3)
    train = index.videos.video_id[index.videos.split == "train"].tolist()
    assert shares.index.tolist()[0] == train[0]
    assert shares.index.tolist()[-1] == train[-1]
    assert len(shares) == 3
    assert len(joint_shares(index, "train", 0)[0]) == len(train)


def test_a_file_that_cannot_be_read_is_counted_and_named(index, tmp_path):
    broken = tmp_path / "0001_light_hand.csv"
    broken.write_text("frame\n")
    videos = index.videos.copy()
    videos.loc[videos.video_id == "0001", "keypoints"] = broken
    figure = joint_quality(replace(index, videos=videos), "train", 0)
    assert "1 files were skipped" in text_of(figure)
    assert "0001_light_hand.csv" in text_of(figure)


def test_without_data_a_figure_states_why_it_is_empty(index, cut):
    assert joint_quality(cut).layout.annotations[0].text.startswith("No keypoints of train")
    assert montage(index).layout.annotations[0].text.startswith("There are no videos of train")
    hidden = replace(index, clips=index.clips.assign(label=pd.NA))
    assert (
        montage(hidden).layout.annotations[0].text
        == "No clip of train is labelled under this root."
    )


@pytest.mark.parametrize("tree", ["filmed", "cut"])
def test_the_montage_shows_the_middle_frame_of_one_clip_of_each_class(tree, request):
    index = request.getfixturevalue(tree)
    figure = montage(index, "train", 0)
    clips = index.clips[index.clips.split == "train"]
    shown = clips.set_index("clip_id").loc[[trace.name for trace in figure.data]]
    assert shown.label.tolist() == sorted(set(clips.label))
    names = [text.replace("<br>", " ") for text in labels_of(figure)]
    assert names == [index.vocabulary.label(label) for label in shown.label]
    clip, trace = shown.iloc[0], figure.data[0]
    whole = index.videos.set_index("video_id").video[clip.video_id]
    path, first = (clip.video, 0) if tree == "cut" else (whole, clip.start)
    with Video(path, short_side=144) as video:
        middle = video.frame(int(first + (clip.end - clip.start + 1) // 2))
    content = base64.b64decode(trace.source.partition(",")[2])
    picture = np.asarray(Image.open(io.BytesIO(content)))
    assert picture.shape == middle.shape
    assert np.abs(picture.astype(int) - middle).mean() < 4  # JPEG


def test_few_videos_show_many_classes_and_the_absent_ones_are_named(filmed):
    clips = filmed.clips[filmed.clips.split == "train"]
    selected = one_a_class(clips, 1)
    assert clips.set_index("clip_id").video_id[list(selected.values())].nunique() == 1
    assert len(selected) == clips.groupby("video_id").label.nunique().max()
    figure = montage(filmed, "train", 1)
    assert len(figure.data) == len(selected)
    assert "not in the 1 videos that were opened" in text_of(figure)


def test_a_damaged_video_is_counted_and_named(filmed, tmp_path):
    broken = tmp_path / "0001.mp4"
    broken.write_bytes(b"not a film")
    videos = filmed.videos.assign(video=broken)
    figure = montage(replace(filmed, videos=videos), "train", 0)
    assert "pictures were skipped" in text_of(figure)
    assert "0001.mp4" in text_of(figure)


def test_figures_of_synthetic_data_are_marked_as_such(filmed, tmp_path):
    for draw in (joint_quality, montage):
        assert "are synthetic" in draw(filmed).layout.title.text
        assert "synthetic" not in text_of(draw(replace(filmed, root=tmp_path)))

"""The player shows the attention of a layer, and follows the choice of clip, layer and time."""

import numpy as np
import pytest

from imigue_lab.views.answers import choose_clip
from imigue_lab.views.attention import maps as views
from imigue_lab.views.attention.maps import snapshot_at
from imigue_lab.views.attention.over_clip import FULL, AttentionPlayer, painter
from imigue_lab.views.player.lanes import Moment

GREY = np.full((144, 192, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def read(looked):
    system = views.load_attentive(looked)
    return lambda clip_id: views.read_attention(looked, system, clip_id)


@pytest.fixture
def player(looked, read):
    clips = looked.index.clips[looked.index.clips.split == "test"]
    return AttentionPlayer(Moment(looked.index, clip_id=choose_clip(looked.run)[0]), clips, read)


def test_the_deepest_cell_is_painted_deepest_and_places_outside_the_crop_stay(read, looked):
    attention = read(choose_clip(looked.run)[0])
    layer = "head 4, spatial"
    heat = attention.on_places(layer)
    time, row, column = np.unravel_index(heat.argmax(), heat.shape)
    paint = painter(attention, (192, 144), (0, 79), layer, pairs=False, merged=False)
    picture = paint(10 * int(time) + 5, GREY).astype(int)
    assert (picture[:, :30] == 128).all()  # the crop begins at 33
    orange = picture[..., 0] - picture[..., 2]
    cells = orange[9:135, 33:159][: 4 * 31, : 4 * 31].reshape(4, 31, 4, 31)
    deep = np.median(cells, axis=(1, 3))
    share = np.clip((heat[time] - 1) / (FULL - 1), 0, 1)  # beyond FULL all cells are as deep
    np.testing.assert_allclose(deep, 213 * 200 / 255 * share, atol=3)
    assert deep[row, column] == deep.max() > np.median(deep)


def test_frames_outside_the_clip_are_not_changed(read, looked):
    attention = read(choose_clip(looked.run)[0])
    paint = painter(attention, (192, 144), (10, 49), "semantic", pairs=True, merged=True)
    assert (paint(9, GREY) == 128).all() and (paint(50, GREY) == 128).all()
    assert not (paint(10, GREY) == 128).all()
    same = [paint(frame, GREY) for frame in (10, 14, 15, 49)]  # five frames a time of the map
    assert (same[0] == same[1]).all() and not (same[1] == same[2]).all()
    assert not (same[0] == same[3]).all()


def test_pairs_and_outlines_are_drawn_when_requested(read, looked):
    attention = read(choose_clip(looked.run)[0])
    time = next(t for t in range(8) if snapshot_at(attention, (192, 144), t).outlines)
    drawn = [
        painter(attention, (192, 144), (0, 79), "all heads", pairs, merged)(10 * time + 5, GREY)
        for pairs, merged in ((False, False), (True, False), (False, True))
    ]
    assert not (drawn[0] == drawn[1]).all()
    assert not (drawn[0] == drawn[2]).all()


def test_a_skeleton_without_pictures_shows_attention_by_size(player, looked):
    attention, skeleton = player.attention, player.player.footage.skeleton
    weights = player.player.weights
    clip = player.moment.clip
    assert weights.shape == skeleton.places.shape[:2]
    frame = int(clip.start)  # the first pose step
    joint = list(attention.joints).index("nose")
    point = skeleton.joints.index("nose")
    given = attention.on_joints()[0, 0, joint] / FULL
    assert weights[frame - skeleton.first, point] == pytest.approx(min(given, 1), abs=1e-5)
    assert (weights[: frame - skeleton.first] == 0).all()
    player.layer.value = "spatial"
    assert not np.array_equal(player.player.weights, weights)


def test_another_clip_is_read_and_without_a_clip_there_is_no_attention(player, looked):
    other = looked.index.clips.clip_id[looked.index.clips.split == "test"].iloc[-1]
    player.layer.value = "contextual"
    player.moment.clip_id = other
    assert player.attention.clip_id == other
    assert player.layer.value == "contextual"
    player.moment.show("0001")
    assert player.attention is None and player.player.weights is None


def test_a_clip_that_lacks_a_modality_plays_without_attention(player, looked, monkeypatch):
    other = looked.index.clips.clip_id[looked.index.clips.split == "test"].iloc[-1]
    monkeypatch.delitem(looked.data.rgb, other)
    player.moment.clip_id = other
    assert player.attention is None and player.player.clip_id == other

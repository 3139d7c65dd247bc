"""The player sends the moment's frames to its page, and follows and moves the moment."""

import io
import time
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from imigue_lab.data.videos.video import Video
from imigue_lab.views.footage import Reel
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.player.widgets import MOST, Player, clip_list


@pytest.fixture
def moment(filmed):
    return Moment(filmed, clip_id="0001_2")


@pytest.fixture
def player(moment, monkeypatch):
    """A player that records its messages to the page in `sent`."""
    player = Player(moment)
    player.sent = []
    monkeypatch.setattr(
        player, "send", lambda content, buffers: player.sent.append((content, buffers))
    )
    player.serve(player, {"kind": "scene"}, [])
    return player


def request(player, *frames):
    edition = player.sent[-1][0]["edition"]
    player.serve(player, {"kind": "pictures", "edition": edition, "frames": list(frames)}, [])
    return player.sent[-1]


def test_the_scene_contains_everything_but_the_pictures(player, filmed):
    scene, (places,) = player.sent[-1]
    clip = filmed.clips.set_index("clip_id").loc["0001_2"]
    assert scene["marked"] == (clip.start, clip.end)
    assert scene["times"][1] - scene["times"][0] == pytest.approx(0.04)
    skeleton = player.footage.skeleton
    kept = np.frombuffer(places, np.float32).reshape(-1, scene["skeleton"]["points"], 2)
    np.testing.assert_array_equal(kept, skeleton.places)
    assert len(scene["skeleton"]["colours"]) == 22


def test_pictures_are_sent_in_the_requested_order(player, filmed):
    content, pictures = request(player, 50, 40)
    assert content["frames"] == [50, 40]
    with Video(filmed.videos.video[0]) as video:
        for frame, jpeg in zip((50, 40), pictures, strict=True):
            shown = np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)
            assert np.abs(shown - video.frame(frame)).mean() < 4


def test_the_number_of_pictures_per_request_is_limited(player):
    content, pictures = request(player, *range(40))
    assert len(pictures) == len(content["frames"]) == MOST


def test_an_unreadable_frame_is_sent_with_the_reason(player):
    content, pictures = request(player, 40, 99_999)
    assert [bool(picture) for picture in pictures] == [True, False]
    assert "expected frame 99999" in content["why"]["99999"]


def test_pictures_of_an_older_edition_are_not_sent(player):
    player.moment.clip_id = "0002_1"
    before = len(player.sent)
    player.serve(player, {"kind": "pictures", "edition": 1, "frames": [3]}, [])
    assert len(player.sent) == before


def test_the_player_follows_the_moment_to_another_clip(player, filmed):
    player.moment.clip_id = "0002_1"
    assert (player.video_id, player.clip_id) == ("0002", "0002_1")
    assert player.frame == filmed.clips.set_index("clip_id").start["0002_1"]
    assert player.sent[-1][0]["title"].startswith("Clip 0002_1: ")


def test_the_player_moves_the_moment_and_all_its_views(player, moment):
    other = Player(moment)
    player.frame = player.frame + 3
    assert moment.frame == other.frame == player.frame
    player.frame = 0  # far outside the clip
    assert moment.clip_id == player.clip_id == other.clip_id == ""


def test_an_overlay_is_sent_with_new_pictures_and_can_be_removed(player):
    skeleton = player.footage.skeleton
    weights = np.linspace(0, 1, skeleton.places[..., 0].size, dtype=np.float32)
    weights = weights.reshape(skeleton.places.shape[:2])
    player.dress(lambda frame, picture: np.zeros_like(picture), weights)
    scene, buffers = player.sent[-1]
    assert scene["skeleton"]["weighted"]
    np.testing.assert_array_equal(np.frombuffer(buffers[1], np.float32), weights.ravel())
    _, (jpeg,) = request(player, 40)
    assert np.asarray(Image.open(io.BytesIO(jpeg))).max() < 8
    player.dress()
    assert not player.sent[-1][0]["skeleton"]["weighted"]
    _, (jpeg,) = request(player, 40)
    assert np.asarray(Image.open(io.BytesIO(jpeg))).max() > 100


def test_a_file_is_not_closed_while_another_thread_reads_it(player, monkeypatch):
    """JupyterLab processes messages of different widgets concurrently."""
    reading, closed_too_early = [], []

    def jpeg(reel, frame):
        reading.append(reel)
        time.sleep(0.05)
        reading.remove(reel)
        return b"picture"

    monkeypatch.setattr(Reel, "jpeg", jpeg)
    monkeypatch.setattr(Reel, "close", lambda reel: closed_too_early.extend(reading))
    requesting = Thread(target=request, args=(player, 40, 41, 42))
    requesting.start()
    time.sleep(0.02)
    player.moment.clip_id = "0002_1"
    requesting.join()
    assert player.clip_id == "0002_1"
    assert not closed_too_early


def test_nothing_is_sent_before_a_page_displays_the_player(moment, monkeypatch):
    monkeypatch.setattr(Player, "send", lambda *_: pytest.fail("not displayed"))
    moment_player = Player(moment)
    moment.clip_id = "0001_0"
    assert moment_player.clip_id == "0001_0"


def test_the_list_of_clips_plays_the_selected_one_and_follows_the_moment(filmed):
    train = filmed.clips[filmed.clips.split == "train"]
    ids = train.clip_id.tolist()
    player = Player(Moment(filmed, clip_id=ids[0]))
    choice = clip_list(player.moment, train)
    assert [clip_id for _, clip_id in choice.options] == ["", *ids]
    choice.value = ids[2]
    assert player.clip_id == ids[2]
    player.moment.clip_id = ids[3]
    assert choice.value == ids[3]


def test_a_clip_that_is_not_listed_empties_the_list_and_stays_selected(filmed):
    moment = Moment(filmed)
    choice = clip_list(moment, filmed.clips.iloc[:2])
    moment.clip_id = filmed.clips.clip_id[3]
    assert choice.value == ""
    assert moment.clip_id == filmed.clips.clip_id[3]

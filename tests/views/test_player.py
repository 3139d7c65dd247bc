"""The player answers its page with the moment's frames, and follows and leads the moment."""

import io
import time
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from imigue_lab.data.videos.video import Video
from imigue_lab.errors import DataError
from imigue_lab.views.player.browsers import browse_clips, clip_list
from imigue_lab.views.player.film import MOST, Player
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.reel import Reel


@pytest.fixture
def moment(filmed):
    return Moment(filmed, clip_id="0001_2")


@pytest.fixture
def player(moment, monkeypatch):
    """A player whose messages to the page are kept in `said`."""
    player = Player(moment)
    player.sent = []
    monkeypatch.setattr(
        player, "send", lambda content, buffers: player.sent.append((content, buffers))
    )
    player.answer(player, {"kind": "scene"}, [])
    return player


def ask(player, *frames):
    edition = player.sent[-1][0]["edition"]
    player.answer(player, {"kind": "pictures", "edition": edition, "frames": list(frames)}, [])
    return player.sent[-1]


def test_the_scene_says_all_but_the_pictures(player, filmed):
    scene, (places,) = player.sent[-1]
    clip = filmed.clips.set_index("clip_id").loc["0001_2"]
    assert scene["marked"] == (clip.start, clip.end)
    assert scene["fps"] == 25.0
    skeleton = player.footage.skeleton
    kept = np.frombuffer(places, np.float32).reshape(-1, scene["skeleton"]["points"], 2)
    np.testing.assert_array_equal(kept, skeleton.places)
    assert len(scene["skeleton"]["colours"]) == 22


def test_pictures_come_in_the_order_asked_for(player, filmed):
    content, pictures = ask(player, 50, 40)
    assert content["frames"] == [50, 40]
    with Video(filmed.videos.video[0]) as video:
        for frame, jpeg in zip((50, 40), pictures, strict=True):
            shown = np.asarray(Image.open(io.BytesIO(jpeg))).astype(int)
            assert np.abs(shown - video.frame(frame)).mean() < 4


def test_a_request_gets_no_more_than_lets_others_take_their_turn(player):
    content, pictures = ask(player, *range(40))
    assert len(pictures) == len(content["frames"]) == MOST


def test_a_frame_that_cannot_be_shown_says_why(player):
    content, pictures = ask(player, 40, 99_999)
    assert [bool(picture) for picture in pictures] == [True, False]
    assert "expected frame 99999" in content["why"]["99999"]


def test_pictures_of_an_older_edition_are_not_sent(player):
    player.moment.clip_id = "0002_1"
    before = len(player.sent)
    player.answer(player, {"kind": "pictures", "edition": 1, "frames": [3]}, [])
    assert len(player.sent) == before


def test_the_player_follows_the_moment_to_another_clip(player, filmed):
    player.moment.clip_id = "0002_1"
    assert (player.video_id, player.clip_id) == ("0002", "0002_1")
    assert player.frame == filmed.clips.set_index("clip_id").start["0002_1"]
    assert player.sent[-1][0]["title"].startswith("Clip 0002_1: ")


def test_the_player_leads_the_moment_and_all_who_look_at_it(player, moment):
    other = Player(moment)
    player.frame = player.frame + 3
    assert moment.frame == other.frame == player.frame
    player.frame = 0  # far outside the clip
    assert moment.clip_id == player.clip_id == other.clip_id == ""


def test_a_dress_is_sent_with_new_pictures_and_taken_off_again(player):
    skeleton = player.footage.skeleton
    weights = np.linspace(0, 1, skeleton.places[..., 0].size, dtype=np.float32)
    weights = weights.reshape(skeleton.places.shape[:2])
    player.dress(lambda frame, picture: np.zeros_like(picture), weights)
    scene, buffers = player.sent[-1]
    assert scene["skeleton"]["weighted"]
    np.testing.assert_array_equal(np.frombuffer(buffers[1], np.float32), weights.ravel())
    _, (jpeg,) = ask(player, 40)
    assert np.asarray(Image.open(io.BytesIO(jpeg))).max() < 8
    player.dress()
    assert not player.sent[-1][0]["skeleton"]["weighted"]
    _, (jpeg,) = ask(player, 40)
    assert np.asarray(Image.open(io.BytesIO(jpeg))).max() > 100


def test_a_file_is_not_closed_while_another_thread_reads_it(player, monkeypatch):
    """JupyterLab runs the messages of different widgets at the same time."""
    reading, closed_too_early = [], []

    def jpeg(reel, frame):
        reading.append(reel)
        time.sleep(0.05)
        reading.remove(reel)
        return b"picture"

    monkeypatch.setattr(Reel, "jpeg", jpeg)
    monkeypatch.setattr(Reel, "close", lambda reel: closed_too_early.extend(reading))
    asking = Thread(target=ask, args=(player, 40, 41, 42))
    asking.start()
    time.sleep(0.02)
    player.moment.clip_id = "0002_1"
    asking.join()
    assert player.clip_id == "0002_1"
    assert not closed_too_early


def test_nothing_is_sent_before_a_page_looks(moment, monkeypatch):
    monkeypatch.setattr(Player, "send", lambda *_: pytest.fail("nobody looks"))
    moment_player = Player(moment)
    moment.clip_id = "0001_0"
    assert moment_player.clip_id == "0001_0"


def test_pages_that_cannot_play_get_a_still(player):
    bundle, _ = player._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["image/jpeg"].startswith("/9j/")  # a JPEG in base64


def test_the_list_of_clips_plays_the_chosen_one_and_shows_what_others_choose(filmed):
    choice, player = browse_clips(filmed, "train").children
    train = filmed.clips.clip_id[filmed.clips.split == "train"].tolist()
    assert [clip_id for _, clip_id in choice.options] == ["", *train]
    choice.value = train[2]
    assert player.clip_id == train[2]
    player.moment.clip_id = train[3]
    assert choice.value == train[3]


def test_a_clip_of_another_list_leaves_this_list_empty_and_stays_chosen(filmed):
    moment = Moment(filmed)
    choice = clip_list(moment, filmed.clips.iloc[:2])
    moment.clip_id = filmed.clips.clip_id[3]
    assert choice.value == ""
    assert moment.clip_id == filmed.clips.clip_id[3]


def test_a_part_without_clips_is_refused(filmed):
    with pytest.raises(DataError, match="has no clip of nowhere"):
        browse_clips(filmed, "nowhere")

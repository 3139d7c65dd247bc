"""What notebook 07 shows of one interview belongs together."""

import pytest

from imigue_lab.errors import RunError
from imigue_lab.results.open import open_emotion_run
from imigue_lab.views.gates.values import GatesSettings
from imigue_lab.views.gates.withholding import choose, look


@pytest.fixture
def emotion(trained):
    return open_emotion_run("trained", GatesSettings())


def test_by_default_the_held_out_interview_with_the_face_hidden_longest_is_chosen(emotion):
    predictions = emotion.run.predictions().set_index("video_id")
    hidden = predictions.windows - predictions.windows_with_face
    chosen = choose(emotion).video_id
    assert predictions.split[chosen] != "train"
    assert hidden[chosen] == hidden[predictions.split != "train"].max()


def test_all_is_of_one_interview(emotion):
    shown = choose(emotion, "0003")
    windows = len(shown.gates.face_seen)
    assert shown.video_id == shown.batch.video_ids[0] == "0003"
    assert shown.face_share.shape == (windows,)
    assert ((shown.face_share > 0) == shown.gates.face_seen).all()
    assert shown.running.probability.iloc[-1] == pytest.approx(shown.gates.probability, abs=1e-5)
    assert [strip.absent for strip in shown.strips] == [
        "the video of 0003 is not under this root",
        "these features contain no face boxes",
    ]


def test_the_player_and_the_lanes_share_a_moment(emotion):
    player, lanes = look(emotion, choose(emotion, "0003"))
    lanes.frame = 20
    assert (player.video_id, player.frame) == ("0003", 20)


def test_an_interview_that_is_not_there_is_refused(emotion):
    with pytest.raises(RunError, match="video '9999' is not there"):
        choose(emotion, "9999")

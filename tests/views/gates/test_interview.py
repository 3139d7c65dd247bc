"""Everything that notebook 07 shows belongs to one interview."""

import pytest

from imigue_lab.errors import RunError
from imigue_lab.results.open import open_emotion_run
from imigue_lab.views.gates.interview import GatesSettings
from imigue_lab.views.gates.withholding import choose_interview, open_gate_player


@pytest.fixture
def emotion(trained):
    return open_emotion_run("trained", GatesSettings())


def test_the_default_is_the_held_out_interview_with_most_windows_without_a_face(emotion):
    predictions = emotion.run.predictions().set_index("video_id")
    hidden = predictions.windows - predictions.windows_with_face
    chosen = choose_interview(emotion).gates.video_id
    assert predictions.split[chosen] != "train"
    assert hidden[chosen] == hidden[predictions.split != "train"].max()


def test_everything_belongs_to_one_interview(emotion):
    _, batch, gates = choose_interview(emotion, "0003")
    windows = len(gates.face_seen)
    assert gates.video_id == batch.video_ids[0] == "0003"
    assert gates.face_share.shape == (windows,)
    assert ((gates.face_share > 0) == gates.face_seen).all()
    assert gates.running.probability.iloc[-1] == pytest.approx(gates.probability, abs=1e-5)
    assert [strip.absent for strip in gates.strips] == [
        "the video of 0003 is not under this root",
        "these features contain no face boxes",
    ]


def test_the_player_and_the_lanes_share_a_moment(emotion):
    shown = open_gate_player(emotion, choose_interview(emotion, "0003").gates)
    player, column = shown.children[0].children
    assert player is shown.player
    column.children[0].frame = 20
    assert (player.video_id, player.frame) == ("0003", 20)


def test_an_unknown_interview_is_refused(emotion):
    with pytest.raises(RunError, match="video '9999' is not in the run's data"):
        choose_interview(emotion, "9999")

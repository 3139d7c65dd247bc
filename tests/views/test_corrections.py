"""Buttons below a player: a decision of one person on the clip that is shown."""

import pandas as pd
import pytest

from imigue_lab.data.corrections import read_corrections
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.gestures.settings import GestureSettings
from imigue_lab.training.gestures.train import train_gesture
from imigue_lab.training.runs import Run
from imigue_lab.views import corrections
from imigue_lab.views.answers import read_predictions
from imigue_lab.views.corrections import Corrections
from imigue_lab.views.player.lanes import Moment
from imigue_lab.views.player.widgets import ErrorBrowser


@pytest.fixture
def row(filmed, tmp_path):
    """Buttons for the first clip."""
    moment = Moment(filmed, clip_id=filmed.clips.clip_id[0])
    return Corrections(moment, tmp_path, who="<b>anna")


def pressed(row, kind):
    next(button for button in row.buttons if button.description == kind).click()
    return read_corrections(row.path, row.moment.index.vocabulary)


def test_a_decision_is_stored_with_who_and_when_and_shown(row, filmed):
    clip, names = filmed.clips.iloc[0], filmed.vocabulary.classes
    row.choice.value = names[5]
    (own,) = pressed(row, "relabel").to_dict("records")
    assert own["item"] == clip.clip_id and own["video_id"] == clip.video_id
    assert (own["start"], own["end"], own["kind"]) == (clip.start, clip.end, "relabel")
    assert (own["class"], own["previous"]) == (names[5], names[clip.label])
    assert row.state.value == f"relabel {names[5]} <b>anna {own['when']}"
    (own,) = pressed(row, "confirm").to_dict("records")  # in place of the first
    assert (own["kind"], own["class"]) == ("confirm", names[clip.label])
    (own,) = pressed(row, "reject").to_dict("records")
    assert (own["kind"], own["class"], own["who"]) == ("reject", "", "<b>anna")


def test_the_row_follows_the_moment_and_shows_own_decisions_only(row, filmed):
    first, second = filmed.clips.clip_id[:2]
    pressed(row, "reject")
    row.moment.clip_id = second
    assert row.state.value == ""
    assert row.choice.value == filmed.vocabulary.classes[filmed.clips.label[1]]
    row.moment.clip_id = first
    assert row.state.value.startswith("reject  <b>anna ")
    assert Corrections(row.moment, row.path.parent, who="ben").state.value == ""
    row.moment.clip_id = ""
    assert all(widget.disabled for widget in (*row.buttons, row.choice))


def test_a_file_that_is_no_list_of_corrections_is_reported_beside_the_buttons(row):
    row.path.write_text("a,b\n1,2\n")
    row.buttons[0].click()
    again = Corrections(row.moment, row.path.parent)
    assert again.state.value == row.state.value
    assert "corrections.csv: expected the columns item, video_id" in row.state.value
    assert row.path.read_text() == "a,b\n1,2\n"


def test_the_error_browser_of_a_run_has_buttons_for_its_clips(filmed, tmp_path, monkeypatch):
    monkeypatch.setattr(corrections, "login_name", lambda: "anna")
    clips = filmed.clips[["clip_id", "video_id", "subject", "label"]].assign(split="test")
    run = Run(tmp_path / "some")
    run.write_json("vocabulary.json", filmed.vocabulary.to_dict())
    probability = pd.get_dummies(clips.label).reindex(columns=range(32), fill_value=0)
    run.write_predictions(clips.join(probability.astype(float).add_prefix("p")))
    browser = ErrorBrowser(read_predictions(run), filmed, run)
    row = browser.children[-1]
    browser.items.value = clips.clip_id[3]
    assert pressed(row, "confirm")["item"].tolist() == [clips.clip_id[3]]
    assert row.path.parent == run.folder and row.who == "anna"


@pytest.fixture
def trained_on(synthetic):
    """Trains the gesture model, and both streams of its pose encoder, for an epoch."""

    def train(corrections, name):
        given = {"data": str(synthetic), "frames": 8, "epochs": 1, "corrections": corrections}
        own = {f"{stream}_run": f"{name}-{stream}" for stream in ("joint", "bone")}
        for stream in ("joint", "bone"):
            named = given | {"stream": stream, "name": own[f"{stream}_run"]}
            train_baseline(BaselineSettings.from_arguments(named))
        given |= {"memory": False, "fusion": "late", "width": 12, "heads": 2, "name": name}
        return train_gesture(GestureSettings.from_arguments(given | own))

    return train


def test_buttons_on_clips_of_train_and_validation_change_the_next_training(trained_on, index):
    run = trained_on("", "before")
    browser = ErrorBrowser(read_predictions(run), index, run)
    row, names, decided = browser.children[-1], index.vocabulary.classes, {}
    for split in ("train", "validation", "test"):
        browser.split.value = split
        clip_id = browser.items.options[0][1]
        browser.items.value = clip_id
        before = names.index(row.item["previous"])
        row.choice.value = names[(before + 1) % 20]
        pressed(row, "relabel")
        decided[clip_id] = before if split == "test" else (before + 1) % 20
    again = trained_on(str(row.path), "after")
    labels = again.predictions().set_index("clip_id").label
    assert labels[[*decided]].tolist() == [*decided.values()]
    (remark,) = (own for own in again.provenance()["remarks"] if own.startswith("labels corr"))
    assert "2 relabelled (" in remark and "1 of test, not applied (" in remark

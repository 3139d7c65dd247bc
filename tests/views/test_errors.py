"""Pressing a cell lists its clips; the chosen one plays."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.training.runs import Run
from imigue_lab.views.answers import confusion_counts, hardest, in_cell, read_answers
from imigue_lab.views.player.browsers import ErrorBrowser, Matrix


@pytest.fixture
def answers(filmed, tmp_path):
    """Of the clips of all four interviews, told right and wrong by turns."""
    clips = filmed.clips[["clip_id", "video_id", "subject", "label"]].assign(split="test")
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(32), size=len(clips))
    rows = np.arange(0, len(clips), 2)
    probability[rows, clips.label.to_numpy(dtype=int)[rows]] += 1
    probability /= probability.sum(axis=1, keepdims=True)
    run = Run(tmp_path / "some")
    run.write_predictions(clips.join(pd.DataFrame(probability).add_prefix("p")))
    return read_answers(run)


@pytest.fixture
def browser(answers, filmed):
    return ErrorBrowser(answers, filmed)


def listed(browser):
    return [item for _, item in browser.items.options]


def test_at_first_the_hardest_are_listed_and_the_first_of_them_plays(browser, answers):
    assert listed(browser) == hardest(answers).item.tolist()
    assert browser.player.clip_id == listed(browser)[0]


def test_a_pressed_cell_lists_its_clips_and_plays_the_first(browser, answers):
    counts = confusion_counts(answers)
    truth, said = next((t, s) for t in counts.index for s in counts if counts.loc[t, s] and t != s)
    browser.matrix.cell = [truth, said]
    wanted = in_cell(answers, truth, said).item.tolist()
    assert listed(browser) == wanted
    assert browser.player.clip_id == wanted[0]
    assert f"is {truth}" in browser.items.options[0][0]


def test_choosing_in_the_list_plays_it_and_tells_whoever_follows(browser):
    clip_id = listed(browser)[2]
    browser.items.value = clip_id
    assert browser.player.clip_id == browser.moment.clip_id == clip_id


def test_by_group_the_cells_are_those_of_groups(browser, answers):
    browser.by.value = "group"
    counts = confusion_counts(answers, "group")
    assert browser.matrix.rows == list(counts.index)
    assert browser.matrix.counts == counts.to_numpy().tolist()
    group = next(name for name in counts.index if counts.loc[name, name])
    browser.matrix.cell = [group, group]
    assert len(listed(browser)) == counts.loc[group, group]


def test_other_counts_leave_no_cell_pressed():
    matrix = Matrix(pd.DataFrame([[1, 2], [0, 3]], index=["a", "b"], columns=["a", "b"]))
    assert (matrix.rows, matrix.columns, matrix.counts) == (
        ["a", "b"],
        ["a", "b"],
        [[1, 2], [0, 3]],
    )
    matrix.cell = ["a", "b"]
    matrix.show(pd.DataFrame([[5]], index=["c"], columns=["c"]))
    assert (matrix.counts, matrix.cell) == ([[5]], [])


def test_interviews_are_listed_and_shown_whole(trained, index):
    run, _ = trained
    browser = ErrorBrowser(read_answers(run), index)
    assert browser.by.layout.display == "none"
    video_id = listed(browser)[0]
    assert (browser.player.video_id, browser.player.clip_id) == (video_id, "")


def test_pages_that_cannot_play_get_a_still(browser):
    assert browser._repr_mimebundle_()["image/jpeg"].startswith("/9j/")

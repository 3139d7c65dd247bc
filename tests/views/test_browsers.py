"""The error browser: clicking a cell lists its items, and the selected one plays."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.training.runs import Run
from imigue_lab.views.answers import confusion_counts, hardest, in_cell, read_predictions
from imigue_lab.views.player import widgets
from imigue_lab.views.player.widgets import ErrorBrowser, Matrix


@pytest.fixture
def predictions(filmed, tmp_path):
    """Of the clips of all four interviews, alternately correct and incorrect."""
    clips = filmed.clips[["clip_id", "video_id", "subject", "label"]].assign(split="test")
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(32), size=len(clips))
    rows = np.arange(0, len(clips), 2)
    probability[rows, clips.label.to_numpy(dtype=int)[rows]] += 1
    probability /= probability.sum(axis=1, keepdims=True)
    run = Run(tmp_path / "some")
    run.write_json("vocabulary.json", filmed.vocabulary.to_dict())
    run.write_predictions(clips.join(pd.DataFrame(probability).add_prefix("p")))
    return read_predictions(run)


@pytest.fixture
def browser(predictions, filmed):
    return ErrorBrowser(predictions, filmed)


def listed(browser):
    return [item for _, item in browser.items.options]


def test_initially_the_hardest_are_listed_and_the_first_of_them_plays(browser, predictions):
    assert listed(browser) == hardest(predictions).item.tolist()
    assert browser.player.clip_id == listed(browser)[0]


def test_a_clicked_cell_lists_its_clips_and_plays_the_first(browser, predictions):
    counts = confusion_counts(predictions)
    truth, predicted = next(
        (t, p) for t in counts.index for p in counts if counts.loc[t, p] and t != p
    )
    browser.matrix.cell = [truth, predicted]
    expected = in_cell(predictions, truth, predicted).item.tolist()
    assert listed(browser) == expected
    assert browser.player.clip_id == expected[0]
    assert f"(true: {truth})" in browser.items.options[0][0]


def test_selecting_in_the_list_plays_the_clip_and_moves_the_moment(browser):
    clip_id = listed(browser)[2]
    browser.items.value = clip_id
    assert browser.player.clip_id == browser.moment.clip_id == clip_id


def test_of_a_run_the_clips_of_each_split_with_known_truth_can_be_chosen(
    predictions, filmed, tmp_path
):
    run = Run(tmp_path / "some")
    hidden = ("train", "validation", "test", "test")
    table = run.predictions()
    table["split"] = table.video_id.map(dict(zip(table.video_id.unique(), hidden, strict=False)))
    run.write_predictions(table.assign(label=table.label.where(table.split != "test")))
    browser = ErrorBrowser(read_predictions(run), filmed, run)
    assert browser.split.options == ("train", "validation")
    assert browser.split.value == "validation" and browser.split.layout.display == ""
    browser.by.value = "group"
    browser.split.value = "train"
    own = read_predictions(run, "train")
    counts = confusion_counts(own, "group")
    assert browser.matrix.counts == counts.to_numpy().tolist()
    assert listed(browser) == hardest(own).item.tolist()
    assert browser.player.clip_id == listed(browser)[0]
    cell = counts.stack().idxmax()
    browser.matrix.cell = list(cell)
    assert listed(browser) == in_cell(own, *cell, "group").item.tolist()
    alone = ErrorBrowser(own, filmed)
    assert alone.split.options == ("train",) and alone.split.layout.display == "none"


def test_by_group_the_cells_are_those_of_groups(browser, predictions):
    browser.by.value = "group"
    counts = confusion_counts(predictions, "group")
    assert browser.matrix.rows == list(counts.index)
    assert browser.matrix.counts == counts.to_numpy().tolist()
    group = next(name for name in counts.index if counts.loc[name, name])
    browser.matrix.cell = [group, group]
    assert len(listed(browser)) == counts.loc[group, group]


def test_new_counts_clear_the_selected_cell():
    matrix = Matrix(pd.DataFrame([[1, 2], [0, 3]], index=["a", "b"], columns=["a", "b"]))
    assert (matrix.rows, matrix.columns, matrix.counts) == (
        ["a", "b"],
        ["a", "b"],
        [[1, 2], [0, 3]],
    )
    matrix.cell = ["a", "b"]
    matrix.show(pd.DataFrame([[5]], index=["c"], columns=["c"]))
    assert (matrix.counts, matrix.cell) == ([[5]], [])


def test_interviews_are_listed_and_played_whole(trained, index):
    run, _ = trained
    browser = ErrorBrowser(read_predictions(run), index)
    assert browser.by.layout.display == "none"
    video_id = listed(browser)[0]
    assert (browser.player.video_id, browser.player.clip_id) == (video_id, "")


def test_the_still_is_an_output_before_that_of_the_widgets(browser, monkeypatch):
    """JupyterLab would not choose it in the same one; a browser test opens such a notebook."""
    shown = []
    monkeypatch.setattr(widgets, "display", lambda bundle, raw: shown.append(bundle))
    browser._ipython_display_()
    still, view = shown
    assert set(still) == {"text/html"} and 'src="data:image/jpeg;base64,/9j/' in still["text/html"]
    assert view["application/vnd.jupyter.widget-view+json"]["model_id"] == browser.model_id

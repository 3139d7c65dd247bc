"""Predictions have one form for all tasks; every table and figure counts each item once."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.vocabulary import Vocabulary, builtin
from imigue_lab.errors import RunError
from imigue_lab.training.runs import Run
from imigue_lab.training.statistics import interval_of_share, wilson_interval
from imigue_lab.views.answers import (
    accuracies,
    accuracy_table,
    confusion,
    confusion_counts,
    error_figures,
    hardest,
    in_cell,
    read_predictions,
    reliability,
    reliability_bins,
    shorten,
)

IMIGUE = builtin("imigue")

LABELS = (0, 0, 1, 2, 2, 31)  # head twice, head, and head-hand
PREDICTED = (0, 1, 1, 0, 2, 2)
CONFIDENCE = (0.9, 0.8, 0.7, 0.6, 0.5, 0.95)


@pytest.fixture
def run(tmp_path):
    """Six test clips of two subjects, one clip whose class is hidden, and one of train."""
    rows = []
    for number, (label, predicted, confidence) in enumerate(
        zip(LABELS, PREDICTED, CONFIDENCE, strict=True)
    ):
        probability = np.full(32, (1 - confidence) / 31)
        probability[predicted] = confidence
        subject = "ann" if number < 3 else "bob"
        rows.append((f"c{number}", f"v{number // 2}", subject, "test", label, *probability))
    rows.append(("c6", "v3", "bob", "test", None, *np.full(32, 1 / 32)))
    rows.append(("c7", "v4", "eve", "train", 5, *np.full(32, 1 / 32)))
    columns = ["clip_id", "video_id", "subject", "split", "label", *(f"p{n}" for n in range(32))]
    run = Run(tmp_path / "some")
    table = pd.DataFrame(rows, columns=columns).astype({"label": "Int64"})
    run.write_predictions(table)
    run.write_json("vocabulary.json", IMIGUE.to_dict())
    remarks = ["rgb features (x) are synthetic"]
    run.write_json("provenance.json", {"remarks": remarks, "where": {}, "synthetic": True})
    return run


@pytest.fixture
def predictions(run):
    return read_predictions(run)


def test_only_clips_of_the_split_with_a_known_class_count(predictions, run):
    assert predictions.item.tolist() == ["c0", "c1", "c2", "c3", "c4", "c5"]
    assert predictions.correct.tolist() == [True, False, True, False, True, False]
    assert predictions.truth.tolist() == [IMIGUE.label(label) for label in LABELS]
    np.testing.assert_allclose(predictions.p_predicted, CONFIDENCE)
    assert predictions.p_truth[1] == pytest.approx(0.2 / 31)
    assert set(predictions.split) == {"test"}
    with pytest.raises(RunError, match="no truth of validation is known"):
        read_predictions(run, "validation")


def test_where_the_truth_of_test_is_hidden_predictions_are_of_validation(run):
    table = run.predictions()
    hidden = table.label.mask(table.split == "test")
    run.write_predictions(
        table.assign(label=hidden, split=table.split.replace("train", "validation"))
    )
    predictions = read_predictions(run)
    assert (predictions.item.tolist(), set(predictions.split)) == (["c7"], {"validation"})
    assert "on validation (n=1)" in confusion(run, predictions).layout.title.text


def test_groups_are_those_of_the_body_part(predictions):
    assert predictions.truth_group.tolist() == [*["head"] * 3, *["head-hand"] * 2, "illustrative"]
    assert list(predictions.truth_group.cat.categories) == list(IMIGUE.group_names)


def test_the_confusion_matrix_counts_each_item_once_in_the_order_of_classes(predictions):
    counts = confusion_counts(predictions)
    assert list(counts.index) == list(counts) == [IMIGUE.label(n) for n in (0, 1, 2, 31)]
    expected = [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0]]
    assert counts.to_numpy().tolist() == expected
    by_group = confusion_counts(predictions, "group")
    assert list(by_group.index) == ["head", "head-hand", "illustrative"]
    assert by_group.to_numpy().tolist() == [[3, 0, 0], [1, 1, 0], [0, 1, 0]]


def test_a_cell_lists_only_its_items_the_most_confident_first(predictions):
    assert in_cell(predictions, IMIGUE.label(0), IMIGUE.label(1)).item.tolist() == ["c1"]
    assert in_cell(predictions, "head", "head", "group").item.tolist() == ["c0", "c1", "c2"]
    counts = confusion_counts(predictions)
    for truth in counts.index:
        for predicted in counts:
            cell = in_cell(predictions, truth, predicted)
            assert len(cell) == counts.loc[truth, predicted]


def test_the_hardest_are_incorrect_and_give_the_truth_the_least_probability(predictions):
    assert hardest(predictions).item.tolist() == ["c5", "c1", "c3"]
    assert hardest(predictions, 1).item.tolist() == ["c5"]


def test_accuracies_come_with_n_and_an_interval_over_videos_or_subjects(predictions):
    table = accuracy_table(predictions, "subject")
    assert table.loc["ann", ["n", "correct"]].tolist() == [3, 2]
    two_videos = wilson_interval(2 * 2 / 3, 2)  # of three clips
    assert table.loc["ann", ["low", "high"]].tolist() == pytest.approx(two_videos)
    many = pd.concat([predictions] * 5, ignore_index=True)
    many["subject"] = [f"s{n // 3}" for n in range(30)]
    row = accuracy_table(many.assign(truth="any"), "truth").iloc[0]
    assert (row.low, row.high) == interval_of_share(many.correct.to_numpy(), many.subject)
    by_class = accuracy_table(predictions, "truth")
    assert by_class.index.tolist() == [IMIGUE.label(n) for n in (0, 1, 2, 31)]
    assert by_class.confused_with.isna().tolist() == [False, True, False, False]
    assert by_class.confused_with.dropna().tolist() == [
        IMIGUE.label(1),
        IMIGUE.label(0),
        IMIGUE.label(2),
    ]


def test_reliability_bins_count_every_item_once():
    probability = np.array([0.05, 0.15, 0.95, 1.0, 0.5])
    bins = reliability_bins(probability, np.array([0, 1, 1, 1, 0]) == 1, 5, np.arange(5))
    assert bins.n.tolist() == [2, 1, 2]
    assert bins.share.tolist() == [0.5, 0.0, 1.0]
    np.testing.assert_allclose(bins.probability, [0.1, 0.5, 0.975])
    assert (bins.low <= bins.share).all()


def test_reliability_of_clips_is_of_correct_predictions_by_confidence(run, predictions):
    correct = predictions.correct.to_numpy()
    binned = reliability_bins(predictions.p_predicted.to_numpy(), correct, 10, predictions.subject)
    dots = reliability(run, predictions).data[1]
    np.testing.assert_allclose(dots.x, binned.probability)
    np.testing.assert_allclose(dots.y, binned.share)
    assert binned.n.sum() == 6


def test_reliability_of_interviews_is_of_wins_by_their_probability(trained):
    run, _ = trained
    table = run.predictions()
    test = table[(table.split == "test") & table.outcome.notna()]
    won = test.outcome.to_numpy().astype(int) == 1
    binned = reliability_bins(test.probability.to_numpy(), won, 5, test.subject)
    dots = reliability(run, read_predictions(run)).data[1]
    np.testing.assert_allclose(dots.x, binned.probability)
    np.testing.assert_allclose(dots.y, binned.share)
    assert dots.name == "test interviews"


def test_interviews_are_predicted_by_their_probability_of_a_win(trained):
    run, data = trained
    predictions = read_predictions(run)
    table = run.predictions().set_index("video_id").loc[predictions.item]
    assert set(predictions.item) == set(data.split.part("test").video_id)
    predicted = np.where(table.probability >= 0.5, "win", "lose")
    assert (predictions.predicted == predicted).all()
    outcome = table.outcome.to_numpy()
    p_truth = np.where(outcome == 1, table.probability, 1 - table.probability)
    np.testing.assert_allclose(predictions.p_truth, p_truth.astype(float), atol=1e-6)
    assert confusion_counts(predictions).to_numpy().sum() == len(predictions)


def test_figures_draw_the_tables_and_mark_synthetic_features(run, predictions):
    matrix = confusion(run, predictions)
    titles = matrix.layout.yaxis.title.text, matrix.layout.xaxis.title.text
    assert titles == ("true class", "predicted class")
    heat = matrix.data[0]
    assert np.array(heat.text).tolist() == confusion_counts(predictions).to_numpy().tolist()
    np.testing.assert_allclose(np.array(heat.z)[0], [0.5, 0.5, 0, 0])
    marks = accuracies(run, predictions).data[0]
    assert list(marks.y) == ["bob (n=3)", "ann (n=3)"]
    np.testing.assert_allclose(marks.x, [1 / 3, 2 / 3])
    for draw in (confusion, reliability, accuracies):
        figure = draw(run, predictions)
        assert "synthetic" in figure.layout.title.text


def test_clips_have_all_figures_and_interviews_none_by_group(run, predictions, trained):
    figures = error_figures(run, predictions)
    assert set(figures) == {
        "confusion",
        "confusion_by_group",
        "accuracy_by_class",
        "accuracy_by_subject",
        "reliability",
    }
    assert len(figures["accuracy_by_class"].data[0].y) == 4  # classes
    assert len(figures["accuracy_by_subject"].data[0].y) == 2
    emotion, _ = trained
    assert "confusion_by_group" not in error_figures(emotion, read_predictions(emotion))


def test_names_that_are_long_and_begin_alike_keep_their_cells(run, predictions):
    long = ["a hand that touches the left side of the face", "a hand that touches the left side of"]
    assert shorten(long[0]) == shorten(long[1])
    own = Vocabulary("own", (*long, *IMIGUE.classes[2:]), (*long, *IMIGUE.ids[2:]), ("",) * 32)
    run.write_json("vocabulary.json", own.to_dict())
    figure = confusion(run, read_predictions(run))
    assert list(figure.data[0].x)[:2] == long

"""Answers are the run's predictions, one form for all tasks; every table counts each item once."""

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.vocabulary import CLASSES, GROUPS
from imigue_lab.errors import RunError
from imigue_lab.training.runs import Run
from imigue_lab.training.statistics import wilson_interval
from imigue_lab.views.answers import (
    confidence,
    confidence_bins,
    confusion,
    confusion_counts,
    error_figures,
    hardest,
    in_cell,
    read_answers,
    share_table,
    shares,
    shorten,
)

LABELS = (0, 0, 1, 2, 2, 31)  # head twice, head, and head-hand
SAID = (0, 1, 1, 0, 2, 2)
SURE = (0.9, 0.8, 0.7, 0.6, 0.5, 0.95)


@pytest.fixture
def run(tmp_path):
    """Six test clips of two subjects, one clip whose class is hidden, and one of train."""
    rows = []
    for number, (label, said, sure) in enumerate(zip(LABELS, SAID, SURE, strict=True)):
        probability = np.full(32, (1 - sure) / 31)
        probability[said] = sure
        subject = "ann" if number < 3 else "bob"
        rows.append((f"c{number}", f"v{number // 2}", subject, "test", label, *probability))
    rows.append(("c6", "v3", "bob", "test", None, *np.full(32, 1 / 32)))
    rows.append(("c7", "v4", "eve", "train", 5, *np.full(32, 1 / 32)))
    columns = ["clip_id", "video_id", "subject", "split", "label", *(f"p{n}" for n in range(32))]
    run = Run(tmp_path / "some")
    table = pd.DataFrame(rows, columns=columns).astype({"label": "Int64"})
    run.write_predictions(table)
    run.write_json("provenance.json", {"remarks": ["rgb features (x) are synthetic"]})
    return run


@pytest.fixture
def answers(run):
    return read_answers(run)


def test_only_clips_of_the_part_whose_class_is_known_count(answers, run):
    assert answers.item.tolist() == ["c0", "c1", "c2", "c3", "c4", "c5"]
    assert answers.right.tolist() == [True, False, True, False, True, False]
    assert answers.truth.tolist() == [CLASSES[label] for label in LABELS]
    np.testing.assert_allclose(answers.p_said, SURE)
    assert answers.p_truth[1] == pytest.approx(0.2 / 31)
    assert set(answers.split) == {"test"}
    with pytest.raises(RunError, match="knows no truth of validation"):
        read_answers(run, "validation")


def test_where_the_truth_of_test_is_hidden_answers_are_of_validation(run):
    table = run.predictions()
    hidden = table.label.mask(table.split == "test")
    run.write_predictions(
        table.assign(label=hidden, split=table.split.replace("train", "validation"))
    )
    answers = read_answers(run)
    assert (answers.item.tolist(), set(answers.split)) == (["c7"], {"validation"})
    assert "on validation (n=1)" in confusion(run, answers).layout.title.text


def test_groups_are_those_of_the_body_part(answers):
    assert answers.truth_group.tolist() == [*["head"] * 3, *["head-hand"] * 2, "illustrative"]
    assert list(answers.truth_group.cat.categories) == list(GROUPS)


def test_confusions_count_each_item_once_in_the_order_of_classes(answers):
    counts = confusion_counts(answers)
    assert list(counts.index) == list(counts) == [CLASSES[n] for n in (0, 1, 2, 31)]
    wanted = [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0]]
    assert counts.to_numpy().tolist() == wanted
    by_group = confusion_counts(answers, "group")
    assert list(by_group.index) == ["head", "head-hand", "illustrative"]
    assert by_group.to_numpy().tolist() == [[3, 0, 0], [1, 1, 0], [0, 1, 0]]


def test_a_cell_lists_its_items_and_no_others_surest_first(answers):
    assert in_cell(answers, CLASSES[0], CLASSES[1]).item.tolist() == ["c1"]
    assert in_cell(answers, "head", "head", "group").item.tolist() == ["c0", "c1", "c2"]
    counts = confusion_counts(answers)
    for truth in counts.index:
        for said in counts:
            assert len(in_cell(answers, truth, said)) == counts.loc[truth, said]


def test_the_hardest_are_wrong_and_furthest_from_the_truth(answers):
    assert hardest(answers).item.tolist() == ["c5", "c1", "c3"]
    assert hardest(answers, 1).item.tolist() == ["c5"]


def test_shares_come_with_n_and_wilsons_interval(answers):
    table = share_table(answers, "subject")
    assert table.loc["ann", ["n", "right"]].tolist() == [3, 2]
    assert table.loc["ann", ["low", "high"]].tolist() == pytest.approx(wilson_interval(2, 3))
    by_class = share_table(answers, "truth")
    assert by_class.index.tolist() == [CLASSES[n] for n in (0, 1, 2, 31)]
    assert by_class.taken_for.tolist() == [CLASSES[1], "", CLASSES[0], CLASSES[2]]


def test_reliability_bins_count_every_answer_once(answers):
    bins = confidence_bins(answers, bins=2)  # 0.5 and more is one bin
    assert bins.n.tolist() == [6]
    assert bins.right.tolist() == [0.5]
    assert confidence_bins(answers, bins=10).n.sum() == 6


def test_interviews_are_answered_by_their_probability(trained):
    run, data = trained
    answers = read_answers(run)
    predictions = run.predictions().set_index("video_id").loc[answers.item]
    assert set(answers.item) == set(data.split.part("test").video_id)
    said = np.where(predictions.probability >= 0.5, "win", "lose")
    assert (answers.predicted == said).all()
    outcome = predictions.outcome.to_numpy()
    p_truth = np.where(outcome == 1, predictions.probability, 1 - predictions.probability)
    np.testing.assert_allclose(answers.p_truth, p_truth.astype(float), atol=1e-6)
    assert confusion_counts(answers).to_numpy().sum() == len(answers)


def test_figures_draw_the_tables_and_say_what_is_synthetic(run, answers):
    heat = confusion(run, answers).data[0]
    assert np.array(heat.text).tolist() == confusion_counts(answers).to_numpy().tolist()
    np.testing.assert_allclose(np.array(heat.z)[0], [0.5, 0.5, 0, 0])
    dots = confidence(run, answers).data[1]
    np.testing.assert_allclose(dots.y, confidence_bins(answers).right)
    marks = shares(run, answers).data[0]
    assert list(marks.y) == ["bob (n=3)", "ann (n=3)"]
    np.testing.assert_allclose(marks.x, [1 / 3, 2 / 3])
    for figure in (confusion(run, answers), confidence(run, answers), shares(run, answers)):
        assert "synthetic" in figure.layout.title.text


def test_a_run_of_clips_has_all_figures_and_one_of_interviews_none_of_groups(run, answers, trained):
    figures = error_figures(run, answers)
    assert set(figures) == {
        "confusion",
        "confusion_by_group",
        "right_by_class",
        "right_by_subject",
        "reliability",
    }
    assert len(figures["right_by_class"].data[0].y) == 4  # classes
    assert len(figures["right_by_subject"].data[0].y) == 2
    emotion, _ = trained
    assert "confusion_by_group" not in error_figures(emotion, read_answers(emotion))


def test_shortened_classes_stay_apart():
    assert len({shorten(name) for name in CLASSES}) == len(CLASSES)

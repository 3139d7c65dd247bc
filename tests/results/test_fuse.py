"""Fusion joins runs by clip id, never uses the test split for weights, and refuses mismatches."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from imigue_lab.app import main
from imigue_lab.data.vocabulary import builtin
from imigue_lab.errors import RunError, SettingsError
from imigue_lab.results.fuse import (
    fit_temperature,
    fuse,
    fusion_table,
    member_row,
    search_weights,
    show_members,
    temper,
)
from imigue_lab.training.runs import Run, runs_folder
from imigue_lab.training.scores import correct_of, labelled, point_scores, probabilities
from imigue_lab.training.statistics import interval_of_mean, resampled_means

CLASSES, CLIPS = 4, 240


def clips(seed=0, n=CLIPS):
    rng = np.random.default_rng(seed)
    video = np.arange(n) // 6
    split = np.array(["train", "validation", "test"])[video % 3]
    return pd.DataFrame(
        {
            "clip_id": [f"{v:04d}_{i % 6}" for i, v in enumerate(video)],
            "video_id": [f"{v:04d}" for v in video],
            "subject": [f"s{v // 4}" for v in video],
            "split": split,
            "label": pd.array(rng.integers(CLASSES, size=n), dtype="Int64"),
        }
    )


def predict(known, skill, seed):
    """Probabilities that favour the label by `skill`."""
    logits = np.random.default_rng(seed).normal(size=(len(known), CLASSES))
    logits[np.arange(len(known)), known.label.fillna(0).to_numpy(dtype=int)] += skill
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = known.assign(predicted=probability.argmax(axis=1), based_on="pose")
    return pd.concat([table, pd.DataFrame(probability).add_prefix("p")], axis=1)


@pytest.fixture
def finished(monkeypatch, tmp_path):
    """Writes finished runs into a separate workspace."""
    monkeypatch.setenv("IMIGUE_LAB_HOME", str(tmp_path))

    def write(name, skill=1.0, seed=0, change=lambda table: table, task="baseline"):
        run = Run(runs_folder() / name)
        run.write_json("settings.json", {"task": task, "settings": {}, "data": {"digest": "d"}})
        run.write_json("vocabulary.json", builtin("imigue").to_dict())
        run.write_predictions(change(predict(clips(), skill, seed)))
        provenance = {"where": {"data": "synthetic"}, "remarks": [f"remark of {name}"]}
        run.write_json("provenance.json", provenance)
        run.write_scores(pd.DataFrame())
        return run

    return write


def test_given_weights_average_the_probabilities_by_clip_id(finished):
    first = finished("a", seed=1)
    second = finished("b", seed=2, change=lambda table: table.sample(frac=1, random_state=0))
    fused = fuse(["a", "b"], "3:1").predictions().set_index("clip_id")
    one, two = (run.predictions().set_index("clip_id").loc[fused.index] for run in (first, second))
    expected = 0.75 * probabilities(one) + 0.25 * probabilities(two)
    np.testing.assert_allclose(probabilities(fused), expected, atol=1e-12)
    assert (fused.predicted == expected.argmax(axis=1)).all()
    assert (fused.label == one.label).all()


def test_a_fused_prediction_is_based_on_what_its_members_with_weight_are_based_on(finished):
    finished("bones")
    finished("frames", change=lambda table: table.assign(based_on="rgb"))
    finished("blind", change=lambda table: table.assign(based_on="nothing"))
    for members, weights, expected in (
        (["bones", "frames"], "1:1", "both"),
        (["bones", "frames"], "1:0", "pose"),
        (["frames", "blind"], "1:1", "rgb"),
    ):
        assert set(fuse(members, weights).predictions().based_on) == {expected}


def test_an_older_run_that_does_not_say_what_it_is_based_on_is_refused(finished):
    finished("new")
    finished("old", change=lambda table: table.drop(columns="based_on"))
    with pytest.raises(RunError, match=r"old: expected predictions of .* with based_on"):
        fuse(["new", "old"])


def test_a_fusion_is_a_finished_run_with_all_remarks_and_returns_at_once(finished, capsys):
    finished("a", seed=1), finished("b", seed=2)
    run = fuse(["a", "b"], name="both")
    assert run.finished and run.synthetic
    assert run.provenance()["remarks"] == ["remark of a", "remark of b"]
    model = run.scores().iloc[0]
    test = run.predictions()
    assert model.top1 == pytest.approx(point_scores(test[test.split == "validation"])["top1"])
    constant = run.scores().iloc[1].predictor
    assert constant.startswith("always ")
    capsys.readouterr()
    assert fuse(["a", "b"], name="both").folder == run.folder
    assert "already finished" in capsys.readouterr().out
    with pytest.raises(RunError, match=r"belongs to another run: .*weights is 'uniform', expected"):
        fuse(["a", "b"], "2:1", name="both")


def test_a_fusion_can_be_fused_again(finished):
    for number, name in enumerate("abc"):
        finished(name, seed=number)
    fuse(["a", "b"], name="ab")
    again, at_once = fuse(["ab", "c"], "2:1"), fuse(["a", "b", "c"])
    np.testing.assert_allclose(
        probabilities(again.predictions()), probabilities(at_once.predictions()), atol=1e-12
    )


def test_gains_over_each_run_are_paired_and_the_best_is_chosen_on_validation(finished):
    finished("weak", skill=0.8, seed=1)
    strong = finished("strong", skill=1.5, seed=2)

    def worse_in_the_test(table):
        test = table.split == "test"
        table.loc[test, [f"p{c}" for c in range(CLASSES)]] = 1 / CLASSES
        return table

    finished("unlucky", skill=3.0, seed=3, change=worse_in_the_test)
    run = fuse(["weak", "strong", "unlucky"])
    table = fusion_table(run).set_index(["split", "run"])
    assert table.best.groupby(level="run").all().to_dict() == {
        "weak": False,
        "strong": False,
        "unlucky": True,
    }
    parts = (one.predictions() for one in (run, strong))
    fused, single = (part[part.split == "test"] for part in parts)
    row = table.loc[("test", "strong")]
    difference = point_scores(fused)["top1"] - point_scores(single)["top1"]
    assert row.fusion_gains == pytest.approx(difference)
    low, high = row.fusion_gains_interval
    assert low < difference < high
    assert (row.n, row.clusters, row.unit) == (78, 10, "subjects")
    sentences = show_members(run)[1]
    assert "(78 clips of 10 subjects)" in sentences[1]
    assert "over unlucky, the best on validation" in sentences[0]
    lost = -100 * table.loc[("validation", "unlucky")].fusion_gains
    assert sentences[2:] == [f"validation: the fusion is {lost:.1f} points below unlucky alone"]


def test_searched_weights_maximise_the_validation_likelihood_and_ignore_the_test_split(finished):
    finished("weak", skill=0.3, seed=1), finished("strong", skill=2.0, seed=2)
    found = json.loads((fuse(["weak", "strong"], "search").folder / "fusion.json").read_text())
    weights = {row["run"]: row["weight"] for row in found}

    def other_test(table):
        test = table.split == "test"
        table.loc[test, [f"p{c}" for c in range(CLASSES)]] = [1, 0, 0, 0]
        return table

    finished("other", skill=0.3, seed=1, change=other_test)
    again = json.loads((fuse(["other", "strong"], "search").folder / "fusion.json").read_text())
    assert again[0]["weight"] == weights["weak"]

    tables = [predict(clips(), skill, seed) for skill, seed in ((0.3, 1), (2.0, 2))]
    parts = [table[table.split == "validation"] for table in tables]
    label = parts[0].label.to_numpy(dtype=int)
    likelihood = np.stack([probabilities(part)[range(len(label)), label] for part in parts])
    grid = np.linspace(0, 1, 1001)
    total = np.log(np.outer(1 - grid, likelihood[0]) + np.outer(grid, likelihood[1])).sum(axis=1)
    assert search_weights(parts)[1] == pytest.approx(grid[total.argmax()], abs=2e-3)


def test_the_interval_of_a_gain_in_one_subject_only_contains_zero():
    best = predict(clips(), 50, 0)
    worse = best.copy()
    own = worse.video_id == "0003"  # the whole gain is in one subject
    worse.loc[own, [f"p{c}" for c in range(CLASSES)]] = np.roll(probabilities(worse[own]), 1, 1)
    gain = member_row(best, worse.sample(frac=1, random_state=1), 0)
    assert gain["fusion_gains"] == pytest.approx(6 / CLIPS)
    low, high = gain["fusion_gains_interval"]
    assert low == 0 < high
    assert gain["clusters"] == best.subject.nunique() and gain["unit"] == "subjects"
    assert member_row(best, best, 0)["fusion_gains_interval"] == (0, 0)


def test_the_interval_of_a_gain_is_widened_for_few_subjects():
    """As that of every score: the middle 95 % of the draws of five are too narrow."""
    best, worse = (predict(clips(), skill, 0) for skill in (1.5, 1.0))
    few = [table.assign(subject="s" + (table.index % 5).astype(str)) for table in (best, worse)]
    low, high = member_row(*few, 0)["fusion_gains_interval"]
    own = correct_of(few[0]).astype(float) - correct_of(few[1])
    means = resampled_means(own, few[0].subject, 0)
    raw = np.quantile(means, [0.025, 0.975])
    assert (low, high) == interval_of_mean(own, few[0].subject)
    assert low < raw[0] and raw[1] < high


def test_a_temperature_of_validation_calibrates_the_test_and_keeps_its_predictions(finished):
    def certain(table):  # far too certain
        p = probabilities(table) ** 10
        columns = [f"p{c}" for c in range(CLASSES)]
        table[columns] = p / p.sum(axis=1, keepdims=True)
        return table

    finished("a", seed=1, change=certain), finished("b", seed=1, change=certain)
    plain, fitted = fuse(["a", "b"]), fuse(["a", "b"], temperature=True)
    assert plain.folder != fitted.folder
    before, after = (run.scores().set_index(["split", "predictor"]) for run in (plain, fitted))
    test = ("test", "model")
    assert after.calibration_error[test] < 0.8 * before.calibration_error[test]
    assert after.top1[test] == before.top1[test]
    tables = [run.predictions() for run in (plain, fitted)]
    own = fit_temperature(labelled(tables[0], "validation"))
    assert own > 1.1
    np.testing.assert_allclose(probabilities(tables[1]), temper(probabilities(tables[0]), own))
    assert fit_temperature(labelled(tables[1], "validation")) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda t: t[t.clip_id != "0002_0"],
            r"a and b: 1 clips are not held out in both, 0002_0;",
        ),
        (lambda t: t.drop(columns="p3"), r"a and b: predict different numbers of classes"),
        (
            lambda t: t.assign(split=t.split.mask(t.clip_id == "0002_0", "validation")),
            r"a and b: differ in the split of 1 clips, 0002_0;",
        ),
        (
            lambda t: t.assign(label=t.label.mask(t.clip_id == "0002_0")),
            r"a and b: differ in the label of 1 clips, 0002_0;",
        ),
        (lambda t: t.drop(columns="clip_id"), r"b: expected predictions of clip classes"),
    ],
)
def test_runs_that_do_not_match_are_refused_by_name(finished, change, complaint):
    finished("a", seed=1), finished("b", seed=2, change=change)
    with pytest.raises(RunError, match=complaint):
        fuse(["a", "b"])
    assert not list(runs_folder().glob("fusion-*"))


def test_train_clips_that_one_run_lacks_are_left_out(finished):
    finished("a", seed=1), finished("b", seed=2, change=lambda t: t[t.clip_id != "0000_3"])
    fused = fuse(["a", "b"]).predictions()
    assert len(fused) == CLIPS - 1 and "0000_3" not in set(fused.clip_id)


def test_hidden_labels_do_not_count_as_a_difference(finished):
    hide = lambda t: t.assign(label=t.label.mask(t.split == "test"))  # noqa: E731
    finished("a", seed=1, change=hide), finished("b", seed=2, change=hide)
    run = fuse(["a", "b"])
    assert set(run.scores().split) == {"validation"}
    assert run.predictions().label.isna().sum() == 78


def test_a_single_or_repeated_run_and_unsuitable_weights_are_refused(finished):
    finished("a", seed=1), finished("b", seed=2)
    for names in (["a"], ["a", "a"]):
        with pytest.raises(RunError, match="expected two or more different runs"):
            fuse(names)
    for weights in ("1:2:3", "0:0"):
        with pytest.raises(
            SettingsError, match=f"expected one for each of 2 runs, not all 0, got '{weights}'"
        ):
            fuse(["a", "b"], weights)
    with pytest.raises(SettingsError, match="weights: string should match"):
        fuse(["a", "b"], "best")


def test_the_command_line_fuses_and_prints_the_gain(finished, capsys):
    finished("a", seed=1), finished("b", seed=2)
    main(["fuse", "a", "b", "--weights", "search"])
    printed = capsys.readouterr().out
    assert "the best on validation" in printed and "always" in printed
    assert "weights: those that maximise the likelihood of the labels on validation" in printed
    assert re.search(
        rf"fusion: {runs_folder()}/fusion-\S+ \(a page on it: imigue-lab card", printed
    )
    with pytest.raises(SystemExit) as end:
        main(["fuse", "a", "c"])
    assert end.value.code == 1
    assert "no finished run; there are: a, b, fusion-" in capsys.readouterr().err

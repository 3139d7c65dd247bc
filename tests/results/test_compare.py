"""Comparison of runs: joined by id, clustered, paired by seed, and refused if they do not match."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from imigue_lab.app import main
from imigue_lab.errors import RunError
from imigue_lab.results.compare import (
    compare,
    group_runs,
    in_words,
    scored_items,
    settings_that_differ,
    show_comparison,
)
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.recognition.scores import of_split, read_truth, score_segments
from imigue_lab.training.runs import Run


@pytest.fixture
def finished(tmp_path):
    """Writes a finished emotion run with the given interviews correct; returns it."""

    def write(name, correct, seed=0, subjects=5, split="validation", flip=False, **given):
        n = len(correct)
        outcome = np.arange(n) % 2 == flip
        predicted = np.where(correct, outcome, ~outcome)
        folder = tmp_path / name
        run = Run(folder)
        settings = {"seed": seed, **given}
        run.write_json(
            "settings.json", {"task": "emotion", "settings": settings, "data": {"digest": "0"}}
        )
        table = pd.DataFrame(
            {
                "video_id": [f"{i:04d}" for i in range(n)],
                "subject": [f"s{i % subjects}" for i in range(n)],
                "split": split,
                "outcome": outcome.astype(float),
                "probability": predicted * 0.8 + 0.1,
            }
        )
        # In random order: rows are joined by id.
        run.write_predictions(table.sample(frac=1, random_state=seed))
        run.write_scores(pd.DataFrame())
        return run

    return write


def all_but(n, *incorrect):
    return ~np.isin(np.arange(n), incorrect)


def test_items_are_joined_by_id_and_compared_with_the_reference(finished):
    full = finished("full", all_but(20, 0, 1, 2), seed=3)
    late = finished("late", all_but(20, 0, 5, 6, 7, 8), seed=3, fusion="late")
    table = compare({"full": [full], "late": [late]}).set_index("variant")
    assert table.score.tolist() == pytest.approx([17 / 20, 15 / 20])
    row = table.loc["late"]
    assert row.difference == pytest.approx(-2 / 20)
    assert (row.worse, row.better, row.discordant) == (4, 2, 6)
    assert (row.n, row.clusters) == (20, 5)
    # Sums by subject: s0 -1, s1 +1 -1, s2 +1 -1, s3 -1: two of four sign assignments are as extreme
    assert row.p == pytest.approx(0.5)
    assert np.isnan(table.p.full)


def test_the_interval_of_an_accuracy_stays_between_0_and_1_where_seeds_differ_much(finished):
    full = [finished("good", all_but(20)), finished("bad", all_but(20, *range(8)), seed=1)]
    row = compare({"full": full}).iloc[0]
    assert 0 <= row.low < row.score < row.high == 1


def test_the_items_of_folds_count_together(finished):
    def fold(name, number, correct, **given):
        run = finished(name, correct, fold=number, **given)
        table = run.predictions()
        own = table.assign(video_id=table.video_id + f"-{number}", subject=f"s{number}")
        run.write_predictions(own)
        return run

    full = [fold(f"full{n}", n, all_but(10, 0)) for n in range(3)]
    more = [fold(f"more{n}", n, all_but(10, *range(n))) for n in range(3)]
    table = compare({"full": full, "more": more}).set_index("variant")
    assert table.seeds.tolist() == [1, 1] and table.n.tolist() == [30, 30]
    assert table.clusters.tolist() == [3, 3]
    assert table.score.tolist() == pytest.approx([27 / 30, 27 / 30])
    assert (table.worse["more"], table.better["more"]) == (1, 1)
    with pytest.raises(RunError, match="not in both; compare runs of the same data and fold"):
        compare({"full": full, "more": more[:2]})
    other = fold("again", 0, all_but(10), seed=0)
    other.write_json("settings.json", other.settings() | {"settings": {"seed": 0, "fold": 4}})
    with pytest.raises(RunError, match="has another run of seed 0 on these items"):
        compare({"full": [*full, other]})


def test_seeds_do_not_count_as_items(finished):
    full = [finished(f"full{seed}", all_but(20), seed=seed) for seed in range(4)]
    same = [finished(f"same{seed}", all_but(20, 0, 1, 2), seed=seed) for seed in range(4)]
    table = compare({"full": full, "same": same}).set_index("variant")
    once = compare({"full": full[:1], "same": same[:1]}).set_index("variant")
    assert table.n.tolist() == [20, 20] and table.seeds.tolist() == [4, 4]
    for column in ("p", "discordant", "effect"):
        assert table.loc["same", column] == pytest.approx(once.loc["same", column])
    for column in ("difference_low", "difference_high"):  # seeds that agree add next to nothing
        assert table.loc["same", column] == pytest.approx(once.loc["same", column], abs=0.01)
    assert table.loc["same", "worse"] == 4 * once.loc["same", "worse"]


def test_the_interval_of_a_difference_is_wider_where_seeds_disagree(finished):
    full = [finished(f"full{seed}", all_but(40), seed=seed) for seed in range(4)]
    alike = [finished(f"a{seed}", all_but(40, 0, 1, 2, 3, 4), seed=seed) for seed in range(4)]
    counts = (0, 10, 0, 10)  # as many incorrect in all, of every subject
    apart = [
        finished(f"b{seed}", all_but(40, *range(counts[seed])), seed=seed) for seed in range(4)
    ]
    table = compare({"full": full, "alike": alike, "apart": apart}).set_index("variant")
    assert table.difference["alike"] == table.difference["apart"]
    width = table.difference_high - table.difference_low
    assert width["apart"] > 3 * width["alike"]
    assert table.difference_high["apart"] > 0 > table.difference_high["alike"]


def test_gestures_are_compared_over_subjects_where_they_are_known(finished):
    run = finished("clips", all_but(20))
    table = run.predictions()
    clips = table.rename(columns={"video_id": "clip_id"}).drop(columns=["outcome", "probability"])
    clips = clips.assign(video_id=[f"v{n // 2}" for n in range(20)], label=1, p0=0.0, p1=1.0)
    for subject, clusters, unit in ((clips.subject, 5, "subjects"), (clips.video_id, 10, "videos")):
        run.write_predictions(clips.assign(subject=subject))
        row = compare({"own": [run]}).iloc[0]
        assert (row.clusters, row.unit) == (clusters, unit)
    assert show_comparison(compare({"own": [run]})).clusters[0] == "10 videos"


def test_clusters_of_different_synthetic_sets_are_kept_apart(finished):
    def of(name, *incorrect):
        return [
            finished(f"{name}{s}", all_but(20, *incorrect), seed=s, flip=bool(s)) for s in (0, 1)
        ]

    table = compare({"full": of("full"), "late": of("late", 0, 1, 2)}).set_index("variant")
    assert (table.loc["late", "n"], table.loc["late", "clusters"]) == (40, 10)
    assert table.loc["late", "discordant"] == 6
    assert table.loc["late", "p"] == pytest.approx(2 / 2**6)


def test_only_seeds_that_both_have_are_paired(finished):
    full = [finished("full0", all_but(20), seed=0)]
    late = [finished("late0", all_but(20, 3), seed=0), finished("late1", all_but(20, 3, 4), seed=1)]
    table = compare({"full": full, "late": late}).set_index("variant")
    assert table.loc["late", "difference"] == pytest.approx(-1 / 20)
    assert table.loc["late", "score"] == pytest.approx(37 / 40)
    with pytest.raises(RunError, match="late and full: no seed in common"):
        compare({"full": full, "late": late[1:]})


def test_two_runs_of_one_seed_are_refused(finished):
    twice = [finished("a", all_but(20)), finished("b", all_but(20, 1))]
    with pytest.raises(RunError, match="b: full has another run of seed 0 on these items"):
        compare({"full": twice})


@pytest.fixture
def recognised(tmp_path):
    """Writes a run of recognition with (true, found, correct) segments in videos of subjects."""

    def write(name, counts, seed=0, subjects=5, iou=0.5, gesture="nod"):
        run = Run(tmp_path / name)
        settings = {"seed": seed, "iou": iou, "matching": "one-to-one"}
        kept = {"task": "recognition", "settings": settings, "data": {"digest": "0"}}
        run.write_json("settings.json", kept)
        run.write_json(
            "vocabulary.json", {"name": "own", "classes": [gesture], "ids": ["1"], "groups": [""]}
        )
        truth, found = [], []
        for n, (true, all_found, correct) in enumerate(counts):
            own = {
                "clip_id": None,
                "video_id": f"{n:04d}",
                "subject": f"s{n % subjects}",
                "split": "validation",
            }
            truth += [own | {"label": 0, "start": 20 * k, "end": 20 * k + 9} for k in range(true)]
            truth += [own] * (not true)
            starts = [20 * k + 1000 * (k >= correct) for k in range(all_found)]
            found += [own | {"label": 0, "start": s, "end": s + 9, "kept": True} for s in starts]
            found += [own | {"label": 0, "start": 500, "end": 509, "kept": False}]
        run.write_predictions(pd.DataFrame(found).assign(confidence=0.9))
        run.write_table("truth.parquet", pd.DataFrame(truth))
        run.write_scores(pd.DataFrame())
        return run

    return write


def test_recognisers_are_compared_by_pooled_f1_over_subjects(recognised):
    full = recognised("full", [(2, 2, 2), (4, 1, 0), (0, 1, 0)], subjects=3)
    more = recognised("more", [(2, 2, 2), (4, 4, 3), (0, 0, 0)], subjects=3)
    table = compare({"full": [full], "more": [more]}).set_index("variant")
    assert table.score.tolist() == pytest.approx([2 * 2 / 10, 2 * 5 / 12])
    row = table.loc["more"]
    assert (row.metric, row.n, row.clusters) == ("F1 at IoU 0.5, one-to-one", 3, 3)
    assert row.difference == pytest.approx(10 / 12 - 4 / 10)
    assert (row.worse, row.better, row.discordant) == (0, 1, 1) and np.isnan(row.majority)
    assert list(show_comparison(table.reset_index()))[5] == "F1 at IoU 0.5, one-to-one %"
    assert in_words(table.reset_index())[0].endswith("on 3 items of validation")
    other = recognised("other", [(2, 2, 2), (4, 1, 0), (0, 1, 0)], subjects=3, iou=0.3)
    with pytest.raises(RunError, match=r"one score, got F1 at IoU 0.3, .*; choose"):
        compare({"full": [full], "other": [other]})
    other = recognised("shake", [(2, 2, 2)] * 3, subjects=3, gesture="shake")
    with pytest.raises(RunError, match="full and shake: their classes differ"):
        compare({"full": [full], "other": [other]})


def test_the_interval_of_a_pooled_f1_is_near_that_of_its_draws_over_subjects(recognised):
    rng = np.random.default_rng(0)
    true = rng.integers(0, 9, 60)
    found = true + rng.integers(0, 4, 60)
    correct = rng.binomial(true, 0.6)
    counts = list(zip(true.tolist(), found.tolist(), correct.tolist(), strict=True))
    run = recognised("one", counts, subjects=20)
    row = compare({"one": [run]}).iloc[0]
    videos, segments = of_split(read_truth(run), "validation")
    kept = run.predictions().query("kept")
    drawn = score_segments({"model": kept}, segments, videos).iloc[0]
    assert row.score == pytest.approx(drawn.f1_50)
    assert (row.low, row.high) == pytest.approx(drawn.f1_50_interval, abs=0.01)


def test_runs_of_other_interviews_are_refused_by_name(finished):
    full, late = finished("full", all_but(20)), finished("late", all_but(19))
    with pytest.raises(RunError, match="late and full: 0019 not in both"):
        compare({"full": [full], "late": [late]})
    with pytest.raises(RunError, match="full: no labelled item in test"):
        scored_items(full, "test")


def test_runs_are_grouped_by_their_settings(finished):
    runs = [
        finished(f"{gate}{seed}", all_but(8), seed=seed, gate=gate, width=8)
        for gate in ("shared", "cross")
        for seed in (0, 1)
    ]
    grouped = group_runs(runs)
    assert list(grouped) == ["gate=shared", "gate=cross"]
    assert [len(own) for own in grouped.values()] == [2, 2]
    assert settings_that_differ(runs).index.tolist() == ["seed", "gate"]
    (runs[0].folder / "settings.json").write_text(
        json.dumps({"task": "gesture", "settings": {"seed": 0}, "data": {}})
    )
    with pytest.raises(
        RunError, match="expected two or more runs of one task, got 4 of emotion, gesture"
    ):
        group_runs(runs)


def test_runs_of_one_name_in_two_workspaces_are_kept_apart(finished):
    """As in a grid shared by hosts: each seed has its own workspace."""
    runs = [
        finished(
            f"home{seed}/runs/{gate}",
            all_but(20, *incorrect),
            seed=seed,
            gate=gate,
            flip=bool(seed),
        )
        for seed in (0, 1)
        for gate, incorrect in (("shared", ()), ("cross", (0, 1, 2)))
    ]
    differing = settings_that_differ(runs)
    assert differing.columns.tolist() == [str(run.folder) for run in runs]
    assert differing.loc["seed"].tolist() == [0, 0, 1, 1]
    grouped = group_runs(runs)
    assert [len(own) for own in grouped.values()] == [2, 2]
    row = compare(grouped).set_index("variant").loc["gate=cross"]
    assert (row.seeds, row.n, row.clusters, row.discordant) == (2, 40, 10, 6)


def test_the_command_line_prints_settings_and_paired_tests(quick, capsys):
    runs = [train_emotion(quick(epochs=1, gamma=gamma, seed=21)) for gamma in (0.0, 2.0)]
    capsys.readouterr()
    main(["compare", *(run.folder.name for run in runs)])
    printed = capsys.readouterr().out
    assert "gamma" in printed and "0.0" in printed and "2.0" in printed
    assert "points over the reference" in printed
    assert not re.search(r"^ *width", printed, re.MULTILINE)
    with pytest.raises(SystemExit):
        main(["compare", runs[0].folder.name, "nowhere"])
    assert "nowhere: no finished run" in capsys.readouterr().err


def test_runs_that_differ_in_the_seed_alone_are_compared_item_by_item(quick, capsys):
    runs = [train_emotion(quick(epochs=1, seed=seed)) for seed in (21, 22)]
    capsys.readouterr()
    main(["compare", *(run.folder.name for run in runs)])
    printed = capsys.readouterr().out
    assert "points over the reference" in printed
    assert all(run.folder.name in printed for run in runs)


def test_a_comparison_is_shown_with_intervals_and_dashes(finished):
    full = [finished(f"full{seed}", all_but(20, 1 + seed), seed=seed) for seed in range(2)]
    late = [finished(f"late{seed}", all_but(20, 3, 4), seed=seed) for seed in range(2)]
    shown = show_comparison(compare({"full": full, "late": late})).set_index("variant")
    assert shown.loc["full", "accuracy %"].startswith("95.0 ± 0.0 [")
    assert shown.loc["late", "points over the reference"].startswith("-5.0 [")
    assert shown.loc["full", "p (these seeds)"] == "–"
    assert "p" in show_comparison(compare({"full": full[:1], "late": late[:1]}))


def test_the_result_in_words_claims_a_gain_only_where_its_interval_excludes_0(finished):
    full = finished("full", all_but(40, 1), subjects=20)
    late = finished("late", all_but(40, 1, *range(10, 30)), subjects=20, fusion="late")
    alike = finished("alike", all_but(40, 2), subjects=20, stages=1)
    first, *rest = in_words(compare({"full": [full], "late": [late], "alike": [alike]}))
    assert first.startswith("full: accuracy 0.97 (95 % interval 0.")
    assert first.endswith("on 40 items of validation, above the majority class, 0.50")
    assert rest[0].startswith("late: accuracy 0.47; full against it +0.50 (+0.")
    assert rest[0].endswith("), a gain") and rest[1].endswith("), no certain gain")
    worse, better = in_words(compare({"late": [late], "full": [full]}))
    assert ", not distinguished from the majority class, 0.50" in worse
    assert "late against it -0.50" in better and better.endswith("), a decline")

"""Ablations train every cell once, name failed cells, and label their tables."""

import shutil

import numpy as np
import pandas as pd
import pytest

from imigue_lab.data.source import open_data
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.errors import RunError, SettingsError
from imigue_lab.results.compare import compare
from imigue_lab.results.published_tables import table_three, table_two
from imigue_lab.studies import ablations
from imigue_lab.studies.ablations import (
    Cell,
    ablate,
    enqueue,
    finished_cells,
    plan_grid,
    study_name,
)
from imigue_lab.studies.trials import AblationSettings, open_study, read_given, tickets
from imigue_lab.studies.variants import VARIANTS
from imigue_lab.training.baselines import data
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.runs import runs_folder
from imigue_lab.training.tasks import load_cached, load_once
from imigue_lab.views.studies import gains

TINY = "epochs:1 width:8 heads:2 lr:1e-3"


@pytest.fixture
def settings_of(synthetic):
    def build(**changes):
        small = {"data": str(synthetic), "given": TINY, "variants": "late,bce"}
        return AblationSettings.from_arguments(small | changes)

    return build


def test_finished_cells_are_never_trained_again_and_the_grid_may_grow(settings_of, monkeypatch):
    runs = ablate(settings_of(seeds=2))
    assert list(runs) == ["full", "late", "bce"]
    assert [len(own) for own in runs.values()] == [2, 2, 2]
    folders = {run.folder for own in runs.values() for run in own}
    assert len(folders) == 6
    kept = {f: (f / "scores.json").stat().st_mtime_ns for f in folders}

    trained = []
    train = ablations.train_quietly
    monkeypatch.setattr(ablations, "train_quietly", lambda *a: trained.append(a) or train(*a))
    assert ablate(settings_of(seeds=2)) == runs and not trained
    more = ablate(settings_of(seeds=3, variants="late,bce,concat"))
    assert len(trained) == 3 + 3
    assert more["late"][:2] == runs["late"]
    assert {f: (f / "scores.json").stat().st_mtime_ns for f in folders} == kept


def test_a_cell_whose_run_folder_is_gone_is_trained_again(settings_of):
    runs = ablate(settings_of(seeds=1, seed=30))
    shutil.rmtree(runs["late"][0].folder)
    again = ablate(settings_of(seeds=1, seed=30))
    assert again == runs and again["late"][0].finished


def test_runs_that_only_another_host_has_are_reported(settings_of):
    settings = settings_of(seeds=1, seed=30)
    runs = ablate(settings)
    for own in runs.values():
        shutil.rmtree(own[0].folder)
    study = open_study(study_name(settings))
    with pytest.raises(RunError, match=r"3 of 3 cells are not .*: give all hosts one IMIGUE_LAB"):
        finished_cells(study, plan_grid(settings))


def test_a_cell_is_enqueued_once_by_any_number_of_workers(settings_of):
    settings = settings_of(seeds=2, seed=40)
    study = open_study(study_name(settings))
    grid = plan_grid(settings)
    before = len(tickets(study, "WAITING"))
    for _ in range(3):
        enqueue(study, grid)
    assert len(tickets(study, "WAITING")) - before == 6
    ablate(settings)


def test_a_failed_cell_is_named_with_its_reason_and_retried(settings_of, monkeypatch):
    settings = settings_of(seeds=1, seed=50)
    train = ablations.train_quietly

    def fail(task, one, data):
        if one.loss == "bce":
            raise RunError("the training loss is nan")
        return train(task, one, data)

    monkeypatch.setattr(ablations, "train_quietly", fail)
    with pytest.raises(RunError, match=r"1 of 3 cells are not .*: bce, seed 50; the .*nan"):
        ablate(settings)
    monkeypatch.setattr(ablations, "train_quietly", train)
    assert ablate(settings)["bce"][0].finished


def test_table_and_figure_compare_every_variant_with_the_full_model(settings_of):
    runs = ablate(settings_of(seeds=2))
    table = compare(runs)
    assert table.variant.tolist() == ["full", "late", "bce"]
    assert table.seeds.eq(2).all()
    assert (table.p_holm.dropna() >= table.p.dropna()).all()
    n = len(runs["full"][0].predictions().query("split == 'validation'"))
    assert table.n.eq(n).all() and table.split.eq("validation").all()
    figure = gains(table, runs)
    np.testing.assert_allclose(figure.data[0].x, 100 * table.difference[1:])
    assert "are synthetic" in figure.layout.title.text


def test_variants_are_compared_on_validation_and_a_final_choice_on_test_is_recorded(
    settings_of, capsys
):
    settings = settings_of(seeds=1)
    runs = ablate(settings)
    validation = runs["late"][0].scores().query("split == 'validation' and predictor == 'model'")
    [trial] = [
        t
        for t in open_study(study_name(settings)).trials
        if t.user_attrs.get("variant") == "late" and t.user_attrs["seed"] == 0
    ]
    assert trial.value == pytest.approx(validation.accuracy.iloc[0])
    assert "has been scored" not in capsys.readouterr().out
    final = settings_of(seeds=1, variants="late", final=True)
    table = compare(ablate(final), split=final.split)
    assert table.split.eq("test").all()
    assert "the test split of this ablation has been scored: variants late on" in (
        capsys.readouterr().out
    )
    ablate(settings)  # a later look at validation still says so
    assert "has been scored: variants late on" in capsys.readouterr().out
    with pytest.raises(SettingsError, match="final: expected the variants of a final choice"):
        settings_of(final=True, variants="all")


def test_folders_of_one_name_and_corrected_labels_are_studies_of_their_own(
    settings_of, tmp_path, monkeypatch
):
    names, first = [], None
    for place, seed in (("mine", 0), ("theirs", 1)):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        index = make_data("data", SyntheticSpec(videos=24, pictures=False, seed=seed))
        settings = settings_of(data="data", seeds=1, variants="late")
        runs = ablate(settings)
        names.append(study_name(settings))
        assert set(runs["full"][0].predictions().video_id) <= set(index.videos.video_id)
        assert runs["full"][0].provenance()["where"]["data"] == str(tmp_path / place / "data")
        assert first is None or runs["full"][0].folder != first
        first = runs["full"][0].folder
    labels = index.videos.assign(label=1 - index.videos.outcome)[["video_id", "label"]]
    labels.to_csv("labels.csv", index=False)
    corrected = settings_of(
        data="data", given=f"{TINY} labels:labels.csv", seeds=1, variants="late"
    )
    assert ablate(corrected)["full"][0].folder != first
    assert len({*names, study_name(corrected)}) == 3


def test_data_that_change_in_place_are_another_study_and_no_mixture(plain, monkeypatch):
    root = plain()
    streams = " ".join(f"{stream}:{root / stream}" for stream in ("context", "face"))
    settings = AblationSettings(
        data=str(root), given=f"{TINY} {streams}", variants="late", seeds=2, seed=60
    )
    first = ablate(settings)
    original = (root / "videos.csv").read_text()
    (root / "videos.csv").write_text(original.replace("v0,train,win", "v0,train,lose"))
    corrected = ablate(settings)  # in the same process, as in a notebook
    assert not {run.folder for run in first["full"]} & {run.folder for run in corrected["full"]}
    assert corrected["full"][0].predictions().outcome.sum() == 4

    train = ablations.train_quietly

    def correct_in_between(task, own, data):
        (root / "videos.csv").write_text(original.replace("v2,train,win", "v2,train,lose"))
        return train(task, own, data)

    (root / "videos.csv").write_text(original.replace("v4,train,win", "v4,train,lose"))
    monkeypatch.setattr(ablations, "train_quietly", correct_in_between)
    with pytest.raises(RunError, match=r"2 of 4 cells are not finished: .* has changed since this"):
        ablate(settings)
    monkeypatch.undo()
    (root / "videos.csv").write_text(original)
    assert ablate(settings) == first


def test_all_variants_of_both_tasks_are_valid_and_distinct():
    for task, variants in VARIANTS.items():
        given = {"task": task, "variants": "all", "seeds": 1, "given": ""}
        grid = plan_grid(AblationSettings.from_arguments(given))
        assert [cell.variant for cell in grid] == ["full", *variants]
        assert len({str(s.result_settings()) for s in grid.values()}) == len(grid)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"variants": "latte"}, "variants: emotion has no 'latte'; choose of: late, concat"),
        ({"given": "epochs"}, "given: expected name:value, got 'epochs'"),
        ({"given": "epoch=3"}, "epoch: no such parameter; did you mean epochs?"),
        ({"storage": "here"}, "storage: string should match pattern"),
    ],
)
def test_invalid_settings_are_refused_before_training(given, complaint):
    with pytest.raises(SettingsError) as caught:
        plan_grid(AblationSettings.from_arguments(given))
    assert str(caught.value).startswith(complaint)


def test_given_settings_are_converted_as_the_settings_of_a_run_need_them():
    text = "epochs:3 lr=1e-4 labels:'C:/my labels.csv' name:007"
    assert read_given(text)["labels"] == "C:/my labels.csv"
    run = AblationSettings(given=text).of_run()
    assert (run.epochs, run.lr, run.labels, run.name) == (3, 1e-4, "C:/my labels.csv", "007")
    own = AblationSettings(task="gesture", given="memory:false criteria:semantic,spatial").of_run()
    assert own.memory is False and own.criteria == "semantic,spatial"
    three = AblationSettings(task="baseline", given="model:tsm test_crops:3").of_run()
    assert three.test_crops == 3


def test_an_unreachable_storage_is_reported(tmp_path):
    with pytest.raises(RunError, match=r"storage: sqlite:.* cannot be opened"):
        open_study("x", f"sqlite:///{tmp_path}/absent/folder/x.db")


def test_the_memory_gain_of_table_two_is_29_clips():
    table = table_two().set_index("method")
    gain = table.correct["CMTF with memory"] - table.correct["CMTF without memory"]
    assert gain == 29
    assert table.origin.str.startswith("published: ").all()


def test_table_three_is_whole_under_104_and_not_under_100(settings_of):
    runs = ablate(settings_of(seeds=2))
    table = table_three(runs["full"])
    of_104, of_100 = (table[(table.interviews == n) & (table.origin != "")] for n in (104, 100))
    paper = of_104[of_104.who.str.startswith("ISPCAST")].iloc[0]
    assert (paper.correct, paper["over majority class"]) == ("66", "+3")
    assert not of_104.correct.str.startswith("~").any()
    published = of_100[of_100.origin.str.startswith("published")]
    assert published.correct.str.startswith("~").all()
    ours = table.iloc[-1]
    assert ours.origin == "ours: test of synthetic"
    assert runs_folder().exists() and ours.who == "2 seeds"


def test_gesture_ablations_appear_in_table_two(synthetic):
    data = load_gesture_data(open_data(str(synthetic)))
    for stream in ("joint", "bone"):
        given = {"data": str(synthetic), "frames": 8, "epochs": 1, "name": f"tiny-{stream}"}
        train_baseline(BaselineSettings.from_arguments({**given, "stream": stream}), data)
    small = "frames:8 epochs:1 joint_run:tiny-joint bone_run:tiny-bone"
    given = {"task": "gesture", "data": str(synthetic), "given": small, "seeds": 1, "seed": 5}
    runs = ablate(AblationSettings.from_arguments(given))
    assert list(runs) == ["full", "late", "no-memory"]
    assert compare(runs).clusters.nunique() == 1
    origin = table_two(runs).origin
    assert origin.str.startswith("ours: ").tolist() == [False, True] * 3


def test_baselines_are_compared_on_the_clips_that_each_fold_holds_out(synthetic, monkeypatch):
    given = "epochs:1 frames:4 batch_size:128 keep:last"
    words = {"task": "baseline", "data": str(synthetic), "given": given, "seeds": 1, "folds": 2}
    settings = AblationSettings.from_arguments(words | {"variants": "rotation"})
    runs = ablate(settings)
    assert [run.settings()["settings"]["fold"] for run in runs["rotation"]] == [0, 1]
    assert {run.settings()["settings"]["rotation"] for run in runs["rotation"]} == {0.3}
    held_out = pd.concat(run.predictions().query("split == 'validation'") for run in runs["full"])
    table = compare(runs)
    assert table.seeds.eq(1).all() and table.n.eq(held_out.clip_id.nunique()).all()
    assert table.clusters.eq(held_out.subject.nunique()).all()
    assert table.score[0] == pytest.approx((held_out.predicted == held_out.label).mean())
    monkeypatch.setattr(ablations, "train_quietly", None)  # nothing is trained again
    assert ablate(settings) == runs
    with pytest.raises(SettingsError, match="final: folds hold out no clip of test"):
        AblationSettings.from_arguments(words | {"variants": "rotation", "final": True})


def test_recognisers_are_compared_by_pooled_f1_of_the_same_videos(synthetic, capsys):
    given = "epochs:3 width:16 depth:3 lr:1e-2 keep:last"
    words = {"task": "recognition", "data": str(synthetic), "given": given, "seeds": 1}
    runs = ablate(AblationSettings.from_arguments(words | {"variants": "no-dropout"}))
    table, printed = compare(runs), capsys.readouterr().out
    for row in table.itertuples():
        scores = runs[row.variant][0].scores().query("split == 'validation'")
        model = scores[scores.predictor == "model"].iloc[0]
        assert row.score == pytest.approx(model.f1_50) and row.score > 0
        assert (row.clusters, row.unit) == (model.clusters, model.unit)
        assert f"{row.variant}, seed 0: {row.score:.3f} on validation" in printed
    assert set(table.metric) == {"F1 at IoU 0.5, one-to-one"}
    assert "F1 at IoU 0.5" in gains(table, runs).layout.xaxis.title.text


def test_cells_read_well():
    assert str(Cell("late", 3, 1)) == "late, seed 3, fold 1"
    assert str(Cell("late", 3)) == "late, seed 3"


def test_the_data_of_a_cell_are_those_of_its_region(monkeypatch):
    asked = []
    monkeypatch.setattr(data, "load_baseline_data", asked.append)
    load_once.cache_clear()
    load_cached("baseline", BaselineSettings(model="slowonly", region="person"))
    load_once.cache_clear()
    assert [settings.region for settings in asked] == ["person"]

"""Ablations: every cell once, finished ones never again, failures named, tables labelled."""

import shutil

import numpy as np
import pytest

from imigue_lab.errors import RunError, SettingsError
from imigue_lab.results.published_tables import table_three, table_two
from imigue_lab.studies import ablations
from imigue_lab.studies.ablations import (
    VARIANTS,
    Cell,
    ablate,
    ablation_table,
    enqueue,
    finished_cells,
    plan_grid,
    study_name,
)
from imigue_lab.studies.settings import AblationSettings, read_given
from imigue_lab.studies.trials import open_study, tickets
from imigue_lab.training.baselines.settings import BaselineSettings
from imigue_lab.training.baselines.train import train_baseline
from imigue_lab.training.gesture_clips import load_gesture_data
from imigue_lab.training.runs import runs_folder
from imigue_lab.views.studies import gains

TINY = "epochs:1 width:8 heads:2 lr:1e-3"


@pytest.fixture
def asked(synthetic):
    def settings(**changes):
        small = {"data": str(synthetic), "given": TINY, "variants": "late,bce"}
        return AblationSettings.from_arguments(small | changes)

    return settings


def test_finished_cells_are_never_trained_again_and_the_grid_may_grow(asked, monkeypatch):
    runs = ablate(asked(seeds=2))
    assert list(runs) == ["full", "late", "bce"]
    assert [len(own) for own in runs.values()] == [2, 2, 2]
    folders = {run.folder for own in runs.values() for run in own}
    assert len(folders) == 6
    kept = {f: (f / "scores.json").stat().st_mtime_ns for f in folders}

    trained = []
    train = ablations.train
    monkeypatch.setattr(ablations, "train", lambda *a: trained.append(a) or train(*a))
    assert ablate(asked(seeds=2)) == runs and not trained
    more = ablate(asked(seeds=3, variants="late,bce,concat"))
    assert len(trained) == 3 + 3
    assert more["late"][:2] == runs["late"]
    assert {f: (f / "scores.json").stat().st_mtime_ns for f in folders} == kept


def test_a_cell_whose_run_folder_is_gone_is_trained_again(asked):
    runs = ablate(asked(seeds=1, seed=30))
    shutil.rmtree(runs["late"][0].folder)
    again = ablate(asked(seeds=1, seed=30))
    assert again == runs and again["late"][0].finished


def test_runs_that_another_host_keeps_to_itself_are_said(asked):
    settings = asked(seeds=1, seed=30)
    runs = ablate(settings)
    for own in runs.values():
        shutil.rmtree(own[0].folder)
    study = open_study(study_name(settings))
    with pytest.raises(RunError, match=r"3 of 3 cells are not .*: give all hosts one IMIGUE_LAB"):
        finished_cells(study, plan_grid(settings))


def test_a_cell_is_enqueued_once_whoever_asks(asked):
    settings = asked(seeds=2, seed=40)
    study = open_study(study_name(settings))
    grid = plan_grid(settings)
    before = len(tickets(study, "WAITING"))
    for _ in range(3):
        enqueue(study, grid)
    assert len(tickets(study, "WAITING")) - before == 6
    ablate(settings)


def test_a_failed_cell_is_named_with_its_reason_and_tried_again(asked, monkeypatch):
    settings = asked(seeds=1, seed=50)
    train = ablations.train

    def fail(task, one, data):
        if one.loss == "bce":
            raise RunError("the training loss is nan")
        return train(task, one, data)

    monkeypatch.setattr(ablations, "train", fail)
    with pytest.raises(RunError, match=r"1 of 3 cells are not .*: bce, seed 50; the .*nan"):
        ablate(settings)
    monkeypatch.setattr(ablations, "train", train)
    assert ablate(settings)["bce"][0].finished


def test_the_table_and_the_figure_hold_every_variant_against_the_full_model(asked):
    runs = ablate(asked(seeds=2))
    table = ablation_table(runs)
    assert table.variant.tolist() == ["full", "late", "bce"]
    assert table.seeds.eq(2).all()
    assert (table.p_holm.dropna() >= table.p.dropna()).all()
    n = len(runs["full"][0].predictions().query("split == 'test'"))
    assert table.n.eq(n).all()
    figure = gains(table, runs)
    np.testing.assert_allclose(figure.data[0].x, 100 * table.difference[1:])
    assert "are synthetic" in figure.layout.title.text


def test_all_variants_of_both_tracks_are_settings_that_can_be_taken():
    for task, variants in VARIANTS.items():
        given = {"task": task, "variants": "all", "seeds": 1, "given": ""}
        grid = plan_grid(AblationSettings.from_arguments(given))
        assert [cell.variant for cell in grid] == ["full", *variants]
        assert len({str(s.result_settings()) for s in grid.values()}) == len(grid)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"variants": "latte"}, "variants: no 'latte' of emotion; there are: late, concat"),
        ({"given": "epochs"}, "given: 'epochs' is not name:value"),
        ({"given": "epoch=3"}, "epoch: no such parameter; did you mean epochs?"),
        ({"storage": "here"}, "storage: string should match pattern"),
    ],
)
def test_what_cannot_be_taken_is_said_before_anything_is_trained(given, complaint):
    with pytest.raises(SettingsError) as caught:
        plan_grid(AblationSettings.from_arguments(given))
    assert str(caught.value).startswith(complaint)


def test_given_settings_are_numbers_where_they_are_and_text_else():
    text = "epochs:3 lr=1e-4 labels:'C:/my labels.csv' criteria:semantic,spatial memory:false"
    assert read_given(text) == {
        "epochs": 3,
        "lr": 1e-4,
        "labels": "C:/my labels.csv",
        "criteria": "semantic,spatial",
        "memory": "false",
    }


def test_a_storage_that_cannot_be_reached_is_said(tmp_path):
    with pytest.raises(RunError, match=r"storage: sqlite:.* cannot be opened"):
        open_study("x", f"sqlite:///{tmp_path}/absent/folder/x.db")


def test_table_two_says_that_the_memory_gain_is_29_clips():
    table = table_two().set_index("method")
    gain = table.right["CMTF with memory"] - table.right["CMTF without memory"]
    assert gain == 29
    assert table.whose.str.startswith("published: ").all()


def test_table_three_is_whole_under_104_and_not_under_100(asked):
    runs = ablate(asked(seeds=2))
    table = table_three(runs["full"])
    of_104, of_100 = (table[(table.interviews == n) & (table.whose != "")] for n in (104, 100))
    paper = of_104[of_104.who.str.startswith("ISPCAST")].iloc[0]
    assert (paper.right, paper["over constant"]) == ("66", "+3")
    assert not of_104.right.str.startswith("~").any()
    published = of_100[of_100.whose.str.startswith("published")]
    assert published.right.str.startswith("~").all()
    ours = table.iloc[-1]
    assert ours.whose == "ours: test of synthetic"
    assert runs_folder().exists() and ours.who == "2 seeds"


def test_gestures_are_ablated_alike_and_stand_in_table_two(synthetic):
    data = load_gesture_data(str(synthetic))
    for stream in ("joint", "bone"):
        given = {"data": str(synthetic), "frames": 8, "epochs": 1, "name": f"tiny-{stream}"}
        train_baseline(BaselineSettings.from_arguments({**given, "stream": stream}), data)
    small = "frames:8 epochs:1 joint_run:tiny-joint bone_run:tiny-bone"
    given = {"task": "gesture", "data": str(synthetic), "given": small, "seeds": 1, "seed": 5}
    runs = ablate(AblationSettings.from_arguments(given))
    assert list(runs) == ["full", "late", "no-memory"]
    assert ablation_table(runs).clusters.nunique() == 1
    whose = table_two(runs).whose
    assert whose.str.startswith("ours: ").tolist() == [False, True] * 3


def test_cells_read_well():
    assert str(Cell("late", 3)) == "late, seed 3"

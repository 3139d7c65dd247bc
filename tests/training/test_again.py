"""The command on a run's card asks for exactly the settings of the run."""

import shlex

import pytest

from imigue_lab.app import build_parser, given_settings
from imigue_lab.results.again import TASKS, command_of, settings_of, what_was_said
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import PLACES


def kept(folder, task, given):
    """A run folder as training leaves it, and its settings."""
    settings = TASKS[task].from_arguments(given)
    run = Run(folder)
    run.write_json(
        "settings.json", {"task": task, "settings": settings.result_settings(), "data": {}}
    )
    where = {name: value for name, value in settings.model_dump().items() if name in PLACES}
    run.write_json("provenance.json", {"where": where, "remarks": []})
    return run, settings


@pytest.mark.parametrize(
    ("task", "given"),
    [
        ("emotion", {}),
        ("emotion", {"gamma": 1.0, "gate": "convex", "data": "/some where/iMiGUE", "name": "0001"}),
        ("emotion", {"preset": "paper", "lr": 1e-4, "fold": 3}),
        ("gesture", {"fusion": "late"}),
        ("gesture", {"preset": "paper", "criteria": "semantic,spatial", "finetune": True}),
        ("gesture", {"rgb_run": "pictures", "finetune_rgb": True}),
        ("baseline", {"model": "tsm"}),
        ("baseline", {"model": "ctr-gcn", "stream": "bone", "preset": "paper"}),
        ("baseline", {"model": "dg-stgcn", "preset": "paper", "epochs": 3, "patience": 2}),
    ],
)
def test_the_command_asks_for_the_settings_of_the_run(tmp_path, task, given):
    run, settings = kept(tmp_path / "run", task, given)
    assert settings_of(run) == settings
    program, *words = shlex.split(command_of(run))
    assert program == "imigue-lab"
    assert given_settings(TASKS[task], build_parser().parse_args(words)) == settings


def test_only_what_no_preset_says_has_to_be_said(tmp_path):
    _, settings = kept(tmp_path, "baseline", {"model": "ctr-gcn", "preset": "paper", "seed": 4})
    assert what_was_said(settings) == {"model": "ctr-gcn", "preset": "paper", "seed": 4}
    _, settings = kept(tmp_path, "emotion", {"gamma": 0.5})
    assert what_was_said(settings) == {}


def test_a_fusion_is_made_again_from_its_runs(tmp_path):
    run, _ = kept(tmp_path, "fusion", {"runs": "one,two", "weights": "2:1", "name": "both"})
    asked = build_parser().parse_args(shlex.split(command_of(run))[1:])
    assert (asked.runs, asked.weights, asked.name) == (["one", "two"], "2:1", "both")

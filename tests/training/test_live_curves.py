"""Live curves: what TensorBoard or wandb is given is metrics.csv, and no result depends on it.

Recorders stand in for both packages, which are optional.
"""

import sys
import types

import pytest

from imigue_lab.app import main
from imigue_lab.errors import SettingsError
from imigue_lab.training.emotion.train import train_emotion
from imigue_lab.training.session import LOGGER, live_curves


class Recorder:
    """A SummaryWriter, and a run of wandb, that keep what they are given."""

    def __init__(self, **given):
        self.given, self.rows, self.closed, self.stop_at = given, {}, False, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    def add_scalar(self, name, value, step):
        self.log({name: value}, step)

    def log(self, values, step):
        if step == self.stop_at:
            raise KeyboardInterrupt
        self.rows.setdefault(step, {}).update(values)

    def flush(self):
        pass


@pytest.fixture
def opened(monkeypatch):
    """The recorders that were opened, latest last; the first one is interrupted in epoch 1."""
    recorders = []

    def open_recorder(place="", **given):
        recorders.append(Recorder(place=place, **given))
        recorders[-1].stop_at = 1 if len(recorders) == 1 else None
        return recorders[-1]

    board = types.SimpleNamespace(SummaryWriter=open_recorder)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=open_recorder))
    return recorders


@pytest.mark.parametrize("logger", ["tensorboard", "wandb"])
def test_a_killed_run_that_resumes_logs_its_whole_metrics_and_changes_no_result(
    quick, opened, monkeypatch, logger
):
    plain = train_emotion(quick(name=f"curves-plain-{logger}"))
    monkeypatch.setenv(LOGGER, logger)
    settings = quick(name=f"curves-{logger}")
    with pytest.raises(KeyboardInterrupt):
        train_emotion(settings)
    assert list(opened[0].rows) == [0] and opened[0].closed
    run = train_emotion(settings)
    second = opened[1]
    assert second.closed and list(second.rows) == [0, 1, 2]
    assert list(second.rows.values()) == run.metrics().to_dict("records")
    for name in ("metrics.csv", "settings.json", "predictions.parquet", "best.safetensors"):
        assert (run.folder / name).read_bytes() == (plain.folder / name).read_bytes()
    if logger == "tensorboard":  # what an earlier writer has left is repeated, not doubled
        assert second.given == {"place": str(run.folder / "tensorboard"), "purge_step": 0}
    else:
        assert second.given["id"] == run.folder.name and second.given["resume"] == "allow"


def test_an_unknown_logger_or_one_that_is_not_installed_is_refused_in_a_sentence(
    trained, monkeypatch, capsys, synthetic
):
    run, _ = trained
    with (
        pytest.raises(SettingsError, match="expected tensorboard or wandb, got 'mlflow'; choose"),
        live_curves(run, "mlflow"),
    ):
        pass
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setenv(LOGGER, "")
    words = ["train", "emotion", "--data", str(synthetic), "--name", "curves-none"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--logger", "wandb"])
    assert end.value.code == 2
    assert "pip install 'imigue_lab[wandb]', or train without it" in capsys.readouterr().err

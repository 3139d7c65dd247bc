"""A run while it is trained: its folder held, its device open, its seed set, its cost counted."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from filelock import FileLock
from lightning_fabric import Fabric, seed_everything

from imigue_lab.errors import RunError
from imigue_lab.training.provenance import cost_of, describe_environment
from imigue_lab.training.ranks import Ranks, open_ranks
from imigue_lab.training.runs import Run
from imigue_lab.training.settings import WHERE, TrainSettings


@dataclass(frozen=True)
class Session:
    """What every training works with.

    Attributes:
        ranks: this process among those that train together.
        began: on the monotonic clock, in seconds.
    """

    run: Run
    settings: TrainSettings
    fabric: Fabric
    ranks: Ranks
    began: float

    def finish(
        self,
        predictions: pd.DataFrame,
        score_table: Callable[[pd.DataFrame, int], pd.DataFrame],
        remarks: list[str],
        **made_of: Any,
    ) -> None:
        """Predictions, provenance, and last the scores, which mark the run as finished.

        Args:
            score_table: of predictions and the seed of its intervals.
            made_of: what else the provenance names.
        """
        if not self.ranks.first:
            return
        seconds = time.monotonic() - self.began
        said = self.settings.model_dump()
        self.run.write_predictions(predictions)
        self.run.write_json(
            "provenance.json",
            describe_environment(self.ranks.count)
            | {"where": {name: value for name, value in said.items() if name in WHERE}}
            | made_of
            | cost_of(self.fabric.device, seconds)
            | {"remarks": remarks},
        )
        self.run.write_scores(score_table(predictions, self.settings.seed))


@contextmanager
def open_session(
    run: Run, settings: TrainSettings, remarks: Iterable[str]
) -> Iterator[Session | None]:
    """Holds the run folder, the first process for all; None where the run is finished already.

    Args:
        remarks: on the data, said where there is something to train.

    Raises:
        RunError: the device asked for is not here, or another process is lost.
    """
    ranks = open_ranks(settings.accumulate)
    with FileLock(run.folder / ".lock") if ranks.first else nullcontext():
        if ranks.agree(run.announce(remarks) if ranks.first else True):
            began = time.monotonic()
            fabric = open_device(settings.device, settings.precision, settings.deterministic)
            seed_everything(settings.seed, verbose=False)
            yield Session(run, settings, fabric, ranks, began)
        else:
            yield None
    ranks.agree(None)  # nobody reads before the first has written


def open_device(device: str, precision: str = "float32", deterministic: bool = False) -> Fabric:
    """One device, under torchrun each process its own; `auto` takes a GPU where there is one.

    Args:
        precision: `float32`, or `bf16` for products in bfloat16 and weights in float32.
        deterministic: algorithms that give the same bits every time, where there is one.

    Raises:
        RunError: the device asked for is not here.
    """
    torch.use_deterministic_algorithms(deterministic)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    local = int(os.environ.get("LOCAL_RANK", 0))
    own = [local] if device in ("auto", "cuda") and torch.cuda.device_count() > local else 1
    kind: Any = {"float32": "32-true", "bf16": "bf16-mixed"}[precision]
    try:
        fabric = Fabric(accelerator=device, devices=own, precision=kind)
        fabric.launch()
    except (RuntimeError, ValueError) as error:
        raise RunError(f"device {device!r} is not here; use auto or cpu") from error
    return fabric

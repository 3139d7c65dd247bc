"""Four workers on one study of 20 cells, two of them killed with -9 in the middle.

python -m benchmarks.study_workers [storage]        about 2 minutes on two cores

Every cell must end as one finished run folder, lost cells with another worker. `storage` is a
database URL, such as postgresql://user:password@host/name; default: SQLite.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import start
from imigue_lab.data.synthetic.story import SyntheticSpec
from imigue_lab.data.synthetic.tree import make_data
from imigue_lab.studies import trials as study
from imigue_lab.studies.ablations import enqueue, plan_grid, runs_by_cell, study_name
from imigue_lab.studies.trials import AblationSettings, open_study, tickets

HEARTBEAT_S, GRACE_S = 2, 8


def shorten_grace() -> None:
    """A worker without a heartbeat for 8 seconds counts as lost."""
    study.HEARTBEAT_S, study.GRACE_S = HEARTBEAT_S, GRACE_S


def share(settings: AblationSettings, workers: int, kills: int, timeout_s: float = 900) -> dict:
    """Runs a grid with several workers and kills some while they run cells.

    Returns:
        cells, finished, folders (of finished runs), trials by state, and retried trials.
    """
    shared = open_study(study_name(settings), settings.storage)
    grid = plan_grid(settings)
    enqueue(shared, grid)
    options = ("data", "task", "given", "variants", "seeds", "seed", "storage")
    arguments = [a for name in options for a in (f"--{name}", str(getattr(settings, name)))]
    running = [start(["ablate", *arguments], shorten_grace) for _ in range(workers)]
    end = time.monotonic() + timeout_s
    while len(tickets(shared, "COMPLETE")) < len(grid) // 4 or (
        len(tickets(shared, "RUNNING")) < workers
    ):
        assert time.monotonic() < end, "the workers did not start in time"
        time.sleep(0.2)
    for worker in running[:kills]:
        worker.kill()
    for worker in running:
        worker.join()
    assert [worker.exitcode == 0 for worker in running[kills:]] == [True] * (workers - kills)
    finished = runs_by_cell(shared)
    states = ("COMPLETE", "FAIL", "PRUNED", "RUNNING", "WAITING")
    retried = [t for t in shared.get_trials(deepcopy=False) if "failed_trial" in t.system_attrs]
    return {
        "cells": len(grid),
        "finished": sum(cell in finished for cell in grid),
        "folders": len({finished[cell].folder for cell in grid if cell in finished}),
        "trials": {state: len(tickets(shared, state)) for state in states},
        "retried": len(retried),
    }


def main(storage: str = "") -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IMIGUE_LAB_HOME"] = folder
        root = Path(folder) / "interviews"
        make_data(root, SyntheticSpec(videos=60, pictures=False))
        settings = AblationSettings(
            data=str(root), given="epochs:8 lr:1e-3", variants="main", seeds=4, storage=storage
        )
        started = time.monotonic()
        found = share(settings, workers=4, kills=2)
        runs = [p.parent.name for p in (Path(folder) / "runs").glob("*/scores.json")]
        print(f"{found}, {time.monotonic() - started:.0f} s, {len(runs)} run folders")
        assert found["cells"] == found["finished"] == found["folders"] == len(runs) == 20
        assert found["retried"] >= 2 and not found["trials"]["RUNNING"]


if __name__ == "__main__":
    main(*sys.argv[1:])

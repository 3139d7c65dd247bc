"""A training that is killed, and the same one that is not: both must give the same numbers."""

import signal
import time

import pandas as pd

from benchmarks.processes import start

COMPARED = ("metrics.csv", "scores.json")


def check_kills(words, folder, kills, epochs):
    """Trains a run named `run` in two workspaces below the folder, in one of them with `kill -9` as
    soon as a run has so many epochs; the numbers agree to the last digit.

    `words` are of the command; `kills` are names of runs with their finished epochs, in order.
    """
    command = [*words.split(), "--name", "run"]
    whole = start(command, IMIGUE_LAB_HOME=str(folder / "whole"))
    for run, finished in kills:
        process = start(command, IMIGUE_LAB_HOME=str(folder / "killed"))
        metrics = folder / "killed" / "runs" / run / "metrics.csv"
        while process.is_alive():
            if metrics.exists() and len(pd.read_csv(metrics)) >= finished:
                process.kill()
                break
            time.sleep(0.002)
        process.join()
        assert process.exitcode == -signal.SIGKILL
    last = start(command, IMIGUE_LAB_HOME=str(folder / "killed"))
    for process in (last, whole):
        process.join()
        assert process.exitcode == 0
    whole_run, killed_run = (folder / name / "runs" / "run" for name in ("whole", "killed"))
    assert len(pd.read_csv(whole_run / "metrics.csv")) == epochs
    for name in COMPARED:
        assert (whole_run / name).read_bytes() == (killed_run / name).read_bytes()
    pd.testing.assert_frame_equal(
        *(pd.read_parquet(run / "predictions.parquet") for run in (whole_run, killed_run)),
        check_exact=True,
    )

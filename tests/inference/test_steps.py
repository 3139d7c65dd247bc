"""Bars of a task in steps: their titles, and that one is visible at a time."""

import sys

from imigue_lab.data.workspace import progress
from imigue_lab.inference.analysis import next_step, steps


def test_bars_within_steps_are_numbered_and_disappear(capsys):
    with steps("gesture run", "faces"):
        next_step()
        assert list(progress(range(3), desc="extract", file=sys.stderr)) == [0, 1, 2]
    within = capsys.readouterr().err.split("\r")
    assert within[1].startswith("2 of 2, faces extract:   0%")
    assert not within[-2].strip() and not within[-1]  # cleared
    assert list(progress(range(3), desc="extract", file=sys.stderr)) == [0, 1, 2]
    assert capsys.readouterr().err.split("\r")[-1].startswith("extract: 100%")

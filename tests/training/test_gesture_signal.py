"""CMTF classifies synthetic gestures more accurately than either modality alone.

One seed; `make soak` repeats it over eight. Which joint goes with which patch takes thousands of
clips to learn: `tests/models/test_correspondence.py` tests it on a small scene, `make soak` on
these clips.
"""

import json
import subprocess
import sys

CODE = """
import json, os
os.fsync = lambda file: None  # as in conftest.py
from benchmarks.gesture_table import score, trained
rows = "cmtf", "rgb only", "pose only"
runs = trained(0, rows, 200, epochs=5, patience=5, warmup=4, ramp=2)
print(json.dumps({row: score(run)["accuracy"] for row, run in runs.items()}))
"""


def test_both_modalities_together_are_more_accurate_than_each_alone():
    # a process of its own: checks of shapes, which other tests make, would take half the time
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    accuracy = json.loads(done.stdout.splitlines()[-1])
    assert accuracy["cmtf"] > accuracy["rgb only"] + 0.06
    assert accuracy["cmtf"] > accuracy["pose only"] + 0.2
    assert accuracy["pose only"] > 0.15  # the largest class has less than a tenth of the clips

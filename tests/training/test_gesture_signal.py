"""CMTF classifies synthetic gestures more accurately than either modality alone.

One seed; `make soak` repeats it over eight. Which joint goes with which patch takes thousands of
clips to learn: `tests/models/test_correspondence.py` tests it on a small scene, `make soak` on
these clips.
"""

from benchmarks.gesture_table import score, trained


def test_both_modalities_together_are_more_accurate_than_each_alone():
    runs = trained(
        0, ("cmtf", "rgb only", "pose only"), 240, epochs=6, patience=6, warmup=5, ramp=2
    )
    accuracy = {row: score(run)["accuracy"] for row, run in runs.items()}
    assert accuracy["cmtf"] > accuracy["rgb only"] + 0.06
    assert accuracy["cmtf"] > accuracy["pose only"] + 0.2
    assert accuracy["pose only"] > 0.15  # the largest class has less than a tenth of the clips

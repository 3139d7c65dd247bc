"""Synthetic gestures show in both modalities: CMTF says more of them than either modality alone.

What neither tells alone, which joint goes with which patch, takes thousands of clips to learn here:
`tests/models/test_correspondence.py` holds it on a small scene, `make soak` on these clips.
"""

import pytest

from benchmarks.gesture_table import score, trained


@pytest.mark.parametrize("seed", [0, 1])
def test_both_modalities_together_are_more_accurate_than_each_alone(seed):
    runs = trained(
        seed, ("cmtf", "rgb only", "pose only"), 240, epochs=6, patience=6, warmup=5, ramp=2
    )
    right = {row: score(run)["accuracy"] for row, run in runs.items()}
    assert right["cmtf"] > right["rgb only"] + 0.06
    assert right["cmtf"] > right["pose only"] + 0.2
    assert right["pose only"] > 0.15  # the largest class has less than a tenth of the clips

"""Four made-up interviews with their pictures."""

import pytest


@pytest.fixture(scope="session")
def filmed(tmp_path_factory):
    from imigue_lab.data.synthetic.story import MadeUp
    from imigue_lab.data.synthetic.tree import make_data

    return make_data(tmp_path_factory.mktemp("filmed") / "interviews", MadeUp(videos=4))


@pytest.fixture(scope="session")
def looked(made_up):
    """A gesture run named `looked`, opened, over 32 interviews without pictures."""
    from imigue_lab.training.baseline import train_baseline
    from imigue_lab.training.finished import open_gesture_run
    from imigue_lab.training.gesture import train_gesture
    from imigue_lab.training.gesture_data import load_gesture_data
    from imigue_lab.training.gesture_settings import GestureSettings
    from imigue_lab.training.settings import BaselineSettings
    from imigue_lab.training.view_settings import AttentionSettings

    data = load_gesture_data(str(made_up))
    for stream in ("joint", "bone"):
        given = {"data": str(made_up), "frames": 8, "epochs": 1, "name": f"looked-{stream}"}
        train_baseline(BaselineSettings.from_given({**given, "stream": stream}), data)
    given = {"data": str(made_up), "frames": 8, "epochs": 16, "warmup": 4, "ramp": 2, "lr": 4e-3}
    given |= {"width": 24, "heads": 6, "batch_size": 16, "bank": 6, "top_k": 2, "name": "looked"}
    runs = {"joint_run": "looked-joint", "bone_run": "looked-bone"}
    train_gesture(GestureSettings.from_given({**given, **runs}))
    return open_gesture_run("looked", AttentionSettings())

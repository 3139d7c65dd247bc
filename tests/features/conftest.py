"""Fixtures of the face tests: CenterFace opened once, and a frame with a synthetic face."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def centerface():
    from imigue_lab.features.detectors import open_detector

    return open_detector("centerface")


@pytest.fixture(scope="session")
def interview():
    """A frame of a synthetic interview, 384 x 288, and the position of its nose."""
    from imigue_lab.data.synthetic.recording import record
    from imigue_lab.data.synthetic.story import SyntheticSpec, plan

    spec = SyntheticSpec(videos=4)
    recording = record(plan(spec)[0], spec)
    frame = int(np.flatnonzero(recording.scene.face_seen)[20])
    return recording.picture(frame), recording.keypoints[frame, 0, :2]


@pytest.fixture(scope="session")
def networks():
    """Opens a network of `imigue-lab weights`; skips where they or their runtime are absent."""
    from imigue_lab.errors import LabError
    from imigue_lab.features.shipped import Network

    try:
        Network("pose_detector")
        Network("expression")
    except LabError as error:
        pytest.skip(f"no fetched weights: {error}")
    return Network

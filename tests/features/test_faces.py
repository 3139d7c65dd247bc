"""Face detectors by name, and the errors when one cannot be opened."""

import numpy as np
import pytest

from imigue_lab.errors import DataError
from imigue_lab.features.detectors import FaceDetector, open_detector


def test_centerface_includes_its_weights_and_has_points(centerface):
    assert isinstance(centerface, FaceDetector)
    assert centerface.has_points


def test_yolo_face_without_weights_names_the_file_its_source_and_its_licence():
    with pytest.raises(DataError) as stop:
        open_detector("yolo-face")
    message = str(stop.value)
    for part in ("yolov11n-face.onnx", "v0.0.0", "GPL-3.0", "AGPL-3.0", "detector_weights"):
        assert part in message
    assert "\n" not in message


def test_weights_for_centerface_are_refused():
    with pytest.raises(DataError, match="leave detector_weights empty"):
        open_detector("centerface", "some.onnx")


def test_a_read_only_frame_is_accepted(centerface):
    frame = np.zeros((700, 800, 3), np.uint8)
    frame.flags.writeable = False
    assert not len(centerface(frame).scores)

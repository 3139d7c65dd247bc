"""YOLO-face in both output forms, by networks whose answers are known: bright squares are faces."""

import numpy as np
import onnx
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from onnx import TensorProto, helper, numpy_helper

from imigue_lab.errors import DataError
from imigue_lab.features.detectors import YoloFace, letterbox, overlapping, suppressed

CELL = 8  # pixels; the networks here judge cells of this size


def network(path, form, side=64, declared=None):
    """A face is a cell of 8 x 8 pixels of the letterboxed picture, its score 2 (mean red - 1/2).

    Args:
        form: `many` (1, 5, n) or `final` (1, n, 6).
        declared: what the file says of the input's sides; `side` where not given.
    """
    cells = side // CELL
    y, x = np.divmod(np.arange(cells**2), cells)
    low, high = np.stack([x, y], 1) * CELL, np.stack([x + 1, y + 1], 1) * CELL
    if form == "many":
        boxes = np.concatenate([(low + high) / 2, high - low], 1).T[None]
        axis, shape, rest = 1, (1, 1, -1), []
    else:
        boxes, axis, shape = np.concatenate([low, high], 1)[None], 2, (1, -1, 1)
        rest = ["class"]
    constants = {
        "boxes": boxes.astype(np.float32),
        "class": np.zeros((1, cells**2, 1), np.float32),
        "half": np.array(0.5, np.float32),
        "two": np.array(2, np.float32),
        "shape": np.array(shape, np.int64),
        "first": np.array([0], np.int64),
        "one": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Slice", ["images", "first", "one", "one"], ["red"]),
        helper.make_node("AveragePool", ["red"], ["m"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Sub", ["m", "half"], ["centred"]),
        helper.make_node("Mul", ["centred", "two"], ["score"]),
        helper.make_node("Reshape", ["score", "shape"], ["row"]),
        helper.make_node("Concat", ["boxes", "row", *rest], ["output0"], axis=axis),
    ]
    return save(path, nodes, constants, [1, 3, *(declared or (side, side))])


def save(path, nodes, constants, shape, outputs=("output0",)):
    here = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
    found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "faces", [images], found, here)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.fixture(params=["many", "final"])
def detector(request, tmp_path):
    return YoloFace(network(tmp_path / "tiny.onnx", request.param), threads=1)


def test_a_bright_square_is_detected_at_its_position(detector):
    frame = np.zeros((64, 128, 3), np.uint8)  # halved, with 16 rows of grey above and below
    frame[16:32, 48:64] = 255
    faces = detector(frame)
    assert_allclose(faces.boxes, [(48, 16, 64, 32)], atol=1e-4)
    assert_allclose(faces.scores, [1.0], atol=1e-5)
    assert faces.points is None and not detector.has_points


def test_a_portrait_frame_is_padded_left_and_right(detector):
    frame = np.zeros((256, 128, 3), np.uint8)
    frame[32:64, 96:128] = 255
    assert_allclose(detector(frame).boxes, [(96, 32, 128, 64)], atol=1e-4)


def test_faces_are_sorted_by_score_and_grey_has_none(detector):
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:8, :8], frame[40:48, 8:16], frame[56:, 56:] = 200, 250, 150
    faces = detector(frame)
    assert_allclose(faces.boxes, [(8, 40, 16, 48), (0, 0, 8, 8)])
    assert_allclose(faces.scores, [2 * (v / 255 - 0.5) for v in (250, 200)], atol=1e-5)
    assert not len(detector(np.zeros((32, 64, 3), np.uint8)).scores)


def test_a_frame_of_one_pixel_is_accepted(detector):
    assert not len(detector(np.zeros((1, 1, 3), np.uint8)).scores)


def test_the_picture_is_centred_on_grey_as_in_the_exporter():
    seen, ratio, corner = letterbox(np.full((50, 100, 3), 255, np.uint8), (64, 64))
    assert (ratio, corner) == (0.64, (0, 16))
    inner = (seen == 1).all(axis=(0, 1))
    assert_array_equal(np.flatnonzero(inner.any(axis=1)), np.arange(16, 48))
    assert_allclose(seen[0, :, 15], 114 / 255)
    seen, _, corner = letterbox(np.zeros((64, 61, 3), np.uint8), (64, 64))
    assert corner == (1, 0)  # of an odd pad the larger half is on the right
    assert_array_equal(np.flatnonzero(seen[0, 0, 0]), [0, 62, 63])


def test_overlapping_boxes_of_the_first_form_are_suppressed():
    found = np.array(
        [
            # cx, cy, width, height, score; the second lies 0.9 over the first, the third 0.6
            (50, 50, 20, 20, 0.8),
            (51, 50, 20, 20, 0.9),
            (55, 50, 20, 20, 0.7),
            (20, 20, 10, 10, 0.24),
        ],
        np.float32,
    ).T
    boxes, scores = overlapping(found)
    assert_allclose(scores, [0.9, 0.7])
    assert_allclose(boxes, [(41, 40, 61, 60), (45, 40, 65, 60)])


def test_boxes_of_the_second_form_are_kept():
    found = np.array([(1, 2, 3, 4, 0.3, 0), (1, 2, 3, 4, 0.9, 0), (0, 0, 0, 0, 0, 0)], np.float32)
    boxes, scores = suppressed(found)
    assert_allclose(scores, [0.9, 0.3])
    assert_allclose(boxes, [(1, 2, 3, 4)] * 2)


def test_a_file_without_a_fixed_size_gets_640_pixels(tmp_path):
    path = network(tmp_path / "free.onnx", "many", side=640, declared=("height", "width"))
    detector = YoloFace(path, threads=1)
    assert detector.size == (640, 640)
    frame = np.zeros((320, 320, 3), np.uint8)
    frame[100:104, 200:204] = 255
    assert_allclose(detector(frame).boxes, [(200, 100, 204, 104)], atol=1e-3)


def test_the_recipe_depends_on_the_weights(tmp_path):
    one = YoloFace(network(tmp_path / "a.onnx", "many"), 1).recipe
    other = YoloFace(network(tmp_path / "b.onnx", "final"), 1).recipe
    assert one != other
    for part in ("yolo-face", "0.25", "0.7", "64 x 64"):
        assert part in one


def other_network(path, kind):
    same = helper.make_node("Identity", ["images"], ["output0"])
    if kind == "another output":
        return save(path, [same], {}, [1, 3, 64, 64])
    if kind == "two outputs":
        also = helper.make_node("Identity", ["images"], ["output1"])
        return save(path, [same, also], {}, [1, 3, 64, 64], ("output0", "output1"))
    if kind == "another input":
        return save(path, [same], {}, [1, 3])
    if kind == "four channels":
        return save(path, [same], {}, [1, 4, 64, 64])
    path.write_bytes(b"<html>404</html>")
    return path


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("another output", r"shape \(1, 3, 64, 64\)"),
        ("two outputs", "2 outputs"),
        ("another input", r"shapes \[\[1, 3\]\]"),
        ("four channels", r"shapes \[\[1, 4, 64, 64\]\]"),
        ("a web page", "INVALID_PROTOBUF"),
    ],
)
def test_another_network_is_refused(tmp_path, capfd, kind, why):
    path = other_network(tmp_path / "wrong.onnx", kind)
    with pytest.raises(DataError, match=rf"wrong.onnx: not a network of yolo-face \(.*{why}"):
        YoloFace(path, threads=1)
    assert capfd.readouterr().err == ""


def test_the_error_about_a_missing_file_names_its_source(tmp_path):
    with pytest.raises(DataError, match=r"no such weights; download yolov11n-face.onnx .* v0.0.0"):
        YoloFace(tmp_path / "absent.onnx", threads=1)

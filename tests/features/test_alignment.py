"""A face is cut out by its points or its box: against a slow plain warp, by hand, and at edges."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.features.alignment import (
    ARCFACE,
    aligned,
    crop_rule,
    face_crop,
    similarity,
    square,
)
from imigue_lab.features.detectors import Faces


def placed(scale, angle, x, y):
    """Five points of a face that is `scale` times ArcFace's, turned, its centre at (x, y)."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((ARCFACE + 0.5 - 56) @ turn.T + (x, y)).astype(np.float32)


def smooth(height, width, coarse=1):
    """A frame without sharp edges, so that a twentieth of a pixel does not show."""
    y, x = np.mgrid[:height, :width] / coarse
    waves = [np.sin(x / 9 + y / 14), np.cos(x / 11 - y / 7), np.sin(x * y / 3000)]
    return (127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)


def umeyama(here, there):
    """The published solution (Umeyama 1991), by a singular value decomposition: a 2 x 3 matrix."""
    p, q = here - here.mean(0), there - there.mean(0)
    u, d, v = np.linalg.svd(q.T @ p / len(p))
    sign = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(v))])
    turn = u @ np.diag(sign) @ v
    scale = (d * sign).sum() / p.var(axis=0).sum()
    return np.column_stack([scale * turn, there.mean(0) - scale * turn @ here.mean(0)])


def slow_warp(frame, points, side):
    """Each pixel of the crop by itself: where it lies in the frame, and its four neighbours."""
    matrix = umeyama(points.astype(float), (ARCFACE + 0.5) * side / 112)
    back = np.linalg.inv(matrix[:, :2])
    height, width = frame.shape[:2]
    crop = np.zeros((side, side, 3))
    for row in range(side):
        for column in range(side):
            x, y = back @ ((column + 0.5, row + 0.5) - matrix[:, 2]) - 0.5
            for i, j in np.ndindex(2, 2):
                u, v = int(np.floor(x)) + i, int(np.floor(y)) + j
                if 0 <= u < width and 0 <= v < height:
                    crop[row, column] += (1 - abs(x - u)) * (1 - abs(y - v)) * frame[v, u]
    return crop


@pytest.mark.parametrize("seed", range(3))
def test_the_similarity_is_umeyamas(seed):
    rng = np.random.default_rng(seed)
    points = placed(2.5, 0.4, 300, 200) + rng.normal(0, 6, (5, 2))
    scale, shift = similarity(points, ARCFACE)
    by_svd = umeyama(points, ARCFACE)
    ours = [[scale.real, -scale.imag, shift.real], [scale.imag, scale.real, shift.imag]]
    assert_allclose(ours, by_svd, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("side", [112, 56])
@pytest.mark.parametrize(
    ("scale", "angle", "x", "y"),
    [(1.0, 0.0, 80, 90), (0.6, 0.5, 70.3, 99.8), (0.9, -2.0, 100.5, 80.5), (0.9, 0.1, 8, 150)],
)
def test_aligned_is_the_plain_warp_also_where_the_face_leaves_the_frame(side, scale, angle, x, y):
    if side == 56:
        scale /= 2  # or the frame would be averaged first
    frame, points = smooth(160, 200), placed(scale, angle, x, y)
    assert np.abs(aligned(frame, points, side) - slow_warp(frame, points, side)).max() <= 1.5


def test_points_are_mapped_to_arcfaces():
    frame, points = np.zeros((400, 500, 3), np.uint8), placed(1.5, 0.3, 250, 200)
    for x, y in points:
        frame[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] = 255
    for side in (112, 56):
        crop = aligned(frame, points, side).astype(float).mean(axis=2)
        for x, y in (ARCFACE + 0.5) * side / 112:
            reach = 5 * side // 112
            part = crop[int(y) - reach : int(y) + reach + 1, int(x) - reach : int(x) + reach + 1]
            rows, columns = np.indices(part.shape) + 0.5
            assert abs((part * rows).sum() / part.sum() + int(y) - reach - y) < 0.7
            assert abs((part * columns).sum() / part.sum() + int(x) - reach - x) < 0.7


@pytest.mark.parametrize("scale", [1.6, 2.0, 3.7, 6.0])
def test_a_large_face_does_not_alias(scale):
    """Lines a pixel wide are grey from afar; picked out one by one they would be black or white."""
    frame = np.zeros((800, 800, 3), np.uint8)
    frame[::2] = 255
    crop = aligned(frame, placed(scale, 0.02, 400, 400))[5:-5, 5:-5]
    assert np.abs(crop.astype(float) - 127.5).max() < 45
    assert np.abs(square(frame, np.array((100, 100, 700, 700), np.float32)) - 127.5).max() < 45


def test_a_large_face_is_at_the_position_of_the_plain_warp():
    frame, points = smooth(800, 800, coarse=6), placed(4.3, 0.5, 400, 380)
    assert np.abs(aligned(frame, points) - slow_warp(frame, points, 112)).max() < 3


def test_without_points_a_face_is_a_square_about_its_box():
    frame = np.zeros((200, 200, 3), np.uint8)
    frame[70:130, 80:120] = 200  # 40 x 60: the square has 72 pixels, from (64, 64) on
    crop = square(frame, np.array((80, 70, 120, 130), np.float32), side=72)
    expected = np.zeros((72, 72, 3), np.uint8)
    expected[6:66, 16:56] = 200
    assert_array_equal(crop, expected)


def test_a_square_may_extend_beyond_the_frame_and_is_black_there():
    frame = np.full((100, 100, 3), 255, np.uint8)
    crop = square(frame, np.array((0, 0, 50, 50), np.float32), side=60)  # from -5 to 55
    assert not crop[:5].any() and not crop[:, :5].any()
    assert (crop[5:, 5:] == 255).all()


def test_a_square_of_half_pixels_is_centred_on_its_box():
    frame = smooth(120, 120)
    box = np.array((30.5, 40.25, 61.5, 71.25), np.float32)
    mirrored = np.array((120 - 61.5, 40.25, 120 - 30.5, 71.25), np.float32)
    one, other = square(frame, box), square(np.ascontiguousarray(frame[:, ::-1]), mirrored)
    assert np.abs(one.astype(int) - other[:, ::-1]).max() <= 1


def test_a_crop_entirely_outside_is_black():
    frame = np.full((10, 10, 3), 255, np.uint8)
    for box in ((-30, -30, -20, -20), (20, 5, 30, 15)):
        assert not square(frame, np.array(box, np.float32)).any()


def test_a_face_with_points_is_aligned_and_one_without_is_a_square():
    frame, points = smooth(160, 200), placed(0.9, 0.6, 100, 80)
    box = np.array([[60, 30, 140, 130]], np.float32)
    score = np.ones(1, np.float32)
    with_points = face_crop(frame, Faces(box, score, points[None]), 0, side=56)
    assert_array_equal(with_points, aligned(frame, points, 56))
    assert_array_equal(face_crop(frame, Faces(box, score), 0), square(frame, box[0]))


def test_the_rule_differs_by_method_and_side():
    rules = [crop_rule(points, side) for points in (True, False) for side in (112, 56)]
    assert len(set(rules)) == 4
    assert rules[2] == "square 1.2 x longer side, 112 px"


def test_with_a_margin_a_face_is_a_square_with_level_eyes():
    frame = np.zeros((90, 120, 3), np.uint8)
    frame[28:32, 58:62] = 255  # the right eye
    frame[48:52, 58:62, 0] = 255  # the left eye: the head is lying
    points = np.float32([(60, 30), (60, 50), (50, 40), (44, 34), (44, 46)])
    faces = Faces(np.float32([[30, 20, 70, 60]]), np.float32([1]), points[None])
    crop = face_crop(frame, faces, 0, side=40, margin=2.0).astype(int)
    white, red = (crop[..., 2] > 100), (crop[..., 0] > 100) & (crop[..., 2] < 50)
    rows, columns = zip(*(np.argwhere(eye).mean(axis=0) for eye in (white, red)), strict=True)
    assert_allclose(rows, 14.5, atol=0.6)
    assert_allclose(columns, [14.5, 24.5], atol=0.6)
    assert crop_rule(True, 64, 1.3) == "square 1.3 x longer side, level, 64 px"

"""MediaPipe's geometry by hand, and one person followed: found, lost, and the hands checked."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from imigue_lab.features.landmarks import (
    BODY,
    LAYOUT,
    Networks,
    Person,
    Region,
    anchors,
    palm_region,
    refine,
    upright,
)

FACE = np.array([80.0, 40.0, 120.0, 80.0])


def test_every_body_joint_has_its_point_of_the_pose():
    assert len(set(BODY.values())) == len(BODY) == 23
    assert set(BODY) == set(LAYOUT.joints[:23])
    chosen = {"left_elbow": 13, "right_wrist": 16, "left_hip": 23, "right_big_toe": 32}
    assert chosen.items() <= BODY.items()


def test_anchors_are_the_centres_of_cells_row_by_row():
    grid = anchors(224, (8, 16, 32, 32, 32))
    assert len(grid) == 2254
    assert_allclose(grid[:3], [(0.5 + 0.5j) / 28, (0.5 + 0.5j) / 28, (1.5 + 0.5j) / 28])
    assert_allclose(grid[[-1, -6]], (6.5 + 6.5j) / 7)
    assert len(anchors(128, (8, 16, 16, 16))) == 896


def test_a_crop_shows_the_turned_square_and_places_its_points_back():
    picture = np.zeros((60, 80, 3), np.uint8)
    picture[20:24, 50:54] = 255
    region = Region(50 + 30j, 40, 1j)  # its x axis is down, its y axis to the left
    seen = region.crop(Image.fromarray(picture), 40)[0, ..., 0]
    rows, columns = np.nonzero(seen > 0.5)
    centre = region.place(np.array([columns.mean() + 0.5 + 1j * (rows.mean() + 0.5)]), 40)
    assert_allclose(centre, [52 + 22j], atol=0.6)
    assert region.crop(Image.fromarray(picture), 8).shape == (1, 8, 8, 3)


def test_a_region_is_turned_so_that_its_second_point_is_above_its_centre():
    region = upright(10 + 10j, 14 + 10j, 1.25)
    assert (region.centre, region.side) == (10 + 10j, 10)
    assert_allclose(region.place(np.array([5 + 1j]), 10), [14 + 10j])
    moved = upright(10 + 10j, 14 + 10j, 2.7, -0.1)
    assert_allclose(moved.centre, 10.8 + 10j)


def test_the_region_of_a_palm_is_twice_its_box_from_wrist_to_knuckles():
    points = np.zeros(21, complex)
    points[[5, 9, 13, 17]] = [-10 - 40j, -40j, 10 - 40j, 20 - 38j]
    region = palm_region(points)
    assert_allclose([region.side, abs(region.turn - 1)], [80, 0])
    assert_allclose(region.centre, 5 - 24j)


def test_a_point_moves_to_the_mass_of_its_heat_map_where_that_is_sure():
    heat = np.full((64, 64, 39), -20, np.float32)
    heat[20, 31, 0] = heat[20, 32, 0] = 5
    heat[20, 31, 1] = -1
    points = np.full(39, 120 + 80j)
    points[2] = -90 - 90j
    moved = refine(points, heat)
    assert_allclose(moved[:3], [126 + 80j, 120 + 80j, -90 - 90j])


def pose(points, visible=9.0):
    """The five outputs of the pose network for 39 points of the crop."""
    rows = np.zeros((39, 5), np.float32)
    rows[:, 0], rows[:, 1], rows[:, 3:] = points.real, points.imag, visible
    return [
        rows[None].reshape(1, 195),
        np.float32([[1]]),
        None,
        np.full((1, 64, 64, 39), -9, np.float32),
        0,
    ]


class Fake(Networks):
    """Always finds one pose, and a hand about the centre of its crop."""

    def __init__(self):
        self.points = np.full(39, 128 + 128j)
        self.points[0] = 128 + 60j
        self.points[[11, 12]] = [168 + 110j, 88 + 110j]
        self.points[[15, 17, 19]] = [180 + 200j, 176 + 224j, 184 + 224j]
        self.points[[16, 18, 20]] = [76 + 250j, 72 + 262j, 80 + 262j]
        self.points[33:35] = [128 + 128j, 128 + 26j]
        hand = np.zeros((21, 3), np.float32)
        hand[:, 0], hand[:, 1] = 112, np.linspace(180, 60, 21)
        self.detected = 0
        self.pose = lambda crop: pose(self.points)
        self.hand = lambda crop: [hand.reshape(1, 63), np.float32([[0.9]]), 0, 0]

    def detect(self, picture, face):
        self.detected += 1
        return Region(100 + 100j, 200)


@pytest.fixture
def fake():
    return Fake()


def test_a_person_is_detected_once_and_then_followed_without_a_face(fake):
    person, picture = Person(fake), Image.new("RGB", (220, 200))
    assert person.see(picture, None) is None
    seen = person.see(picture, FACE)
    assert seen.shape == (65, 3) and fake.detected == 1
    nose = LAYOUT.joints.index("nose")
    assert_allclose(seen[nose, :2], [100, 100 - 68 * 200 / 256], atol=1e-3)
    assert person.see(picture, None) is not None and person.see(picture, FACE) is not None
    assert fake.detected == 1
    person.age = 30
    person.see(picture, FACE)
    assert fake.detected == 2


def test_joints_out_of_the_picture_or_unsure_are_missing(fake):
    seen = Person(fake).see(Image.new("RGB", (220, 190)), FACE)
    wrists = [LAYOUT.joints.index(f"{side}_wrist") for side in ("left", "right")]
    assert (seen[wrists, 2] > 0).tolist() == [True, False]
    assert not seen[wrists[1]].any()
    fake.pose = lambda crop: pose(fake.points, visible=-1.0)
    assert not Person(fake).see(Image.new("RGB", (220, 190)), FACE)[:23].any()


def test_a_hand_whose_wrist_is_far_from_the_pose_is_dropped(fake):
    person, picture = Person(fake), Image.new("RGB", (220, 220))
    person.see(picture, FACE)
    assert set(person.hands) == {"left", "right"}
    person.hands["left"] = Region(10 + 10j, 20)
    seen = person.see(picture, FACE)
    assert (seen[23:44, 2] > 0).all()  # found again where the pose has it
    fake.hand = lambda crop: [np.zeros((1, 63), np.float32), np.float32([[0.2]]), 0, 0]
    assert not person.see(picture, FACE)[23:].any() and not person.hands


def test_a_body_that_is_not_below_the_face_is_not_taken(fake):
    person, picture = Person(fake), Image.new("RGB", (220, 220))
    assert person.see(picture, FACE) is not None
    assert person.see(picture, FACE + 150) is None
    assert person.region is None


def test_the_person_with_the_face_is_detected_among_two():
    networks = Networks.__new__(Networks)
    values = np.zeros((1, 2254, 12), np.float32)
    scores = np.full((1, 2254, 1), -9, np.float32)
    for cell, score in ((1400, 3), (1401, 4), (160, 5)):
        scores[0, cell] = score
        values[0, cell] = [0, 0, 30, 30, 0, 60, 0, 10, 0, 0, 0, 0]
    networks.detector = lambda crop: [values, scores]
    place = networks.anchors[1400]
    face = np.array([place.real, place.imag, place.real, place.imag]) * 224 + [-9, -9, 9, 9]
    found = networks.detect(Image.new("RGB", (224, 224)), face)
    assert_allclose([found.centre, found.side], [place * 224 + 60j, 125], rtol=1e-6)
    assert networks.detect(Image.new("RGB", (224, 224)), face + 60) is None

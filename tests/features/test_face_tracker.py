"""Whose face is chosen: short scripts of visible faces, by hand, and real recordings."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.videos.video import Video
from imigue_lab.features.detectors import Faces
from imigue_lab.features.tracking import RULE, FaceTracker, prominence

HEIGHT, WIDTH = 90, 160
NOISE = np.random.default_rng(0).integers(0, 255, (4, HEIGHT, WIDTH, 3), dtype=np.uint8)
STUDIO, AUDIENCE = NOISE[:2]  # what two cameras see

GUEST = (60, 20, 100, 60)  # near the middle
HOST = (10, 20, 50, 60)  # as large, further left


def faces(*boxes):
    found = np.array(boxes, np.float32).reshape(-1, 4)
    return Faces(found, np.linspace(0.9, 0.5, len(found)).astype(np.float32))


def track(*story):
    """A choice over (frames, camera, boxes) one after another, and the candidates of each frame.

    These scripts are short: a person visible in three frames may be the interviewee.
    """
    tracker, candidates = FaceTracker(), []
    for frames, camera, boxes in story:
        for _ in range(frames):
            candidates.append(tracker.add(len(candidates), camera, faces(*boxes)))
    return tracker.choose(len(candidates), least=3), candidates


def test_prominence_combines_size_and_distance_to_the_centre():
    centred, corner = (70, 35, 90, 55), (140, 70, 160, 90)  # 20 x 20 of 160 x 90 pixels
    by_hand = np.sqrt(400 / 14400) / np.array([1, 1 + (70 / 80) ** 2 + (35 / 45) ** 2])
    assert_allclose(prominence(faces(centred, corner).boxes, (HEIGHT, WIDTH)), by_hand, rtol=1e-6)
    filling = faces((0, 0, WIDTH, HEIGHT)).boxes
    assert_allclose(prominence(filling, (HEIGHT, WIDTH)), [1], rtol=1e-6)


def test_one_face_is_the_interviewee():
    choice, candidates = track((32, STUDIO, [GUEST]))
    assert candidates == [[(0, 0)]] * 32
    assert choice.tracks == [[0], [0]]
    assert_array_equal(choice.face_share, [1, 1])
    assert_allclose(choice.boxes, [(*GUEST, 0.9)] * 32, rtol=1e-6)
    assert choice[3:] == (32, 32, 0, 1)


def test_without_any_face_all_windows_are_empty():
    choice, _ = track((40, STUDIO, []))
    assert choice.tracks == [[], [], []]
    assert_array_equal(choice.face_share, [0, 0, 0])
    assert choice.boxes.shape == (40, 5) and np.isnan(choice.boxes).all()
    assert choice[3:] == (0, 0, 0, 0)


def test_a_video_too_short_for_a_window_has_none():
    choice, _ = track((7, STUDIO, [GUEST]))
    assert choice.tracks == [] and choice.face_share.shape == (0,)
    assert np.isnan(choice.boxes).all()


def test_at_most_three_faces_of_similar_prominence_are_candidates():
    small = (110, 30, 122, 42)
    assert track((1, STUDIO, [small, GUEST]))[1] == [[(0, 1)]]
    four = [(5 + 38 * k, 30, 35 + 38 * k, 60) for k in range(4)]
    _, ((first, second, third, *more),) = track((1, STUDIO, four))
    assert {first[1], second[1]} == {1, 2} and third[1] in (0, 3) and not more


def test_the_person_visible_longer_is_chosen_in_windows_with_both():
    guest_first = track((40, STUDIO, [GUEST]), (40, STUDIO, [GUEST, HOST]))[0]
    assert guest_first.tracks == [[0]] * 5
    host_first = track((40, STUDIO, [HOST]), (16, STUDIO, [HOST, GUEST]))[0]
    assert host_first.tracks == [[0]] * 4  # 2.5 + 1 windows of the host outweigh one of the guest
    assert_allclose(host_first.boxes[-1, :4], HOST)


def test_of_two_equal_faces_the_left_one_is_chosen():
    left, right = (40, 20, 70, 50), (90, 20, 120, 50)
    for boxes in ([left, right], [right, left]):
        choice, _ = track((32, STUDIO, boxes))
        assert choice.tracks == [[0], [0]]
        assert_allclose(choice.boxes[:, :4], [left] * 32)


def test_a_face_missing_for_five_frames_keeps_its_track_and_lowers_the_share():
    choice, _ = track((6, STUDIO, [GUEST]), (5, STUDIO, []), (21, STUDIO, [GUEST]))
    assert choice.tracks == [[0], [0]]
    assert_array_equal(choice.face_share, [11 / 16, 1])
    assert np.isnan(choice.boxes[6:11]).all() and not np.isnan(choice.boxes[[5, 11]]).any()


def test_a_face_missing_for_twenty_frames_is_the_same_person_in_the_same_place():
    """Both tracks of the guest are taken though the host's one track outweighs either."""
    absent = (20, STUDIO, [HOST])
    choice, _ = track((28, STUDIO, [HOST, GUEST]), absent, (32, STUDIO, [HOST, GUEST]))
    assert choice.seen_tracks == 3
    assert choice.tracks[0] == [0] and choice.tracks[4] == [2]
    assert_allclose(choice.boxes[[0, 79], :4], [GUEST, GUEST])
    assert choice.tracks[1] == [0]  # twelve frames of the guest, sixteen of the host
    assert choice.face_share[1] == 0.75


def test_two_tracks_of_one_person_are_joined_in_a_window():
    choice, _ = track((18, STUDIO, [GUEST]), (10, STUDIO, []), (20, STUDIO, [GUEST]))
    assert choice.tracks == [[0], [0, 1], [1]]
    assert_array_equal(choice.face_share, [1, 6 / 16, 1])


def test_overlapping_faces_in_one_frame_are_two_persons():
    """Their boxes overlap by 0.6; summed as one person a frame would count twice."""
    behind = (70, 20, 110, 60)
    choice, _ = track((32, STUDIO, [GUEST, behind]))
    assert choice.tracks == [[0], [0]] or choice.tracks == [[1], [1]]
    assert_array_equal(choice.face_share, [1, 1])


def test_a_cut_to_the_audience_and_back_leaves_its_windows_empty():
    rows = [(10 + 30 * k, 30, 34 + 30 * k, 54) for k in range(5)]
    choice, _ = track((32, STUDIO, [GUEST]), (32, AUDIENCE, rows), (32, STUDIO, [GUEST]))
    assert [bool(tracks) for tracks in choice.tracks] == [True, True, False, False, True, True]
    assert_array_equal(choice.face_share, [1, 1, 0, 0, 1, 1])
    assert (choice.with_face, choice.chosen, choice.audience) == (96, 64, 32)
    assert np.isnan(choice.boxes[32:64]).all()


def test_an_audience_member_in_the_interviewees_place_is_not_the_interviewee():
    """Other views have other places: the second of the audience overlaps the guest by 0.36."""
    rows = [(68, 28, 92, 52), *((10 + 30 * k, 60, 34 + 30 * k, 84) for k in range(4))]
    choice, _ = track((32, STUDIO, [GUEST]), (16, AUDIENCE, rows), (16, STUDIO, [GUEST]))
    assert choice.tracks[:3] == [[0], [0], []]
    assert len(choice.tracks[3]) == 1


def test_a_cut_within_a_window_keeps_the_interviewees_part_of_it():
    rows = [(10 + 30 * k, 30, 34 + 30 * k, 54) for k in range(5)]
    choice, _ = track((24, STUDIO, [GUEST]), (24, AUDIENCE, rows))
    assert choice.tracks == [[0], [0], []]
    assert_array_equal(choice.face_share, [1, 0.5, 0])
    assert choice.audience == 16


def test_a_cut_ends_the_track_of_a_face_in_the_same_place():
    _, candidates = track((4, STUDIO, [GUEST]), (4, AUDIENCE, [GUEST]))
    assert [c[0][0] for c in candidates] == [0] * 4 + [1] * 4


@pytest.mark.parametrize(("side", "taken"), [(18, True), (15, False)])
def test_a_single_face_in_another_shot_is_chosen_unless_it_is_small(side, taken):
    """The guest's side is 40 pixels, of which 16 are four tenths."""
    elsewhere = (120, 10, 120 + side, 10 + side)
    choice, _ = track((64, STUDIO, [GUEST]), (16, AUDIENCE, [elsewhere]))
    assert bool(choice.tracks[4]) == taken
    assert choice.audience == (0 if taken else 16)


def test_one_of_three_faces_in_another_shot_is_the_audience():
    alone, pair = (100, 30, 130, 60), (30, 30, 60, 60)
    for boxes, taken in (([alone], True), ([alone, pair, (65, 30, 95, 60)], False)):
        choice, _ = track((64, STUDIO, [(10, 20, 50, 60)]), (16, AUDIENCE, boxes))
        assert bool(choice.tracks[4]) == taken


def test_zooming_out_keeps_the_interviewee():
    """From 40 pixels to 14, which elsewhere would be someone in the audience."""
    zoom = [(1, STUDIO, [(80 - r, 40 - r, 80 + r, 40 + r)]) for r in range(20, 6, -1)]
    choice, _ = track((64, STUDIO, [GUEST]), *zoom, (18, STUDIO, [(73, 33, 87, 47)]))
    assert choice.tracks == [[0]] * 6
    assert choice.audience == 0


def test_a_face_in_two_frames_is_ignored():
    choice, _ = track((16, STUDIO, []), (2, STUDIO, [GUEST]), (14, STUDIO, []))
    assert choice.tracks == [[], []]
    assert (choice.with_face, choice.chosen, choice.audience) == (2, 0, 2)
    assert track((16, STUDIO, []), (3, STUDIO, [GUEST]), (13, STUDIO, []))[0].tracks[1] == [0]


def test_a_repeated_last_frame_counts_as_often_as_it_is_repeated():
    for frames in range(3, 50):
        always = track((frames, STUDIO, [GUEST]))[0]
        assert_array_equal(always.face_share, np.ones((frames + 8) // 16))
    seen_last = track((22, STUDIO, []), (4, STUDIO, [GUEST]))[0]
    assert_array_equal(seen_last.face_share, [0, 10 / 16])
    seen_first = track((20, STUDIO, [GUEST]), (6, STUDIO, []))[0]
    assert_array_equal(seen_first.face_share, [1, 4 / 16])


def test_the_choice_is_deterministic():
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 60, (64, 3, 2)).astype(np.float32)
    story = [(1, STUDIO, np.concatenate([c, c + 30], 1)) for c in corners]
    one, other = track(*story)[0], track(*story)[0]
    assert one.tracks == other.tracks and one[3:] == other[3:]
    assert_array_equal(one.boxes, other.boxes)
    assert one.face_share.max() <= 1


def test_the_rule_contains_all_its_numbers():
    for number in ("0.4", "0.3", "gap 8", "0.7 of 3", "alone 0.5", "48 frames"):
        assert number in RULE


def choose(centerface, path, frames, window):
    """A choice over some frames of a recording, and their numbers."""
    tracker = FaceTracker()
    with Video(path) as video:
        for place, number in enumerate(frames):
            frame = video.frame(number)
            tracker.add(place, frame, centerface(frame))
    return tracker.choose(len(frames), window), np.array(frames)


def test_a_passer_by_is_not_the_interviewee():
    """Three windows of an interview, or a third of a short one, are the least."""
    for before, seen, taken in ((200, 48, True), (200, 47, False), (64, 32, True), (64, 30, False)):
        tracker = FaceTracker()
        for number in range(before + seen):
            boxes = [GUEST] if number >= before else []
            tracker.add(number, STUDIO, faces(*boxes))
        choice = tracker.choose(before + seen)
        assert any(choice.tracks) == taken
        assert choice.with_face == seen


@pytest.mark.shared
def test_the_speaker_is_tracked_and_nobody_else(centerface, shared):
    """Views: the stage (to 19), a pianist and behind him the audience (to 81), the speaker close
    by (to 210), the audience. The pianist is alone in the picture for 28 frames."""
    path = shared / "data" / "video" / "speaker_on_stage.mp4"
    choice, number = choose(centerface, path, range(30, 240), window=16)
    centre = (choice.boxes[:, 0] + choice.boxes[:, 2]) / 2
    close = centre[(number >= 82) & (number < 211)]
    assert np.abs(close - 250).max() < 80  # found in every frame
    assert np.isnan(centre[(number < 82) | (number >= 211)]).all()
    assert choice.audience >= 60


@pytest.mark.shared
def test_passers_by_are_found_and_not_taken(centerface, shared):
    """A man walks past in frames 30 to 44, a cyclist waits in 105 to 136; elsewhere are street,
    cars and legs: no interviewee, so all windows are without a face."""
    path = shared / "data" / "video" / "bikes.mp4"
    choice, _ = choose(centerface, path, range(250), window=16)
    assert 40 < choice.with_face < 70
    assert choice.chosen == 0
    assert not any(choice.tracks)
    assert not choice.face_share.any()

"""Synthetic RGB tokens: the planned signal of a clip is in the tokens at its joints."""

import json

import numpy as np
import pytest

from imigue_lab.data.keypoint_files.clips import read_clip
from imigue_lab.data.skeletons.geometry import crop_places
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.store import find_store
from imigue_lab.data.synthetic.features import DIM, HUES, TIMES, write_clip_features
from imigue_lab.data.synthetic.story import MOVERS, PLACE_PAIR, VERSION, SyntheticSpec, plan


@pytest.fixture(scope="module")
def gestures(index):
    """Each clip's gesture, and the strength of each hue in each of its tokens."""
    store = find_store("", index, "synthetic-rgb")
    directions = np.random.default_rng([VERSION, DIM]).normal(size=(DIM, HUES + 5))
    directions = np.linalg.qr(directions)[0][:, :HUES]
    ids = index.clips.set_index(["video_id", "start"]).clip_id
    return {
        ids[video.video_id, gesture.start]: (
            gesture,
            store.read(ids[video.video_id, gesture.start])["rgb"].astype(float) @ directions,
        )
        for video in plan(SyntheticSpec(videos=32, pictures=False))
        for gesture in video.gestures
    }


def test_every_clip_has_tokens_and_the_size_of_its_picture(gestures, index):
    assert set(gestures) == set(index.clips.clip_id)
    item = find_store("", index, "synthetic-rgb").read(index.clips.clip_id[0])
    assert item["rgb"].shape == (TIMES, 4, 4, DIM) and item["rgb"].dtype == np.float16
    assert item["picture"].tolist() == [384, 288]


def test_the_mark_shows_its_hue_in_its_quarter_and_in_one_place(gestures):
    for gesture, hues in gestures.values():
        strongest = np.unravel_index(hues.argmax(), hues.shape)
        assert strongest[3] == gesture.hue
        assert strongest[0] // 2 == gesture.mark_moment
        marked = hues[..., gesture.hue] > 4
        assert marked.sum() == 2  # a quarter is two of eight times


def test_the_mark_of_the_place_pair_is_at_the_trembling_joint_in_one_class_only(gestures, index):
    joints = LAYOUTS["light_hand35"].joints
    shares = {label: [] for label in PLACE_PAIR}
    for clip_id, (gesture, hues) in gestures.items():
        if gesture.label not in PLACE_PAIR:
            continue
        time, row, column, _ = np.unravel_index(hues.argmax(), hues.shape)
        skeleton = read_clip(index, clip_id).skeleton[0]
        frame = int((time + 0.5) * len(skeleton) / TIMES)
        pixels = skeleton[frame, joints.index(MOVERS[gesture.joint]), :2]
        distance = crop_places(pixels, 384, 288) - (np.array([column, row]) + 0.5) / 4
        shares[gesture.label].append(np.abs(distance).max() < 0.125 + 0.05)
    assert len(shares[PLACE_PAIR[0]]) > 5 and np.mean(shares[PLACE_PAIR[0]]) > 0.9
    assert np.mean(shares[PLACE_PAIR[1]]) < 0.4


def test_tokens_are_written_once(index):
    item = find_store("", index, "synthetic-rgb").path(index.clips.clip_id[0])
    before = item.stat().st_mtime_ns
    arguments = json.loads((index.root / "synthetic.json").read_text())
    spec = SyntheticSpec(**{name: arguments[name] for name in vars(SyntheticSpec())})
    write_clip_features(index, spec)
    assert item.stat().st_mtime_ns == before
    item.unlink()
    write_clip_features(index, spec)
    assert item.exists()

"""Streams: bones and motion by hand, what is missing, and the numbers of published code."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from imigue_lab.data.skeletons.graphs import bone, bone_motion, motion, parents, streams
from imigue_lab.data.skeletons.keypoints import LAYOUTS

BODY, NTU = LAYOUTS["imigue22"], LAYOUTS["ntu25"]
NAMES = {"j": "joint", "b": "bone", "jm": "joint_motion", "bm": "bone_motion"}


def place(joint, layout=BODY):
    return layout.joints.index(joint)


@pytest.fixture
def clip():
    """Two frames: the right wrist moves by (3, 1); the left wrist is missing."""
    skeleton = np.zeros((1, 2, 22, 3), np.float32)
    skeleton[0, :, place("right_elbow")] = (10, 20, 0.5)
    skeleton[0, 0, place("right_wrist")] = (14, 22, 1.0)
    skeleton[0, 1, place("right_wrist")] = (17, 23, 0.5)
    skeleton[0, :, place("left_elbow")] = (50, 60, 0.9)
    return skeleton


def test_a_bone_leads_from_elbow_to_wrist_with_the_mean_of_both_scores(clip):
    wrist = bone(clip, BODY)[0, :, place("right_wrist")]
    assert_array_equal(wrist, np.float32([(4, 2, 0.75), (7, 3, 0.5)]))


def test_motion_is_one_frame_long_and_ends_at_rest(clip):
    wrist = motion(clip)[0, :, place("right_wrist")]
    assert_array_equal(wrist, np.float32([(3, 1, 0.75), (0, 0, 0)]))
    assert_array_equal(bone_motion(clip, BODY)[0, 0, place("right_wrist")], (3, 1, 0.625))


@pytest.mark.parametrize("joint", ["left_wrist", "left_elbow"])
def test_a_bone_with_a_missing_end_is_missing(clip, joint):
    for made in (bone(clip, BODY), bone_motion(clip, BODY)):
        assert not made[0, :, place(joint)].any()


def test_the_published_reading_keeps_bones_with_a_missing_end(clip):
    wrist = bone(clip, BODY, drop_missing=False)[0, 0, place("left_wrist")]
    assert_allclose(wrist, (-50, -60, 0.45))


def test_a_joint_that_disappears_has_no_motion(clip):
    clip[0, 1, place("right_wrist")] = 0
    for made in (motion(clip), bone_motion(clip, BODY)):
        assert not made[0, :, place("right_wrist")].any()


def test_a_root_has_no_bone_and_in_space_all_zeros_are_missing():
    skeleton = np.random.default_rng(0).normal(size=(1, 3, 25, 3)).astype(np.float32)
    skeleton[0, 1, place("left_wrist", NTU)] = 0
    made = bone(skeleton, NTU)
    assert not made[:, :, place("spine_shoulder", NTU)].any()
    assert not made[0, 1, place("left_hand", NTU)].any()
    assert made[0, 0, place("left_hand", NTU)].all()
    assert not bone_motion(skeleton, NTU)[0, 0, place("left_hand", NTU)].any()


def test_streams_are_concatenated_in_the_order_of_their_names(clip):
    both = streams(clip, BODY, ["joint_motion", "joint"])
    assert both.shape == (1, 2, 22, 6)
    assert_array_equal(both[..., :3], motion(clip))
    assert_array_equal(both[..., 3:], clip)


def test_published_bones_of_coco_join_the_hips_to_the_nose():
    coco = LAYOUTS["coco17"]
    assert parents(coco) == [0, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 0, 0, 11, 12, 13, 14]


@pytest.mark.shared
@pytest.mark.parametrize("dataset", ["nturgb+d", "coco", "openpose", "handmp"])
def test_streams_equal_pyskls(shared, dataset):
    folder = shared / "fixtures" / "skeleton"
    arrays = np.load(folder / "transform_genskefeat.npz")
    cases = json.loads((folder / "transform_genskefeat.json").read_text())["cases"]
    layout = LAYOUTS[
        {"nturgb+d": "ntu25", "coco": "coco17", "openpose": "openpose18", "handmp": "left_hand21"}[
            dataset
        ]
    ]
    cases = [case for case in cases if case["steps"][0][1]["dataset"] == dataset]
    for case in cases:
        skeleton = arrays[case["inputs"]["keypoint"]["npz"]]
        if "keypoint_score" in case["inputs"]:
            score = arrays[case["inputs"]["keypoint_score"]["npz"]]
            skeleton = np.concatenate([skeleton, score[..., None]], axis=-1)
        names = [NAMES[name] for name in case["steps"][0][1]["feats"]]
        if dataset == "handmp":
            bones = bone(skeleton, layout, drop_missing=False)
            made = {"joint": skeleton, "bone": bones}
            made |= {f"{n}_motion": motion(x, 3, drop_missing=False) for n, x in made.items()}
            ours = np.concatenate([made[name] for name in names], axis=-1)
        else:
            ours = streams(skeleton, layout, names, drop_missing=False)
        published = arrays[case["outputs"]["keypoint"]["npz"]]
        assert_allclose(ours, published, rtol=1e-5, atol=1e-6, err_msg=case["name"])
    assert cases


@pytest.mark.shared
def test_streams_equal_the_ctrgcn_feeders(shared):
    arrays = np.load(shared / "fixtures" / "skeleton" / "transform_ctrgcn_feeder.npz")
    for name, make in (
        ("bone", lambda x: bone(x, NTU, drop_missing=False)),
        ("vel", lambda x: motion(x, 3, drop_missing=False)),
    ):
        ours = make(np.ascontiguousarray(arrays[f"{name}/in"].transpose(3, 1, 2, 0)))
        assert_allclose(ours, arrays[f"{name}/out"].transpose(3, 1, 2, 0), rtol=1e-5, atol=1e-6)

"""Heatmaps of clips: cut to the person, drawn where the joints are, mirrored left for right."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from imigue_lab.data.clips import ClipDataset
from imigue_lab.data.skeletons.heatmaps import joint_heatmaps, limbs
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.errors import DataError
from imigue_lab.models.checkpoints.registry import load_published
from imigue_lab.training.baselines.clips import How, Sampled, SkeletonClips
from imigue_lab.training.baselines.heatmaps import HeatmapClips
from imigue_lab.training.baselines.train import average_probability
from tests.models.recordings import made_weights, read_recording

COCO = LAYOUTS["coco17"]
RIGHT, LEFT = COCO.joints.index("right_wrist"), COCO.joints.index("left_wrist")


@pytest.fixture
def clips():
    """One clip: joints on a square of 100 pixels far from the corner, the right wrist top left."""
    points = np.zeros((12, 17, 3), np.float32)
    rng = np.random.default_rng(0)
    points[:, :, :2] = 350 + 50 * rng.uniform(-0.6, 0.6, (17, 2))
    points[:, RIGHT, :2], points[:, LEFT, :2] = (300, 300), (400, 400)
    points[..., 2] = 0.9
    points[:, 3] = 0  # never found
    table = pd.DataFrame({"clip_id": ["a"], "video_id": ["v"], "start": 0, "end": 11, "label": 0})
    whole = ClipDataset(table, {"v": points}.__getitem__, frames=0)

    def build(stroke="joint", augment="none", training=False, draws=1, layout=COCO):
        own = SkeletonClips(whole, layout, [stroke], How(augment, 0, Sampled(4, draws)))
        return HeatmapClips(own, (28, 32), training)

    return build


def maps_of(clips):
    batch = clips.collate(clips.draws(0)[:1])
    (maps,) = clips.enter(batch)
    return batch, maps[0]


def peak(maps, joint):
    flat = maps[joint, 0].flatten().argmax().item()
    return flat % maps.shape[-1], flat // maps.shape[-1]


def test_joints_are_drawn_in_a_box_around_the_person(clips):
    batch, maps = maps_of(clips())
    assert maps.shape == (17, 4, 32, 32)
    assert max(peak(maps, RIGHT)) < 6 and min(peak(maps, LEFT)) > 26
    assert maps[RIGHT].max() == pytest.approx(0.9, abs=0.35)
    assert not maps[3].any()
    assert batch.share.item() == pytest.approx(16 / 17)


def test_limbs_are_strokes_as_many_as_the_layout_has(clips):
    _, maps = maps_of(clips("bone"))
    assert maps.shape == (17, 4, 32, 32)  # of coco17 the published 17
    _, joints = maps_of(clips())
    assert (maps > 0.3).sum() > 2 * (joints > 0.3).sum()


def test_draws_are_as_many_as_asked_for_in_evaluation_and_one_in_training(clips):
    assert len(clips(draws=3).draws(0)) == 3
    training = clips(augment="mirror", draws=0, training=True)
    assert len(training.draws(0)) == 1
    assert len({training.draws(0, n)[0].skeleton.numpy().tobytes() for n in range(6)}) == 6
    assert clips().lengths == [4]


def test_training_takes_random_parts_and_mirrors_names_with_places(clips):
    training = clips(augment="mirror", training=True, draws=0)
    below, seen = [], set()
    for training.epoch in range(30):
        _, maps = maps_of(training)
        assert maps.shape == (17, 4, 28, 28)
        if not all(maps[wrist].max() > 0.2 for wrist in (RIGHT, LEFT)):
            continue  # one was cut off
        right, left = (peak(maps, wrist) for wrist in (RIGHT, LEFT))
        assert right[0] < left[0]  # sides change, and names with them
        below.append(right[1] > left[1])
        seen.add(right)
    assert 3 < sum(below) < len(below) - 3 and len(seen) > 2
    plain = clips(augment="none", training=True, draws=0)
    assert maps_of(plain)[1].shape == (17, 4, 28, 28)


def test_joints_in_space_have_no_heatmap(clips):
    with pytest.raises(DataError, match="ntu25: expected joints in a picture"):
        clips(layout=LAYOUTS["ntu25"])


@pytest.mark.parametrize("stroke", ["joint", "bone"])
def test_mirror_images_exchange_the_maps_of_both_sides(clips, stroke):
    own = clips(stroke=stroke)
    (maps,) = inputs = own.enter(own.collate(own.draws(0)))
    (mirrored,) = own.mirrored(inputs)
    assert not torch.equal(maps, mirrored) and torch.equal(own.mirrored((mirrored,))[0], maps)
    names = COCO.joints if stroke == "joint" else limbs(COCO)
    if stroke == "joint":
        pair = names.index("left_wrist"), names.index("right_wrist")
    else:
        ends = [("left_elbow", "left_wrist"), ("right_elbow", "right_wrist")]
        places = [{COCO.joints.index(name) for name in pair} for pair in ends]
        pair = tuple([set(limb) for limb in names].index(place) for place in places)
    assert torch.equal(mirrored[:, pair[0]], maps[:, pair[1]].flip(-1))


@pytest.mark.shared
@pytest.mark.parametrize("name", ["coco17", "joint36"])
@torch.no_grad()
def test_scores_over_clips_and_mirror_images_equal_the_published_ones(shared, name):
    facts, arrays = read_recording(shared / "fixtures/pretraining", f"posec3d_flip_{name}")
    target, frames = facts["target"], facts["clip_len"]
    left, right = target["left_kp"], target["right_kp"]
    joints = arrays["keypoint"].shape[2]
    other = {**dict(zip(left, right, strict=True)), **dict(zip(right, left, strict=True))}
    layout = SimpleNamespace(mirrored=[other.get(joint, joint) for joint in range(joints)])
    skeleton = torch.cat([arrays["keypoint"], arrays["keypoint_score"][..., None]], dim=-1)
    clips = torch.stack(skeleton.split(frames, dim=1))
    drawn = joint_heatmaps(clips, tuple(facts["img_shape"]), target["sigma"])
    own = SimpleNamespace(layout=layout, names=["joint"])
    (mirrored,) = HeatmapClips.mirrored(own, (drawn,))
    assert_close(torch.cat([drawn, mirrored]), arrays["heatmaps"], **facts["tolerance"]["heatmaps"])
    strides = facts["config"]["backbone"]["temporal_strides"]
    state = made_weights(facts["state_dict"])
    model = load_published(state, "pyskl/posec3d", time_strides=strides)
    both = [(drawn,), (mirrored,)]
    mean = average_probability(model, both).mean(dim=0, keepdim=True)
    assert_close(mean, arrays["avg_prob"], **facts["tolerance"]["float32"])

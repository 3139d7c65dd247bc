"""Joints and bones together: scores that add up, tokens side by side, and where they lie."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.data.skeletons.streams import bone
from imigue_lab.models.checkpoints.registry import load_published
from imigue_lab.models.graph.agcn import TwoStream, build_agcn
from tests.models.skeleton_recordings import recording

SMALL = {"width": 4, "depths": (1, 1, 1)}


@pytest.mark.shared
@torch.no_grad()
def test_both_streams_and_their_sum_equal_the_published_ones(shared):
    streams, logits = [], []
    for stream in ("joint", "bone"):
        recorded = recording(shared, "agcn_orig_twostream_ntu25", f"{stream}.")
        model = load_published(recorded.state, "2s-agcn", keypoints="ntu25")
        skeleton = recorded.tensor(f"input_{stream}").permute(0, 4, 2, 3, 1)
        logits.append(model(skeleton))
        assert_close(
            logits[-1], recorded.tensor(f"logits_{stream}"), **recorded.tolerance("float32")
        )
        sharp = load_published(recorded.state, "2s-agcn", keypoints="ntu25").double()
        assert_close(
            sharp(skeleton.double()),
            recorded.tensor(f"logits_{stream}_f64"),
            **recorded.tolerance("float64"),
        )
        streams.append((model, skeleton))
    (joint, joints), (bones_model, bones) = streams
    both = TwoStream(joint, bones_model)
    assert_close(both(joints, bones), recorded.tensor("fused"), **recorded.tolerance("float32"))
    assert both.tokens(joints, bones).shape == (2, 2, 4, 25, 512)
    made = np.stack([bone(clip, LAYOUTS["ntu25"]) for clip in joints.contiguous().numpy()])
    np.testing.assert_allclose(made, bones.numpy(), atol=1e-6)


def two_networks(**other):
    torch.manual_seed(0)
    alike = {"keypoints": "imigue22", "classes": 5} | SMALL
    return build_agcn(**alike).eval(), build_agcn(**alike | other).eval()


@torch.no_grad()
def test_tokens_of_both_stand_side_by_side_and_scores_add_up():
    joint, bone_network = two_networks()
    both = TwoStream(joint, bone_network)
    joints, bones = torch.rand(2, 2, 1, 10, 22, 3)
    mask = torch.arange(10) < torch.tensor([[10], [6]])
    tokens = both.tokens(joints, bones, mask)
    assert tokens.shape == (2, 1, 3, 22, 32)
    assert_close(tokens[..., :16], joint.tokens(joints, mask))
    assert_close(tokens[..., 16:], bone_network.tokens(bones, mask))
    assert_close(both(joints, bones, mask), joint(joints, mask) + bone_network(bones, mask))


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (
            {"keypoints": "coco17"},
            "keypoints: the joint network has imigue22, the bone .* coco17",
        ),
        ({"classes": 4}, "classes: the joint network has 5, the bone network 4"),
        ({"persons": 2}, "persons: the joint network has 1"),
    ],
)
def test_networks_of_different_things_are_refused_by_name(other, complaint):
    with pytest.raises(ValueError, match=complaint):
        TwoStream(*two_networks(**other))

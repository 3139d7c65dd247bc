"""DSCNet: outputs of the published code, motion excitation, the sum of the streams."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from imigue_lab.models.checkpoints.registry import load_published
from imigue_lab.models.pictures.dscnet import (
    MotionExcitation,
    build_dscnet,
    build_dscnet_rgb,
    build_msstnet,
)
from tests.models.recordings import made_weights, read_recording

SMALL = {"depths": (1, 1, 1, 1), "inner": 8}
NARROW = ((2, 3),) * 7


def recorded(shared, name, **options):
    """The facts, the arrays, and the model with the weights of a recording."""
    facts, arrays = read_recording(shared / "fixtures/video", name)
    state = made_weights(facts["state_dict"])
    for key, first in facts["weight_check"].items():
        assert_close(state[key].flatten()[:4], torch.tensor(first))
    model = load_published({"state_dict": state}, name.replace("_", "/"), **options)
    assert sum(p.numel() for p in model.parameters()) == facts["params"]
    return facts, arrays, model


@pytest.mark.shared
@torch.no_grad()
def test_the_picture_stream_equals_the_published_one(shared):
    facts, arrays, model = recorded(shared, "dscnet_rgb", segments=4)
    near, rng = facts["tolerance"], np.random.default_rng(facts["input_seed"])
    frames = torch.from_numpy(rng.standard_normal((1, 36, 224, 224)).astype(np.float32))
    assert torch.equal(frames.flatten()[:8], arrays["input_first8"])
    seen = {}
    for name in ("motion", "tsm.net"):
        part = model.get_submodule(name)
        part.register_forward_hook(lambda p, a, out, name=name: seen.__setitem__(name, out))
    assert_close(model(frames), arrays["logits"], **near)
    assert_close(seen["motion"][:, :, ::8, ::8], arrays["stmem_slice"], **near)
    assert_close(seen["tsm.net"], arrays["frame_features"], **near)


@pytest.mark.shared
@torch.no_grad()
def test_the_skeleton_stream_equals_the_published_one(shared):
    facts, arrays, model = recorded(shared, "dscnet_msst")
    seen = []
    for block in model.blocks:
        block.register_forward_hook(lambda block, args, out: seen.append(out))
    near = facts["tolerance"]
    assert_close(model(arrays["input"]), arrays["logits"], **near)
    for number in (1, 3, 5, 7):
        assert_close(seen[number - 1][:2], arrays[f"m{number}"], **near)


def test_the_numbers_of_parameters_are_as_published():
    with torch.device("meta"):
        whole = build_dscnet()
    sizes = {
        name: sum(p.numel() for p in part.parameters()) for name, part in whole.streams.items()
    }
    assert sizes == {"rgb": 23_574_092, "joint": 11_079_540, "bone": 11_079_540}
    assert sum(sizes.values()) == 45_733_172


def test_the_gate_has_no_effect_without_motion():
    motion = MotionExcitation(frames=3)
    still = torch.rand(1, 3, 8, 8).repeat(1, 3, 1, 1)
    with torch.no_grad():
        motion.gate.weight.normal_()
        once = motion(still)
        motion.gate.weight.zero_()
        assert_close(once, motion(still))  # no difference between frames
        moving = torch.rand(1, 9, 8, 8)
        before = motion(moving)
        motion.gate.weight.normal_()
        assert not torch.allclose(before, motion(moving))


@torch.no_grad()
def test_absent_persons_count_in_the_mean():
    torch.manual_seed(0)
    model = build_msstnet(5, widths=NARROW).eval()
    one, nobody = torch.randn(2, 1, 3, 8, 22), torch.zeros(2, 1, 3, 8, 22)
    both = model(torch.cat([one, nobody], dim=1))
    assert_close(both, (model(one) + model(nobody)) / 2)


@torch.no_grad()
def test_logits_are_added_with_their_weights():
    torch.manual_seed(0)
    model = build_dscnet(5, segments=2, frames=2, **SMALL, widths=NARROW).eval()
    frames, joint, bone = (
        torch.randn(shape) for shape in ((1, 12, 32, 32), (1, 2, 3, 8, 22), (1, 2, 3, 8, 22))
    )
    rgb, first, second = (
        model.streams[name](given)
        for name, given in (("rgb", frames), ("joint", joint), ("bone", bone))
    )
    assert_close(model(frames, joint, bone), rgb + 0.3 * first + 0.3 * second)


def test_other_numbers_of_frames_or_blocks_are_refused():
    with pytest.raises(ValueError, match="2 segments of 4 frames of 3 channels, got 12 channels"):
        build_dscnet_rgb(5, 2, 4, **SMALL)(torch.zeros(1, 12, 32, 32))
    with pytest.raises(ValueError, match="of 7 blocks; got 2"):
        build_msstnet(5, widths=NARROW[:2])

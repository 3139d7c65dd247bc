"""MViTv2-S alone is torchvision's model with a head of ours."""

import pytest
import torch
from torch.testing import assert_close
from torchvision.models.video import mvit_v2_s

from imigue_lab.models.baselines.mvitv2 import build_mvitv2
from imigue_lab.models.published import load_published


def test_it_is_torchvisions_with_as_many_parameters_as_it_says():
    with torch.device("meta"):
        ours, theirs = build_mvitv2(), mvit_v2_s(num_classes=32)
    assert str(ours) == str(theirs)
    assert sum(p.numel() for p in ours.parameters()) == 34_254_752


@torch.no_grad()
@pytest.mark.parametrize("clip", [(8, 32, 32), (4, 64, 64)])
def test_mmaction2s_names_of_it_load_for_clips_of_any_size(clip):
    model = build_mvitv2(5, "tiny", clip).eval()
    names = {"conv_proj.": "patch_embed.projection.", "norm.": "norm2.", "head.1.": "fc_cls."}
    state = {"data_preprocessor.mean": torch.zeros(3)}
    for key, weight in model.state_dict().items():
        for ours, theirs in names.items():
            key = theirs + key.removeprefix(ours) if key.startswith(ours) else key
        key = key.replace("mlp.0.", "mlp.fc1.").replace("mlp.3.", "mlp.fc2.")
        key = key.replace("project.0.", "proj.").replace(".project.", ".proj.")
        key = key.replace(".pool.weight", ".weight").replace("pool_q.norm_act.0.", "norm_q.")
        key = key.replace("pool_k.norm_act.0.", "norm_k.").replace("pool_v.norm_act.0.", "norm_v.")
        if key == "pos_encoding.class_token":
            key, weight = "cls_token", weight[None, None]
        state[f"cls_head.{key}" if "fc_cls" in key else f"backbone.{key}"] = weight
    loaded = load_published({"state_dict": state}, "slowfast/mvitv2-s", size="tiny")
    frames = torch.randn(2, 3, *clip)
    assert_close(loaded(frames), model(frames))

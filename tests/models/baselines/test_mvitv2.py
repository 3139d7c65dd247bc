"""MViTv2-S alone is torchvision's model with a head of ours."""

import torch
from torchvision.models.video import mvit_v2_s

from imigue_lab.models.pictures.mvit import build_mvitv2


def test_it_is_torchvisions_with_as_many_parameters_as_it_says():
    with torch.device("meta"):
        ours, theirs = build_mvitv2(), mvit_v2_s(num_classes=32)
    assert str(ours) == str(theirs)
    assert sum(p.numel() for p in ours.parameters()) == 34_254_752

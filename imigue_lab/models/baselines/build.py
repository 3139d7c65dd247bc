"""Builds a network of Table 1 by its name, in the published size or a small one."""

from collections.abc import Callable
from typing import Any

from torch import nn

from imigue_lab.models.agcn import build_agcn
from imigue_lab.models.baselines.aagcn import build_aagcn
from imigue_lab.models.baselines.ctrgcn import build_ctrgcn
from imigue_lab.models.baselines.dgstgcn import build_dgstgcn
from imigue_lab.models.baselines.stgcn import build_stgcn, build_stgcnpp

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "2s-agcn": build_agcn,
    "st-gcn": build_stgcn,
    "st-gcn++": build_stgcnpp,
    "strongaug": build_stgcnpp,
    "aagcn": build_aagcn,
    "ctr-gcn": build_ctrgcn,
    "dg-stgcn": build_dgstgcn,
}
TELL_PERSONS_APART = ("2s-agcn", "aagcn", "ctr-gcn")
GRAPH_SIZES = {
    "small": {"width": 16, "depths": [2, 1, 1]},
    "paper": {"width": 64, "depths": [4, 3, 3]},
}
SIZES: dict[str, dict[str, dict[str, Any]]] = dict.fromkeys(BUILDERS, GRAPH_SIZES) | {
    "st-gcn": GRAPH_SIZES | {"paper": GRAPH_SIZES["paper"] | {"dropout": 0.5}}
}


def build_baseline(
    name: str,
    classes: int = 32,
    keypoints: str = "imigue22",
    channels: int = 3,
    persons: int = 1,
    **sizes: Any,
) -> nn.Module:
    """A network of Table 1, untrained; called with (B, M, T, V, C) it gives (B, classes).

    Args:
        name: a row of `TABLE`; StrongAug is ST-GCN++ with another recipe.
        keypoints: name of a layout, which gives the joints and the graph.
        channels, persons: of the skeletons; those that share one norm take any number of persons.
        sizes: what else its builder takes, such as those of `SIZES`; as published by default.

    Raises:
        ValueError: no such name.
    """
    if name not in BUILDERS:
        raise ValueError(f"name must be one of {', '.join(BUILDERS)}; got {name!r}")
    told_apart = persons if name in TELL_PERSONS_APART else 1
    return BUILDERS[name](keypoints, classes, channels=channels, persons=told_apart, **sizes)

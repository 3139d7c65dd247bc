"""Original checkpoints of 2s-AGCN, one network a stream (Shi et al., CVPR 2019).

Their files hold no fixed graph, so the layout must be named. Its edges are `graphs.edges`, with the
tips of `ntu25`'s hands at the end of a chain.
"""

from collections.abc import Mapping

from torch import Tensor

from imigue_lab.models.checkpoints.graph_networks import our_name, read_sizes
from imigue_lab.models.graph.agcn import AGCN, build_agcn

PUBLISHED_TO_OURS = (
    (r"\.graph\.conv_a\.", ".graph.theta."),
    (r"\.graph\.conv_b\.", ".graph.phi."),
    (r"\.graph\.conv_d\.", ".graph.weights."),
    (r"\.time\.conv\.", ".time.0."),
    (r"\.time\.norm\.", ".time.1."),
)


def build(state: Mapping[str, Tensor], keypoints: str, mask_missing: bool = False) -> AGCN:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names.
        keypoints: the layout that it was trained on, which gives the fixed graph.
        mask_missing: False is as published, see `JointNorm`.

    Raises:
        DataError: the layout has another number of joints than the tensors.
        KeyError: a tensor is absent that the sizes are read from.
    """
    graph, entrance = "l1.gcn1.PA", "l1.gcn1.conv_d.0.weight"
    sizes = read_sizes(state, keypoints, graph, entrance, ".gcn1.bn.weight")
    return build_agcn(**(sizes | {"keypoints": keypoints}), mask_missing=mask_missing)


def rename(key: str) -> str | None:
    """Our name of a published key: ``l5.gcn1.PA`` is ``blocks.4.graph.learned``."""
    return our_name(key, PUBLISHED_TO_OURS)

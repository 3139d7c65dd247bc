"""Original checkpoints of AAGCN, one network a stream (Shi et al., TIP 2020)."""

from collections.abc import Mapping

from torch import Tensor

from imigue_lab.models.checkpoints.graph_networks import our_name, read_sizes
from imigue_lab.models.graph.aagcn import build_aagcn
from imigue_lab.models.graph.network import GraphNetwork

PUBLISHED_TO_OURS = (
    (r"\.graph\.conv_a\.", ".graph.theta."),
    (r"\.graph\.conv_b\.", ".graph.phi."),
    (r"\.graph\.conv_d\.", ".graph.weights."),
    (r"\.graph\.conv_sa\.", ".graph.emphasis.joints."),
    (r"\.graph\.conv_ta\.", ".graph.emphasis.frames."),
    (r"\.graph\.fc1c\.", ".graph.emphasis.squeeze."),
    (r"\.graph\.fc2c\.", ".graph.emphasis.restore."),
)


def build(
    state: Mapping[str, Tensor], keypoints: str | None = None, mask_missing: bool = False
) -> GraphNetwork:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names.
        keypoints: the layout that it was trained on, if it is to be known by name.
        mask_missing: False is as published, see `JointNorm`.
    """
    learned, entrance = "l1.gcn1.PA", "l1.gcn1.conv_d.0.weight"
    sizes = read_sizes(state, keypoints, learned, entrance, ".gcn1.bn.weight")
    return build_aagcn(
        **sizes,
        mask_missing=mask_missing,
        emphasis="l1.gcn1.conv_sa.weight" in state,
        original=True,
        graph=state[learned],
    )


def rename(key: str) -> str | None:
    """Our name of a published key."""
    return our_name(key, PUBLISHED_TO_OURS)

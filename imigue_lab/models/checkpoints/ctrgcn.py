"""Original checkpoints of CTR-GCN, one network a stream (Chen et al., ICCV 2021)."""

from collections.abc import Mapping

from torch import Tensor

from imigue_lab.models.checkpoints.graph_networks import BRANCHES, our_name, read_sizes
from imigue_lab.models.graph.ctrgcn import build_ctrgcn
from imigue_lab.models.graph.network import GraphNetwork

PUBLISHED_TO_OURS = (
    (r"\.branches\.3\.0\.", ".branches.3.look."),
    (r"\.branches\.3\.1\.", ".branches.3.norm."),
    (r"\.graph\.convs\.(\d)\.conv1\.", r".graph.refinements.\1.first."),
    (r"\.graph\.convs\.(\d)\.conv2\.", r".graph.refinements.\1.second."),
    (r"\.graph\.convs\.(\d)\.conv3\.", r".graph.refinements.\1.values."),
    (r"\.graph\.convs\.(\d)\.conv4\.", r".graph.refinements.\1.expand."),
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
    learned, entrance = "l1.gcn1.PA", "l1.gcn1.convs.0.conv3.weight"
    sizes = read_sizes(state, keypoints, learned, entrance, ".gcn1.bn.weight")
    return build_ctrgcn(**sizes, mask_missing=mask_missing, original=True, graph=state[learned])


def rename(key: str) -> str | None:
    """Our name of a published key."""
    return our_name(key, PUBLISHED_TO_OURS, BRANCHES)

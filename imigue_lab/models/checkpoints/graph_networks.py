"""Published graph networks: key maps, and builder arguments from the shapes of the weights.

Files come from the authors (2s-AGCN, ST-GCN, AAGCN, CTR-GCN) or from pyskl and mmaction2. The first
use keys such as `l1.gcn1.conv_d.0.weight`, the others `gcn.0.gcn.conv_d.0.weight`; mmaction2's head
is `cls_head.fc`, pyskl's `cls_head.fc_cls`.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from imigue_lab.data.skeletons.graphs import stgcn_spatial
from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout
from imigue_lab.errors import DataError
from imigue_lab.models.checkpoints.pictures import Names, State

DROPPED = r"^A$|^data_preprocessor\."  # A: a copy of the graph, which the builder gets


def inside(part: str, **ours: str) -> Names:
    """Our names of modules inside of a part, by their published names."""
    return tuple((rf"\.{part}\.{name}\.", f".{part}.{to}.") for name, to in ours.items())


NETWORK: Names = (
    (r"^st_gcn_networks\.(\d+)\.tcn\.0\.", r"blocks.\1.graph.norm."),  # ST-GCN's
    (r"^st_gcn_networks\.(\d+)\.tcn\.2\.", r"blocks.\1.time.conv."),
    (r"^st_gcn_networks\.(\d+)\.tcn\.3\.", r"blocks.\1.time.norm."),
    (r"^edge_importance\.(\d+)$", r"blocks.\1.graph.importance"),
    (r"^l(\d+)\.", lambda block: f"blocks.{int(block[1]) - 1}."),
    (r"^(?:gcn|net|st_gcn_networks)\.(\d+)\.", r"blocks.\1."),
    (r"^data_bn\.", "norm."),
    (r"^(?:fc|fcn|cls_head\.fc|cls_head\.fc_cls)\.", "head."),
    (r"^(blocks\.\d+)\.gcn1?\.", r"\1.graph."),
    (r"^(blocks\.\d+)\.tcn1?\.", r"\1.time."),
    *inside("residual", conv="0", bn="1"),
    *inside("graph", bn="norm", down="skip"),
    (r"\.graph\.(?:PA|A)$", ".graph.learned"),
    *inside("graph", conv="weights", conv_a="theta", conv_b="phi", conv_d="weights"),
    *inside("graph", conv_sa="emphasis.joints", conv_ta="emphasis.frames"),
    *inside("graph", fc1c="emphasis.squeeze", fc2c="emphasis.restore"),
    *inside("graph", pre="before", post="after", conv1="first", conv2="second"),
    (r"\.graph\.convs\.(\d)\.conv1\.", r".graph.refinements.\1.first."),
    (r"\.graph\.convs\.(\d)\.conv2\.", r".graph.refinements.\1.second."),
    (r"\.graph\.convs\.(\d)\.conv3\.", r".graph.refinements.\1.values."),
    (r"\.graph\.convs\.(\d)\.conv4\.", r".graph.refinements.\1.expand."),
    *inside("time", bn="norm", transform="join"),
    (r"\.time\.add_coeff$", ".time.gamma"),
    (r"\.branches\.(\d)\.3\.conv\.", r".branches.\1.look."),
    (r"\.branches\.(\d)\.(?:3\.bn|4)\.", r".branches.\1.norm."),
    (r"\.branches\.(\d)\.([01])\.", r".branches.\1.shrink.\2."),
    (r"\.branches\.5\.(weight|bias)$", r".branches.5.look.\1"),
)
AGCN: Names = (*NETWORK, *inside("time", conv="0", norm="1"))
PYSKL_STGCN: Names = (
    (r"^gcn\.(\d+)\.gcn\.A$", r"blocks.\1.graph.fixed"),
    (r"^gcn\.(\d+)\.gcn\.PA$", r"blocks.\1.graph.importance"),
    *NETWORK,
)
CTRGCN: Names = (
    (r"\.branches\.3\.0\.", ".branches.3.look."),
    (r"\.branches\.3\.1\.", ".branches.3.norm."),
    *NETWORK,
)
HEADS = ("cls_head.fc_cls.weight", "cls_head.fc.weight", "fc.weight", "fcn.weight")


class Keys(NamedTuple):
    """Published keys that the sizes are read from."""

    graph: str  # of a tensor with the joints on its last axis
    entrance: str  # of the first convolution
    norms: str  # suffix of the keys of the norms that are as wide as each block


def keys_of(graph: str, entrance: str) -> Keys:
    """Of files whose blocks have a norm `bn` and a convolution `entrance` beside the graph."""
    block = graph.rpartition(".")[0]
    return Keys(graph, f"{block}.{entrance}.weight", f".{block.rpartition('.')[2]}.bn.weight")


Rest = Callable[[State, Keys, Layout], dict[str, Any]]


def read_network(
    state: State,
    keypoints: str | None = None,
    mask_missing: bool = False,
    *,
    keys: Keys,
    rest: Rest,
) -> dict[str, Any]:
    """The arguments of a graph network's builder.

    Args:
        state: by published keys.
        keypoints: the layout that the network was trained on, which gives the joints their names.
            Files without their fixed graph need it.
        mask_missing: False is as published, see `JointNorm`.
        keys: as the family names them.
        rest: the graph, and arguments that only this network has.

    Raises DataError for a layout with another number of joints than the tensors, or if these
    disagree; KeyError for an absent tensor that the sizes are read from.
    """
    joints, channels = state[keys.graph].shape[-1], state[keys.entrance].shape[1]
    blocks = Counter(len(state[key]) for key in state if key.endswith(keys.norms))
    if not blocks:
        raise KeyError(f"*{keys.norms}")
    norm = len(state["data_bn.weight"])
    if norm % (joints * channels):
        raise DataError(
            f"data_bn.weight: {norm} entries are no multiple of {joints} joints x {channels}"
            " channels, the sizes of the other weights; the file mixes two networks"
        )
    head = next((key for key in HEADS if key in state), HEADS[0])
    layout = layout_of_joints(joints, keypoints)
    return {
        "keypoints": layout,
        "classes": len(state[head]),
        "channels": channels,
        "persons": norm // (joints * channels),
        "width": min(blocks),
        "depths": [blocks[width] for width in sorted(blocks)],
        "mask_missing": mask_missing,
    } | rest(state, keys, layout)


def learned_graph(state: State, keys: Keys, layout: Layout) -> dict[str, Any]:
    return {"graph": state[keys.graph]}


def agcn_rest(state: State, keys: Keys, layout: Layout) -> dict[str, Any]:
    """The file lacks the fixed graph: its edges are `graphs.edges` of the layout, with the tips of
    `ntu25`'s hands at the end of a chain."""
    check_named("2s-agcn", layout)
    return {}


def stgcn_rest(state: State, keys: Keys, layout: Layout) -> dict[str, Any]:
    """The fixed graph A may be in the file."""
    if "A" not in state:
        check_named("st-gcn", layout)
    return {"graph": state.get("A")}


def pyskl_rest(state: State, keys: Keys, layout: Layout) -> dict[str, Any]:
    """The first block's fixed graph; those in the file are then loaded like weights."""
    graph = state.get("gcn.0.gcn.A")
    if graph is None:
        check_named("pyskl/stgcn", layout)
        graph = torch.tensor(stgcn_spatial(layout, pyskl=True), dtype=torch.float32)
    return {"graph": graph}


def aagcn_rest(state: State, keys: Keys, layout: Layout) -> dict[str, Any]:
    """mmaction2 calls AAGCN without emphasis 2s-AGCN."""
    return {"graph": state[keys.graph], "emphasis": any(".conv_sa." in key for key in state)}


def dgstgcn_rest(state: State, keys: Keys, layout: Layout) -> dict[str, Any]:
    graph, width = state[keys.graph], len(state["gcn.0.gcn.bn.weight"])
    ratio = len(state[keys.entrance]) / len(graph) / width
    return {"graph": graph, "ratio": ratio, "entries": len(state["gcn.0.tcn.add_coeff"])}


def layout_of_joints(joints: int, keypoints: str | None) -> Layout:
    """The layout of that name; without one, a layout of numbered joints and no bones."""
    if keypoints is None:
        names = tuple(f"joint_{index}" for index in range(joints))
        return Layout(f"a checkpoint of {joints} joints", names, bones=(), mirror=())
    if keypoints not in LAYOUTS or len(LAYOUTS[keypoints].joints) != joints:
        raise DataError(
            f"keypoints: the checkpoint is of {joints} joints, and {keypoints!r} is no layout of as"
            f" many; name the one it was trained on: {fitting(joints) or 'none here fits'}"
        )
    return LAYOUTS[keypoints]


def check_named(family: str, layout: Layout) -> None:
    """Refuses a layout that is not known by name, as it has no bones to make a graph of."""
    joints = len(layout.joints)
    if layout.name not in LAYOUTS:
        raise DataError(
            f"this checkpoint of {family} holds no graph; name the layout of {joints} joints that"
            f" it was trained on, keypoints={fitting(joints) or '... (none here fits)'}"
        )


def fitting(joints: int) -> str:
    """The names of the layouts of that many joints."""
    return " or ".join(name for name, layout in LAYOUTS.items() if len(layout.joints) == joints)

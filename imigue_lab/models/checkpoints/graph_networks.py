"""What checkpoints of graph networks have in common: sizes read off their shapes, and key names.

Two ways of naming: the authors' (`l1.gcn1.conv_d.0.weight`), and that of pyskl and mmaction2
(`gcn.0.gcn.conv_d.0.weight`); mmaction2's head is `cls_head.fc`, pyskl's `cls_head.fc_cls`.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout
from imigue_lab.errors import DataError

Names = tuple[tuple[str, str], ...]

NETWORK: Names = (
    (r"^data_bn\.", "norm."),
    (r"^(?:fc|cls_head\.fc|cls_head\.fc_cls)\.", "head."),
    (r"^(?:gcn|net)\.(\d+)\.", r"blocks.\1."),
    (r"^(blocks\.\d+)\.gcn1?\.", r"\1.graph."),
    (r"^(blocks\.\d+)\.tcn1?\.", r"\1.time."),
    (r"\.residual\.conv\.", ".residual.0."),
    (r"\.residual\.bn\.", ".residual.1."),
    (r"\.graph\.bn\.", ".graph.norm."),
    (r"\.graph\.down\.", ".graph.skip."),
    (r"\.graph\.(?:PA|A)$", ".graph.learned"),
    (r"\.time\.bn\.", ".time.norm."),
)
BRANCHES: Names = (
    (r"\.branches\.(\d)\.3\.conv\.", r".branches.\1.look."),
    (r"\.branches\.(\d)\.(?:3\.bn|4)\.", r".branches.\1.norm."),
    (r"\.branches\.(\d)\.([01])\.", r".branches.\1.shrink.\2."),
    (r"\.branches\.5\.(weight|bias)$", r".branches.5.look.\1"),
    (r"\.time\.transform\.", ".time.join."),
)

HEADS = ("cls_head.fc_cls.weight", "cls_head.fc.weight", "fc.weight", "fcn.weight")


def our_name(key: str, *tables: Names) -> str | None:
    """Our name of a key; `None` for the graph that networks keep at the top and do not use."""
    if key == "A" or key.startswith("data_preprocessor."):
        return None
    key = re.sub(r"^l(\d+)\.", lambda block: f"blocks.{int(block[1]) - 1}.", key)
    for table in (NETWORK, *tables):
        for published, ours in table:
            key = re.sub(published, ours, key)
    return key


def read_sizes(
    state: Mapping[str, Tensor],
    keypoints: str | None,
    graph: str,
    entrance: str,
    norms: str,
) -> dict[str, Any]:
    """What every graph network's `build_...` takes.

    Args:
        state: under its published names.
        keypoints: the layout that it was trained on, if it is to be known by name.
        graph: key of a tensor whose last axis is the joints.
        entrance: key of the first convolution.
        norms: how the keys of the norms end that are as wide as each block.

    Raises:
        DataError: the layout has another number of joints than the tensors, or these disagree.
        KeyError: a tensor is absent that the sizes are read from.
    """
    joints, channels = state[graph].shape[-1], state[entrance].shape[1]
    blocks = Counter(len(state[key]) for key in state if key.endswith(norms))
    if not blocks:
        raise KeyError(f"*{norms}")
    norm = len(state["data_bn.weight"])
    if norm % (joints * channels):
        raise DataError(
            f"data_bn.weight: {norm} entries are no multiple of {joints} joints x {channels}"
            " channels, which the other weights are of; the file mixes two networks"
        )
    head = next((key for key in HEADS if key in state), HEADS[0])
    return {
        "keypoints": layout_of_joints(joints, keypoints),
        "classes": len(state[head]),
        "channels": channels,
        "persons": norm // (joints * channels),
        "width": min(blocks),
        "depths": [blocks[width] for width in sorted(blocks)],
    }


def layout_of_joints(joints: int, keypoints: str | None) -> Layout:
    """The layout of that name; without a name one of nameless joints, as the file has the graph."""
    if keypoints is None:
        names = tuple(f"joint_{index}" for index in range(joints))
        return Layout(f"a checkpoint of {joints} joints", names, bones=(), mirror=())
    if keypoints not in LAYOUTS or len(LAYOUTS[keypoints].joints) != joints:
        fitting = [name for name, layout in LAYOUTS.items() if len(layout.joints) == joints]
        raise DataError(
            f"keypoints: the checkpoint is of {joints} joints, and {keypoints!r} is no layout of as"
            f" many; name the one it was trained on: {' or '.join(fitting) or 'none here fits'}"
        )
    return LAYOUTS[keypoints]


def without_graph(family: str, joints: int) -> DataError:
    fitting = [name for name, layout in LAYOUTS.items() if len(layout.joints) == joints]
    return DataError(
        f"this checkpoint of {family} holds no graph; name the layout of {joints} joints that it"
        f" was trained on, keypoints={' or '.join(fitting) or '... (none here fits)'}"
    )

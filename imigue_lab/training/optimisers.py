"""Parameter groups: the learning rate of each weight, and which weights decay."""

import re
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from torch import nn

HEAD = re.compile(r"(^|\.)head\.")
BLOCK = re.compile(r"(?:[a-z_]\w*\.)+?(\d+(?:\.\d+)*)\.")  # the name up to its first numbers
POSITIONS = re.compile(r"rel_pos|relative_position|pos_encoding")  # tables and vectors


def parameter_groups(
    model: nn.Module,
    lr: float,
    weight_decay: float,
    decay_norms: bool = True,
    backbone_lr: float = 1.0,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """What is trained, by learning rate and weight decay.

    The learning rate is `layer_decay` to the power of the depths above a weight, and `backbone_lr`
    of that unless it is the head's. Scalars do not decay, and without `decay_norms` neither do
    norms, biases and tables of positions.
    """
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    depth = depths(trained)
    top = max(depth.values())
    groups = defaultdict[tuple[float, float], list[nn.Parameter]](list)
    for name, p in trained.items():
        share = layer_decay ** (top - depth[name])
        share *= 1.0 if HEAD.search(name) else backbone_lr
        decays = p.ndim > 0 if decay_norms else p.ndim > 1 and not POSITIONS.search(name)
        groups[lr * share, weight_decay * decays].append(p)
    return [{"params": own, "lr": lr, "weight_decay": w} for (lr, w), own in groups.items()]


def depths(names: Collection[str]) -> dict[str, int]:
    """The number of blocks up to each weight of a network whose blocks follow one another.

    0 is the stem. A block is a numbered part, such as `blocks.3` or `features.2.1`; what is between
    two, such as `features.1`, belongs to the first. The last norm and the head are one deeper than
    the last block.
    """
    parts = {name: BLOCK.match(name) for name in names if not HEAD.search(name)}
    most = max((part[1].count(".") for part in parts.values() if part), default=0)
    numbered = [part[0] for part in parts.values() if part and part[1].count(".") == most]
    blocks, depth, found = list(dict.fromkeys(numbered)), 0, dict[str, int]()
    top = len(blocks) + 1
    for name, part in parts.items():
        depth = blocks.index(part[0]) + 1 if part and part[0] in blocks else depth
        found[name] = depth if part or not depth else top
    return {name: found.get(name, top) for name in names}

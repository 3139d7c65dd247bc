"""MS-STNet, DSCNet's stream of skeletons, as published."""

import re
from collections.abc import Mapping

from torch import Tensor

from imigue_lab.models.pictures.dscnet import WIDTHS, MSSTNet, build_msstnet

PLACES = {"1": 0, "3": 1, "5": 2, "7": 3}  # of the branches, by the size of their kernels

PUBLISHED_TO_OURS = (
    (r"^model\.", ""),
    (
        r"^m(\d+)\.conv([1357])\.",
        lambda key: f"blocks.{int(key[1]) - 1}.branches.{PLACES[key[2]]}.",
    ),
    (r"^avgpool\.", "pools.0."),
    (r"^avgpool2\.", "pools.1."),
    (r"^last_linear\.", "head."),
)


def build(state: Mapping[str, Tensor]) -> MSSTNet:
    """An untrained network of the sizes that the tensors have, to load them into."""
    ours = {rename(key): weight for key, weight in state.items()}
    first = [ours[f"blocks.{block}.branches.0.0.weight"] for block in range(len(WIDTHS))]
    second = [ours[f"blocks.{block}.branches.1.0.weight"] for block in range(len(WIDTHS))]
    return build_msstnet(
        len(ours["head.weight"]),
        channels=first[0].shape[1],
        widths=[(len(narrow), len(wide)) for narrow, wide in zip(first, second, strict=True)],
    )


def rename(key: str) -> str | None:
    """Our name of a published key."""
    for published, ours in PUBLISHED_TO_OURS:
        key = re.sub(published, ours, key)
    return key

"""How far tokens of two modalities lie apart, in time and in place.

Letters in shapes: B clips, I and J tokens of the two modalities.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from imigue_lab.errors import DataError
from imigue_lab.models.tokens import Tokens

Gaps = Float[Tensor, "B 2 I J"]


def gaps_between(x: Tokens, y: Tokens) -> Gaps:
    """``|t_i - t_j|`` and ``‖x_i - x_j‖``, the latter 0 where one of both places is unknown.

    Raises:
        DataError: tokens without places.
    """
    if x.places is None or y.places is None:
        raise DataError(
            "tokens without places, which the spatial heads need: give places (B, N, 2), 0 to 1"
            " over the crop, or leave spatial out of criteria"
        )
    # Many pairs and few numbers each: written in place, as fast as memory is.
    in_time = (x.times[:, :, None] - y.times[:, None, :]).abs_()
    across, down = (x.places[:, :, None, axis] - y.places[:, None, :, axis] for axis in (0, 1))
    in_place = across.hypot_(down)
    if x.placed is not None or y.placed is not None:
        in_place *= placed(x)[:, :, None] & placed(y)[:, None, :]
    return torch.stack([in_time, in_place], dim=1).float()


def placed(tokens: Tokens) -> Bool[Tensor, "B N"]:
    return torch.ones_like(tokens.mask) if tokens.placed is None else tokens.placed

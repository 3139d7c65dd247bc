"""How far tokens of two modalities lie apart, in time and in place.

Letters in shapes: B clips, I and J tokens of the two modalities.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from imigue_lab.errors import DataError
from imigue_lab.models.tokens import Tokens

Gaps = Float[Tensor, "B 3 I J"]
FAR = 1e4  # no logit outweighs it, and float16 can hold it


def gaps_between(x: Tokens, y: Tokens) -> Gaps:
    """``|t_i - t_j|``, ``‖x_i - x_j‖``, 0 where one of both places is unknown, and whether the pair
    counts: 0 where it does, FAR or more where a token is not valid.

    Raises:
        DataError: tokens without places.
    """
    if x.places is None or y.places is None:
        raise DataError(
            "tokens without places, which the spatial heads need: give places (B, N, 2), 0 to 1"
            " over the crop, or leave spatial out of criteria"
        )
    clips, rows = x.times.shape
    # Many pairs and few numbers each: written in place, as fast as memory is.
    gaps = torch.empty(clips, 3, rows, y.times.shape[1], device=x.times.device)
    in_time, in_place, apart = gaps.unbind(dim=1)
    torch.sub(x.times[:, :, None], y.times[:, None, :], out=in_time).abs_()
    for axis, across in enumerate((in_place, apart)):
        torch.sub(x.places[:, :, None, axis], y.places[:, None, :, axis], out=across)
    in_place.hypot_(apart)
    if x.placed is not None or y.placed is not None:
        in_place *= placed(x)[:, :, None] & placed(y)[:, None, :]
    torch.add((~x.mask * FAR)[:, :, None], (~y.mask * FAR)[:, None, :], out=apart)
    return gaps


def placed(tokens: Tokens) -> Bool[Tensor, "B N"]:
    return torch.ones_like(tokens.mask) if tokens.placed is None else tokens.placed

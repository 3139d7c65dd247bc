"""Tokens with their positions in time and picture, the input of CMTF (paper section 2.3).

Letters in shapes: B clips, N tokens, W width of a token, M persons, T steps in time, V joints, F
frames; h and w, rows and columns of the RGB encoder's map.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from einops import rearrange, reduce, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Region = tuple[float, float, float, float]  # left, top, right and bottom
WHOLE: Region = (0.0, 0.0, 1.0, 1.0)
STEP = 4  # frames of a skeleton's token


@dataclass(frozen=True)
class Tokens:
    """The tokens of one modality, padded to the longest clip of the batch.

    `rest` is the mean over the clip of the features of the token's cell or joint; None: no such
    mean. `mask` is False for padding and for joints that were never seen; these count nowhere.
    """

    values: Float[Tensor, "B N W"]  # features of the encoder
    times: Float[Tensor, "B N"]  # 0 at the clip's start, 1 at its end
    mask: Bool[Tensor, "B N"]
    places: Float[Tensor, "B N 2"] | None = None  # x and y, 0 to 1 over the RGB encoder's crop
    placed: Bool[Tensor, "B N"] | None = None  # tokens with a known place; None: all
    rest: Float[Tensor, "B N W"] | None = None

    @property
    def present(self) -> Bool[Tensor, " B"]:
        """Clips with at least one valid token."""
        return self.mask.any(dim=1)

    def never_none(self) -> "Tokens":
        """With one invalid token if a whole batch has none, as maxima need an element."""
        if self.values.shape[1]:
            return self
        return self.change(lambda t: t.new_zeros(len(t), 1, *t.shape[2:]))

    def to(self, device: torch.device) -> "Tokens":
        return self.change(lambda t: t.to(device))

    def change(self, each: Callable[[Tensor], Tensor]) -> "Tokens":
        """The same change of every tensor."""
        return replace(self, **{n: each(t) for n, t in vars(self).items() if t is not None})


class Projection(nn.Module):
    """Tokens of any width to the common one, 0 where invalid.

        Linear(values - rest) + W_rest rest + modality code        W_rest = 0 at the start

    What is constant over a clip, the person and the room, dominates every token and lets a model
    memorise the training clips, but so is a posture that is held; see docs/paper_gaps.md. Without
    `centred` it is Linear(values) instead. Masked values have no effect, not even NaN.
    """

    def __init__(self, in_dim: int, dim: int, centred: bool = True):
        super().__init__()
        self.centred = centred
        self.linear = nn.Linear(in_dim, dim)
        self.to_rest = nn.Linear(in_dim, dim, bias=False)
        nn.init.zeros_(self.to_rest.weight)
        self.modality = nn.Parameter(torch.randn(dim) * 0.02)

    def forward(self, tokens: Tokens) -> Tokens:
        tokens = tokens.never_none()
        invalid = ~tokens.mask[..., None]
        values = tokens.values.to(self.modality.dtype).masked_fill(invalid, 0)
        code = self.modality
        if tokens.rest is not None:
            rest = tokens.rest.to(self.modality.dtype).masked_fill(invalid, 0)
            values = values - rest if self.centred else values
            code = code + self.to_rest(rest)
        projected = (self.linear(values) + code).masked_fill(invalid, 0)
        times = tokens.times.masked_fill(~tokens.mask, 0)
        if tokens.places is None:
            return replace(tokens, values=projected, times=times, rest=None)
        placed = tokens.mask if tokens.placed is None else tokens.mask & tokens.placed
        places = tokens.places.masked_fill(~placed[..., None], 0)
        return Tokens(projected, times, tokens.mask, places, placed)


def masked_mean(values: Float[Tensor, "B N D"], mask: Bool[Tensor, "B N"]) -> Float[Tensor, "B D"]:
    """Mean over the valid tokens; 0 where there is none."""
    total = reduce(values * mask[..., None], "b n d -> b d", "sum")
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)


def grid_tokens(features: Float[Tensor, "B T h w W"], region: Region = WHOLE) -> Tokens:
    """Tokens of an RGB encoder's map, each at the centre of its cell and of its time step.

    `region` is what the map shows, as shares of the crop.
    """
    clips, steps, rows, columns, _ = features.shape
    t, y, x = ((torch.arange(n, device=features.device) + 0.5) / n for n in (steps, rows, columns))
    left, top, right, bottom = region
    x, y = left + (right - left) * x, top + (bottom - top) * y
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
    return Tokens(
        rearrange(features, "b t h w d -> b (t h w) d"),
        repeat(t, "t -> b (t n)", b=clips, n=rows * columns),
        torch.ones(clips, steps * rows * columns, dtype=torch.bool, device=features.device),
        repeat(places, "h w xy -> b (t h w) xy", b=clips, t=steps),
        rest=repeat(features.mean(dim=1), "b h w d -> b (t h w) d", t=steps),
    )


def joint_tokens(
    features: Float[Tensor, "B M T V W"],
    places: Float[Tensor, "B M T V 2"],
    mask: Bool[Tensor, "B M T V"],
    steps: Int[Tensor, " B"] | None = None,
) -> Tokens:
    """Tokens of a skeleton encoder, of all persons.

    Args:
        places: 0 to 1 over the RGB encoder's crop; a joint outside of it has a token and a time
            but no place.
        mask: joints that were seen, from `joint_places`.
        steps: number of steps of each clip before padding; None: all T.
    """
    clips, _, length, *_ = mask.shape
    own = torch.full((clips,), length, device=mask.device) if steps is None else steps
    t = (torch.arange(length, device=mask.device) + 0.5) / own[:, None]
    times = repeat(t, "b t -> b m t v", m=mask.shape[1], v=mask.shape[3])
    inside = ((places >= 0) & (places <= 1)).all(dim=-1)
    valid = mask & (times < 1)
    known = features.masked_fill(~valid[..., None], 0)
    rest = known.sum(dim=2) / valid.sum(dim=2).clamp(min=1)[..., None]
    return Tokens(
        rearrange(features, "b m t v d -> b (m t v) d"),
        rearrange(times, "b m t v -> b (m t v)"),
        rearrange(valid, "b m t v -> b (m t v)"),
        rearrange(places, "b m t v xy -> b (m t v) xy"),
        rearrange(inside, "b m t v -> b (m t v)"),
        repeat(rest, "b m v d -> b (m t v) d", t=length),
    )


def joint_places(
    joints: Float[Tensor, "B M F V 2"], scores: Float[Tensor, "B M F V"], stride: int = STEP
) -> tuple[Float[Tensor, "B M T V 2"], Bool[Tensor, "B M T V"]]:
    """Each joint's place in each step of `stride` frames, and whether it was seen.

    The place is the mean over the step's frames with a score above 0; T = ceil(F / stride).
    """
    padding = -joints.shape[2] % stride
    seen = F.pad((scores > 0).to(joints.dtype), (0, 0, 0, padding))
    known = F.pad(joints.masked_fill(scores[..., None] <= 0, 0), (0, 0, 0, 0, 0, padding))
    total = reduce(known, "b m (t f) v xy -> b m t v xy", "sum", f=stride)
    frames = reduce(seen, "b m (t f) v -> b m t v", "sum", f=stride)
    return total / frames.clamp(min=1)[..., None], frames > 0

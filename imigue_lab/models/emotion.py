"""The outcome from context and face: two streams, joined twice by InterFusion (paper section 3).

Letters in shapes: B interviews, T windows of 16 frames, C and F widths of the context and face
features, D width of the tokens in both streams, K outcomes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, get_args

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from imigue_lab.models import EmotionFusion, Gate
from imigue_lab.models.tokens import masked_mean

Context = Float[Tensor, "B T C"]
Face = Float[Tensor, "B T F"]
Tokens = Float[Tensor, "B T D"]
Mask = Bool[Tensor, "B T"]
Pooled = Float[Tensor, "B D"]
LEAST_DEVIATION = 0.01  # of a channel


class AlphaGate(nn.Module):
    """One element-wise gate for both directions: ``α = σ(W [x; y] + b)``."""

    def __init__(self, dim: int):
        super().__init__()
        self.to_gate = nn.Linear(2 * dim, dim)

    def forward(self, x: Tokens, y: Tokens) -> Tokens:
        return torch.sigmoid(self.to_gate(torch.cat([x, y], dim=-1)))


class InterFusion(nn.Module):
    """Each stream adds the other's gated tokens to its own.

    The paper describes "a shared element-wise gate" and "a residual gated-sum fusion in both
    directions" without an equation; docs/paper_gaps.md lists the three readings and how to choose.
    With ``α = AlphaGate(x, y)``:

        shared   u = x + α ⊙ y              v = y + α ⊙ x
        cross    u = x + α ⊙ y              v = y + (1 - α) ⊙ x
        convex   u = x + z                  v = y + z,    z = α ⊙ x + (1 - α) ⊙ y

    A token that is missing in one stream must arrive as zeros: its gated term is then 0.
    """

    def __init__(self, dim: int, gate: Gate = "shared"):
        super().__init__()
        if gate not in get_args(Gate):
            raise ValueError(f"gate must be one of {', '.join(get_args(Gate))}; got {gate!r}")
        self.reading = gate
        self.gate = AlphaGate(dim)

    def forward(self, x: Tokens, y: Tokens) -> tuple[Tokens, Tokens, Tokens]:
        """u, v and the gate α."""
        alpha = self.gate(x, y)
        return *self.exchange(alpha, x, y), alpha

    def exchange(self, alpha: Tokens, x: Tokens, y: Tokens) -> tuple[Tokens, Tokens]:
        """u and v for this gate, linear in x and y."""
        if self.reading == "convex":
            z = alpha * x + (1 - alpha) * y
            return x + z, y + z
        return x + alpha * y, y + (alpha if self.reading == "shared" else 1 - alpha) * x

    def parts(self, x: Tokens, y: Tokens) -> tuple[tuple[Tokens, Tokens], tuple[Tokens, Tokens]]:
        """u and v, each as (contribution of x, contribution of y); the sums equal `forward`'s."""
        alpha, nothing = self.gate(x, y), torch.zeros_like(x)
        from_x, from_y = self.exchange(alpha, x, nothing), self.exchange(alpha, nothing, y)
        return (from_x[0], from_y[0]), (from_x[1], from_y[1])


class EmotionOutput(NamedTuple):
    """The model's output for B interviews."""

    logit: Float[Tensor, "B *K"]  # of the second of two outcomes, (B,), or of each of more, (B, K)
    gates: list[Float[Tensor, "B T D"]]  # of each InterFusion stage; empty unless requested


def sinusoidal_code(window: Int[Tensor, "B T"], dim: int) -> Float[Tensor, "B T D"]:
    """The sine and cosine code of the window's number in its interview (Vaswani et al. 2017)."""
    even = torch.arange(0, dim, 2, device=window.device)
    frequency = torch.exp(even * (-math.log(10_000.0) / dim))
    angle = window[..., None] * frequency
    return rearrange([angle.sin(), angle.cos()], "two b t half -> b t (half two)")[..., :dim]


class Standardise(nn.Module):
    """``(x - μ) / max(σ, 0.01)`` by channel, of the training windows; unchanged until they are set.

    Without the floor a channel that hardly varies on them would grow without bound on others.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("deviation", torch.ones(dim))

    def set(self, windows: Float[Tensor, "rows D"]) -> None:
        deviation, mean = torch.std_mean(windows.double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp_min(LEAST_DEVIATION))

    def forward(self, x: Float[Tensor, "*rows D"]) -> Float[Tensor, "*rows D"]:
        return (x - self.mean) / self.deviation


class Stream(nn.Module):
    """One modality: ``E = Encoder(Dropout(Linear(X)) + code)``, refined once more after a fusion.

    `depth` pre-norm layers with a LayerNorm after the last, then one more layer with or without a
    fusion. Masked windows are not keys, and their outputs are 0. An interview without a valid
    window is not computed: its tokens are 0 and its pooled vector is the learned `absent`. X may be
    standardised first.
    """

    def __init__(
        self, in_dim: int, dim: int, depth: int, heads: int, dropout: float, standardise: bool
    ):
        super().__init__()
        self.standardise = Standardise(in_dim) if standardise else nn.Identity()
        self.project = nn.Linear(in_dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.encoder = build_encoder(dim, depth, heads, dropout)
        self.refiner = build_encoder(dim, 1, heads, dropout)
        self.absent = nn.Parameter(torch.zeros(dim))

    def encode(self, features: Tensor, mask: Mask, window: Int[Tensor, "B T"]) -> Tokens:
        tokens = self.dropout(self.project(self.standardise(features)))
        tokens = tokens + sinusoidal_code(window, tokens.shape[-1]).to(tokens.dtype)
        return self._attend(self.encoder, tokens, mask)

    def refine(self, tokens: Tokens, mask: Mask) -> Tokens:
        return self._attend(self.refiner, tokens, mask)

    def pool(self, tokens: Tokens, mask: Mask) -> Pooled:
        present = mask.any(dim=1, keepdim=True)
        return torch.where(present, masked_mean(tokens, mask), self.absent.to(tokens.dtype))

    @staticmethod
    def _attend(encoder: nn.Module, tokens: Tokens, mask: Mask) -> Tokens:
        """Attention within the interviews with a valid window, zeros elsewhere."""
        present = mask.any(dim=1)
        if present.all():
            return encoder(tokens, src_key_padding_mask=~mask) * mask[..., None]
        attended = torch.zeros_like(tokens)
        if present.any():
            encoded = encoder(tokens[present], src_key_padding_mask=~mask[present])
            attended = attended.index_put((present,), encoded.to(tokens.dtype))
        return attended * mask[..., None]


def build_encoder(dim: int, depth: int, heads: int, dropout: float) -> nn.TransformerEncoder:
    """Pre-norm layers, GELU, feed-forward four times the width, LayerNorm after the last."""
    layer = nn.TransformerEncoderLayer(
        dim, heads, 4 * dim, dropout, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, depth, nn.LayerNorm(dim), enable_nested_tensor=False)


class EmotionModel(nn.Module):
    """Two streams, `len(fusions)` gated exchanges between them, one logit or K.

        E_c, E_f = Stream(X_ctx), Stream(X_face)
        (u, v)   = InterFusion_1(E_c, E_f);      c = E_c + u,  f = E_f + v
        c, f     = one more encoder layer each;  InterFusion_2 and its residual likewise
        logit    = Linear(Dropout([mean_t c; mean_t f]))

    The outer residual (``E + u`` although u contains E) is the paper's "followed by residual
    addition"; see docs/paper_gaps.md.
    """

    def __init__(
        self, context: Stream, face: Stream, fusions: list[InterFusion], dropout: float, logits: int
    ):
        super().__init__()
        self.context, self.face = context, face
        self.fusions = nn.ModuleList(fusions)
        self.head = build_head(2 * context.project.out_features, dropout, logits)

    def forward(
        self,
        context: Context,
        face: Face,
        context_mask: Mask,
        face_mask: Mask,
        window: Int[Tensor, "B T"],
        return_gates: bool = False,
    ) -> EmotionOutput:
        c = self.context.encode(context, context_mask, window)
        f = self.face.encode(face, face_mask, window)
        gates = []
        for stage in range(2):
            if stage == 1:
                c, f = self.context.refine(c, context_mask), self.face.refine(f, face_mask)
            if stage < len(self.fusions):
                u, v, gate = self.fusions[stage](c, f)
                c, f = c + u, f + v
                gates.append(gate)
        c, f = self.context.pool(c, context_mask), self.face.pool(f, face_mask)
        logit = self.head(torch.cat([c, f], dim=-1)).squeeze(1)  # K logits are never one
        return EmotionOutput(logit, gates if return_gates else [])


class LateEmotionModel(nn.Module):
    """Separate streams with one head each; the logit is the mean over the streams with input."""

    def __init__(self, streams: dict[str, Stream], dropout: float, logits: int):
        super().__init__()
        self.streams = nn.ModuleDict(streams)
        widths = {name: stream.project.out_features for name, stream in streams.items()}
        self.heads = nn.ModuleDict({n: build_head(w, dropout, logits) for n, w in widths.items()})

    def forward(
        self,
        context: Context,
        face: Face,
        context_mask: Mask,
        face_mask: Mask,
        window: Int[Tensor, "B T"],
        return_gates: bool = False,
    ) -> EmotionOutput:
        inputs = {"context": (context, context_mask), "face": (face, face_mask)}
        logits, weights = [], []
        for name, stream in self.streams.items():
            features, mask = inputs[name]
            assert isinstance(stream, Stream)
            tokens = stream.refine(stream.encode(features, mask, window), mask)
            logits.append(self.heads[name](stream.pool(tokens, mask)))
            weights.append(mask.any(dim=1, keepdim=True))
        logit, weight = torch.stack(logits, dim=1), torch.stack(weights, dim=1)  # B streams K|1
        # An interview without any valid window is predicted from the learned `absent` vectors.
        weight = torch.where(weight.any(dim=1, keepdim=True), weight, True).to(logit.dtype)
        mean = (logit * weight).sum(dim=1) / weight.sum(dim=1)
        return EmotionOutput(mean.squeeze(1), [])


def build_head(in_dim: int, dropout: float, logits: int) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(in_dim, logits))


def build_emotion(
    context_dim: int = 768,
    face_dim: int = 512,
    width: int = 512,
    depth: int = 8,
    heads: int = 4,
    dropout: float = 0.5,
    fusion: EmotionFusion = "interfusion",
    gate: Gate = "shared",
    stages: int = 2,
    standardise: bool = False,
    outcomes: int = 2,
) -> EmotionModel | LateEmotionModel:
    """The paper's emotion model, or one of its variants by name.

    Args:
        context_dim, face_dim: widths of the features of a window.
        width, depth, heads, dropout: of the streams (paper: 512, 8, 4, 0.5).
        fusion: `interfusion`; `concat` is `interfusion` with `stages=0`; `late` averages one logit
            per stream; `context_only` and `face_only` use one stream.
        gate: reading of the paper, see `InterFusion`.
        stages: number of InterFusion stages, 0 to 2 (paper: 2).
        standardise: of the features, see `Standardise`.
        outcomes: K; the model has one logit for two (paper), K for more.
    """
    if fusion not in get_args(EmotionFusion):
        known = ", ".join(get_args(EmotionFusion))
        raise ValueError(f"fusion must be one of {known}; got {fusion!r}")
    if stages not in (0, 1, 2):
        raise ValueError(f"stages must be 0, 1 or 2; got {stages}")
    if width % heads:
        raise ValueError(f"width ({width}) must be a multiple of heads ({heads})")
    logits = 1 if outcomes == 2 else outcomes
    context = Stream(context_dim, width, depth, heads, dropout, standardise)
    face = Stream(face_dim, width, depth, heads, dropout, standardise)
    if fusion in ("interfusion", "concat"):
        fusions = [InterFusion(width, gate) for _ in range(0 if fusion == "concat" else stages)]
        return EmotionModel(context, face, fusions, dropout, logits)
    streams = {"context": context, "face": face}
    if fusion != "late":
        streams = {name: s for name, s in streams.items() if fusion == f"{name}_only"}
    return LateEmotionModel(streams, dropout, logits)


class FocalLoss(nn.Module):
    """Mean over the batch of ``w_y (1 - p_y)^γ (-log p_y)`` (paper section 5.2; Lin et al. 2017).

    Of two outcomes p_y = σ(s z) with s = +1 for the second and -1 for the first; of more, p is the
    softmax of K logits. Computed as ``exp(γ log(1 - p_y)) · (-log p_y)`` in float32, with finite
    gradients at any logit: ``(1 - p)^γ`` itself has an infinite slope at p = 1 for γ < 1. γ = 0 is
    weighted cross-entropy.
    """

    class_weights: Tensor

    def __init__(self, gamma: float, class_weights: tuple[float, ...] = (1.0, 1.0)):
        super().__init__()
        self.gamma = gamma
        self.register_buffer("class_weights", torch.tensor(class_weights, dtype=torch.float32))

    def forward(
        self, logit: Float[Tensor, "B *K"], outcome: Int[Tensor, " B"]
    ) -> Float[Tensor, ""]:
        if logit.ndim == 1:
            signed = torch.where(outcome == 1, logit, -logit).float()
            log_p, log_rest = F.logsigmoid(signed), F.logsigmoid(-signed)
        else:
            every, own = F.log_softmax(logit.float(), dim=1), outcome[:, None]
            log_p = every.gather(1, own).squeeze(1)
            log_rest = every.scatter(1, own, -torch.inf).logsumexp(dim=1)
        focus = torch.exp(self.gamma * log_rest)
        return (self.class_weights[outcome] * focus * -log_p).mean()


def balanced_class_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """``w_c = N / (K n_c)``: equal sums of weights for all classes, and a mean of 1.

    A class without an item, which then has no sum, is weighted as if it had one.
    """
    return tuple(sum(counts) / (len(counts) * max(n, 1)) for n in counts)

"""MAMP: a transformer of skeletons, pre-trained to predict the motion of masked joints.

A token is one joint in four frames; its place and its time are learned embeddings. In pre-training
most tokens are removed, moving joints more often than still ones, and a decoder predicts their
motion from the rest. Fine-tuned, a head reads all tokens.

Letters in shapes: B sequences (one person each), M persons, T frames, S = T / 4 segments, V joints,
C channels, A axes among them, L = S V tokens (time first), K kept tokens, D width, P = 4 A numbers
of a token's motion.

Source: Mao et al., ICCV 2023 (Masked Motion Predictors are Strong 3D Action Representation
Learners), section 3.
"""

from typing import Any, NamedTuple

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from imigue_lab.models.transformer import Reconstruction, blocks, embedding, start_linear

SEGMENT = 4  # frames of a token
TINY = 1e-10
Skeletons = Float[Tensor, "B T V C"]
Seen = Bool[Tensor, "B T V"]


class SkeletonTransformer(nn.Module):
    """The encoder: tokens of segments of joints, and attention between all that it is given."""

    def __init__(
        self,
        joints: int,
        frames: int = 120,
        channels: int = 3,
        width: int = 256,
        depth: int = 8,
        heads: int = 8,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.embed = nn.Conv2d(channels, width, (SEGMENT, 1), (SEGMENT, 1))
        self.place = embedding(1, 1, joints, width)
        self.time = embedding(1, frames // SEGMENT, 1, width)
        self.blocks = blocks(width, depth, heads, 1e-5, drop_path)
        self.norm = nn.LayerNorm(width)

    def tokens(self, skeletons: Skeletons) -> Float[Tensor, "B L D"]:
        """One token per segment and joint, before attention, with its place and time added."""
        found = rearrange(self.embed(skeletons.movedim(-1, 1)), "b d s v -> b s v d")
        return (found + self.place + self.time).flatten(1, 2)

    def forward(self, tokens: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        return self.norm(self.blocks(tokens))


def resized_times(table: Float[Tensor, "1 S 1 D"], segments: int) -> Float[Tensor, "1 S2 1 D"]:
    """The embeddings of as many segments, interpolated as published (bicubic)."""
    found = rearrange(table, "1 s 1 d -> 1 d s 1")
    found = nn.functional.interpolate(found, (segments, 1), mode="bicubic")
    return rearrange(found, "1 d s 1 -> 1 s 1 d")


class MotionPredictor(nn.Module):
    """Encoder and decoder of pre-training.

    Args:
        axes: how many of the channels are coordinates; a score beside them is not predicted.
        ratio: share of tokens that are masked.
        temperature: of the choice of masked tokens by motion; 0: independent of motion.
        stride: frames between which motion is a difference.
        groups: the group of each joint; joints of one are masked together. None: each alone.
    """

    def __init__(
        self,
        joints: int,
        frames: int = 120,
        channels: int = 3,
        axes: int = 3,
        width: int = 256,
        depth: int = 8,
        heads: int = 8,
        decoder_width: int = 256,
        decoder_depth: int = 5,
        ratio: float = 0.9,
        temperature: float = 0.8,
        stride: int = 1,
        groups: list[int] | None = None,
    ):
        super().__init__()
        self.encoder = SkeletonTransformer(joints, frames, channels, width, depth, heads)
        self.axes, self.ratio, self.temperature, self.stride = axes, ratio, temperature, stride
        self.groups = groups
        self.narrow = nn.Linear(width, decoder_width)
        self.mask_token = embedding(1, 1, decoder_width)
        self.decoder_place = embedding(1, 1, joints, decoder_width)
        self.decoder_time = embedding(1, frames // SEGMENT, 1, decoder_width)
        self.decoder = blocks(decoder_width, decoder_depth, heads, 1e-5)
        self.decoder_norm = nn.LayerNorm(decoder_width)
        self.decoder_head = nn.Linear(decoder_width, SEGMENT * axes)
        self.narrow.apply(start_linear)
        self.decoder_head.apply(start_linear)

    def forward(
        self, skeletons: Skeletons, uniform: Float[Tensor, "B L"], seen: Seen | None = None
    ) -> Reconstruction:
        """The motion of every token; masked ones whose joint was seen count.

        Args:
            uniform: random numbers in [0, 1), one a token.
            seen: joints that are in the data; None: all. Others have neither motion nor loss.
        """
        places = skeletons[..., : self.axes]
        seen = torch.ones_like(places[..., 0], dtype=torch.bool) if seen is None else seen
        tokens = self.encoder.tokens(skeletons)
        kept = self.keep(motion_of_segments(places, seen), uniform)
        latent = self.encoder(tokens.take_along_dim(kept[..., None], 1))
        target, known, *_ = motion_of(places, seen, self.stride)
        counted = known.scatter(1, kept[..., None].expand(-1, -1, known.shape[-1]), False)
        guess = target.take_along_dim(kept[..., None], 1).mean(dim=1, keepdim=True)
        return Reconstruction(self.decode(latent, kept), target, counted, guess)

    def keep(
        self, motion: Float[Tensor, "B L"], uniform: Float[Tensor, "B L"]
    ) -> Int[Tensor, "B K"]:
        """The tokens that stay: those with the smallest log-probability plus Gumbel noise."""
        if self.groups:
            motion, uniform = together(motion, uniform, torch.tensor(self.groups))
        number = int(motion.shape[1] * (1 - self.ratio))  # as published: 74 of 750 at 0.9
        if self.temperature <= 0:
            return uniform.argsort(dim=1, stable=True)[:, :number]
        scaled = motion / (self.temperature * motion.amax(dim=1, keepdim=True) + TINY)
        noise = -torch.log(-torch.log(uniform + TINY) + TINY)
        return (scaled.log_softmax(dim=1) + noise).argsort(dim=1, stable=True)[:, :number]

    def features(self, skeletons: Float[Tensor, "B M T V C"]) -> Float[Tensor, "B D"]:
        """The mean token of all persons, nothing masked."""
        tokens = self.encoder(self.encoder.tokens(skeletons.flatten(0, 1))).mean(dim=1)
        return tokens.unflatten(0, skeletons.shape[:2]).mean(dim=1)

    def decode(
        self, latent: Float[Tensor, "B K D"], kept: Int[Tensor, "B K"]
    ) -> Float[Tensor, "B L P"]:
        """The motion of all tokens; those that were not seen begin as one learned token."""
        narrow = self.narrow(latent)
        positions = (self.decoder_place + self.decoder_time).flatten(1, 2)
        every = self.mask_token.to(narrow.dtype).expand(len(narrow), positions.shape[1], -1)
        where = repeat(kept, "b k -> b k d", d=narrow.shape[-1])
        found = self.decoder(every.scatter(1, where, narrow) + positions)
        return self.decoder_head(self.decoder_norm(found))


class Motion(NamedTuple):
    """The motion of tokens.

    Attributes:
        normalised: of mean 0 and variance 1 in each token, 0 where it is unknown.
        known: the numbers of joints that were seen in both frames.
        mean, deviation: of each token.
    """

    normalised: Float[Tensor, "B L P"]
    known: Bool[Tensor, "B L P"]
    mean: Float[Tensor, "B L 1"]
    deviation: Float[Tensor, "B L 1"]


def motion_of(places: Float[Tensor, "B T V A"], seen: Seen, stride: int = 1) -> Motion:
    """The difference of each joint to `stride` frames later; in the last frames 0."""
    later, last = places[:, stride:], torch.zeros_like(places[:, -stride:])
    motion = torch.cat([later - places[:, :-stride], last], dim=1)
    both = torch.cat([seen[:, stride:], seen[:, -stride:]], dim=1) & seen
    known = as_tokens(both[..., None].expand_as(motion))
    motion = as_tokens(motion) * known
    number = known.sum(dim=-1, keepdim=True)
    mean = motion.sum(dim=-1, keepdim=True) / number.clamp(min=1)
    squares = ((motion - mean) ** 2 * known).sum(dim=-1, keepdim=True)
    deviation = (squares / (number - 1).clamp(min=1) + 1e-6).sqrt()
    return Motion((motion - mean) / deviation * known, known, mean, deviation)


def as_tokens(values: Shaped[Tensor, "B T V A"]) -> Shaped[Tensor, "B L P"]:
    return rearrange(values, "b (s f) v a -> b (s v) (f a)", f=SEGMENT)


def motion_of_segments(places: Float[Tensor, "B T V A"], seen: Seen) -> Float[Tensor, "B L"]:
    """Mean distance per number between a token and the same joint's token before it.

    The first segment takes the second's value; a frame in which the joint is missing counts 0.
    """
    both = (seen[:, SEGMENT:] & seen[:, :-SEGMENT])[..., None]
    distance = (places[:, SEGMENT:] - places[:, :-SEGMENT]).abs() * both
    of_later = rearrange(as_tokens(distance).mean(-1), "b (s v) -> b s v", v=places.shape[2])
    return torch.cat([of_later[:, :1], of_later], dim=1).flatten(1)


def together(
    motion: Float[Tensor, "B L"], uniform: Float[Tensor, "B L"], group: Int[Tensor, " V"]
) -> tuple[Float[Tensor, "B L"], Float[Tensor, "B L"]]:
    """Mean motion of each group in a segment, and the random number of its first joint."""
    same = (group[:, None] == group).to(motion)
    by_joint = [rearrange(own, "b (s v) -> b s v", v=len(group)) for own in (motion, uniform)]
    first = same.argmax(dim=1)
    return (by_joint[0] @ (same / same.sum(dim=0))).flatten(1), by_joint[1][..., first].flatten(1)


class MotionClassifier(nn.Module):
    """The encoder on all tokens, with the published head.

    Args:
        drop_path: of the last block; it rises linearly from 0.
        hidden: width of the head's inner layer.
    """

    def __init__(
        self,
        joints: int,
        classes: int = 32,
        frames: int = 120,
        channels: int = 3,
        width: int = 256,
        depth: int = 8,
        heads: int = 8,
        drop_path: float = 0.3,
        dropout: float = 0.3,
        hidden: int = 2048,
    ):
        super().__init__()
        self.encoder = SkeletonTransformer(joints, frames, channels, width, depth, heads, drop_path)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Sequential(
            *(nn.Linear(joints * width, hidden), nn.BatchNorm1d(hidden), nn.ReLU()),
            nn.Linear(hidden, classes),
        )
        self.head.apply(start_linear)

    def tokens(
        self, skeletons: Float[Tensor, "B M T V C"], frame_mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B M S V D"]:
        """All clips have the same number of frames; `frame_mask` is that of other networks."""
        persons, joints = skeletons.shape[1], skeletons.shape[3]
        tokens = self.encoder(self.encoder.tokens(skeletons.flatten(0, 1)))
        return rearrange(tokens, "(b m) (s v) d -> b m s v d", m=persons, v=joints)

    def forward(
        self, skeletons: Float[Tensor, "B M T V C"], frame_mask: Bool[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B classes"]:
        tokens = self.dropout(self.tokens(skeletons))
        return self.head(tokens.mean(dim=2).flatten(2).mean(dim=1))


def build_mamp(classes: int = 0, **sizes: Any) -> nn.Module:
    """A `MotionClassifier`, or without classes a `MotionPredictor`."""
    return MotionClassifier(classes=classes, **sizes) if classes else MotionPredictor(**sizes)

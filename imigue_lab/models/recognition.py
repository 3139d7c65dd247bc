"""Gestures in whole videos: a class per frame, or an anchor-free pyramid.

Both see features of each frame through dilated convolutions (MS-TCN, Farha and Gall, CVPR 2019),
and neither sees further than `reach` frames: a video of any length is read in chunks, with the same
numbers as at once (`read`).

    FrameNetwork  classes and a background for each frame, made segments by Viterbi's algorithm with
                  transitions counted in train
    Pyramid       points on levels that halve the frames; each has scores of the classes and its
                  distances to both ends of a segment (ActionFormer, Zhang et al., ECCV 2022, with
                  convolutions in place of local attention)

Letters in shapes: B windows, T frames, D features, W width, K classes, S true segments, N found
ones; P points of all levels. A true segment is (class, start, stop), the frame `stop` excluded;
rows of class -1 are padding.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from imigue_lab.models.emotion import Standardise

RADIUS = 1.5  # points per level within which a segment's middle is learned
FLOOR = 0.05  # confidence of a candidate
MOST = 2000  # candidates of a class in a video, before suppression
RARE = 0.01  # confidence of an untrained point

Frames = Float[Tensor, "B T D"]
Mask = Bool[Tensor, "B T"]  # False for padding
Truth = Int[Tensor, "B S 3"]
Outputs = list[Float[Tensor, "B _ _"]]  # of each level
Whole = list[Float[Tensor, "_ _"]]  # of one video


class Found(NamedTuple):
    """Candidates of one video, in any order."""

    label: Int[np.ndarray, " N"]
    start: Float[np.ndarray, " N"]  # frames
    stop: Float[np.ndarray, " N"]  # excluded
    confidence: Float[np.ndarray, " N"]


class Convolution(nn.Module):
    """``GELU(norm(conv_3(x)))``; the norm is of each frame, so that chunks do not differ."""

    def __init__(self, width: int, dilation: int = 1, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, stride, dilation, dilation)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "B W T"]) -> Float[Tensor, "B W S"]:
        return F.gelu(self.norm(self.conv(x).mT).mT)


class Trunk(nn.Module):
    """``x <- x + W GELU(norm(conv_3(x)))`` with dilations 1, 2, 4, ... after one linear layer."""

    def __init__(self, dim: int, width: int, depth: int, dropout: float):
        super().__init__()
        self.standardise = Standardise(dim)
        self.enter = nn.Conv1d(dim, width, 1)
        self.layers = nn.ModuleList(Convolution(width, 2**n) for n in range(depth))
        self.mixes = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(depth))
        self.dropout = nn.Dropout(dropout)
        self.reach = 2**depth - 1

    def forward(self, features: Frames, mask: Mask) -> Float[Tensor, "B W T"]:
        own = mask[:, None].to(features.dtype)
        x = self.enter(self.standardise(features).mT) * own
        for layer, mix in zip(self.layers, self.mixes, strict=True):
            x = (x + self.dropout(mix(layer(x)))) * own
        return x


class FrameNetwork(nn.Module):
    """Logits of every class and of the background, the last, at each frame.

    Attributes:
        transition: ``log p(class of a frame | class of the one before)``, of train.
        options: weights of the transitions in decoding, of which validation chooses.
        steps: frames between two outputs, of each level.
    """

    options = (0.3, 0.1, 1.0, 3.0)
    transition: Tensor

    def __init__(
        self, dim: int, classes: int, width: int = 64, depth: int = 6, dropout: float = 0.0
    ):
        super().__init__()
        self.classes = classes
        self.trunk = Trunk(dim, width, depth, dropout)
        self.head = nn.Conv1d(width, classes + 1, 1)
        states = classes + 1
        self.register_buffer("transition", torch.full((states, states), -np.log(states)))
        self.reach, self.steps = self.trunk.reach, [1]

    def forward(self, features: Frames, mask: Mask) -> Outputs:
        return [self.head(self.trunk(features, mask)).mT]

    def loss(self, features: Frames, mask: Mask, truth: Truth) -> Float[Tensor, ""]:
        """The mean over windows of the loss per frame."""
        errors = self.errors(self(features, mask), mask, truth)
        return (errors / mask.sum(dim=1)).mean()

    def errors(self, outputs: Outputs, mask: Mask, truth: Truth) -> Float[Tensor, " B"]:
        """Cross-entropy, summed over the frames of each window."""
        track = torch.stack([paint(own, mask.shape[1], self.classes) for own in truth])
        error = F.cross_entropy(outputs[0].float().mT, track, reduction="none")
        return (error * mask).sum(dim=1)

    def count_transitions(self, tracks: list[Int[Tensor, "_"]]) -> None:
        """From the classes of each frame of the training videos (`paint`); each pair once more."""
        counts = torch.ones_like(self.transition)
        for own in tracks:
            counts.index_put_((own[:-1], own[1:]), torch.ones(len(own) - 1), accumulate=True)
        self.transition.copy_((counts / counts.sum(dim=1, keepdim=True)).log())

    def find(self, outputs: Whole, weight: float) -> Found:
        """Runs of a class on the most probable path; confidence is the mean over their frames."""
        log = outputs[0].float().log_softmax(dim=1).double().cpu().numpy()
        path = viterbi(log, weight * self.transition.double().cpu().numpy())
        edges = np.flatnonzero(np.diff(path, prepend=-1, append=-1))
        runs = [own for own in pairwise(edges.tolist()) if path[own[0]] < self.classes]
        start, stop = np.array(runs, dtype=int).reshape(-1, 2).T
        label = path[start]
        confidence = [
            np.exp(log[a:b, k]).mean() for a, b, k in zip(start, stop, label, strict=True)
        ]
        return Found(label, start.astype(float), stop.astype(float), np.array(confidence, float))


def paint(truth: Int[Tensor, "S 3"], frames: int, background: int) -> Int[Tensor, " T"]:
    """The class of each frame; of overlapping segments that of the shortest."""
    track = torch.full((frames,), background, dtype=torch.long, device=truth.device)
    own = truth[truth[:, 0] >= 0]
    order = (own[:, 1] - own[:, 2]).argsort(stable=True)
    for label, start, stop in own[order].tolist():
        track[max(0, start) : max(0, stop)] = label
    return track


def viterbi(
    log: Float[np.ndarray, "T K"], transition: Float[np.ndarray, "K K"]
) -> Int[np.ndarray, " T"]:
    """The path with the largest sum of ``log[t, k_t] + transition[k_{t-1}, k_t]``."""
    before = np.zeros(log.shape, dtype=np.int16)
    best = log[0]
    for frame in range(1, len(log)):
        sums = best[:, None] + transition
        before[frame] = sums.argmax(axis=0)
        best = sums.max(axis=0) + log[frame]
    path = np.empty(len(log), dtype=int)
    path[-1] = best.argmax()
    for frame in range(len(log) - 1, 0, -1):
        path[frame - 1] = before[frame, path[frame]]
    return path


class Pyramid(FrameNetwork):
    """A `FrameNetwork`, and for each point of each level K logits and two distances, in points.

    Level l has a point every 2^l frames and learns segments whose further end is 2^(l+1) to 2^(l+2)
    frames away, the first level also nearer ones, the last also further ones. Few points belong to
    segments; the frames, of which many do, teach the trunk what they share.

    Attributes:
        options: widths σ of the suppression, of which validation chooses.
    """

    options = (0.5, 0.1, 0.2, 1.0)

    def __init__(
        self,
        dim: int,
        classes: int,
        width: int = 64,
        depth: int = 6,
        dropout: float = 0.0,
        levels: int = 6,
    ):
        super().__init__(dim, classes, width, depth, dropout)
        self.halve = nn.ModuleList(Convolution(width, stride=2) for _ in range(levels - 1))
        self.classify, self.measure = (
            nn.Sequential(
                Convolution(width), Convolution(width), nn.Conv1d(width, outputs, 3, padding=1)
            )
            for outputs in (classes, 2)
        )
        nn.init.constant_(self.classify[-1].get_parameter("bias"), np.log(RARE / (1 - RARE)))
        self.scale = nn.Parameter(torch.ones(levels))
        self.steps = [1, *(2**level for level in range(levels))]
        self.reach = self.trunk.reach + 4 * self.steps[-1] - 1

    def forward(self, features: Frames, mask: Mask) -> Outputs:
        """Those of the frames, then K logits and two distances of the points of each level."""
        x = self.trunk(features, mask)
        outputs = [self.head(x).mT]
        for level, scale in enumerate(self.scale):
            if level:
                x, mask = self.halve[level - 1](x), mask[:, ::2]
            own = mask[:, None].to(x.dtype)
            x = x * own
            logits, ends = x, x
            for one, other in zip(self.classify, self.measure, strict=True):
                logits, ends = one(logits) * own, other(ends) * own
            outputs.append(torch.cat([logits, F.softplus(scale * ends)], dim=1).mT)
        return outputs

    def points(self, levels: Outputs | Whole) -> tuple[Float[Tensor, " P"], Float[Tensor, " P"]]:
        """The frame of every point, and the spacing of those of its level."""
        parts = [
            (step * torch.arange(own.shape[-2]) + 0.5, torch.full(own.shape[-2:-1], float(step)))
            for own, step in zip(levels, self.steps[1:], strict=True)
        ]
        place, step = (torch.cat(own).to(levels[0].device) for own in zip(*parts, strict=True))
        return place, step

    def errors(self, outputs: Outputs, mask: Mask, truth: Truth) -> Float[Tensor, " B"]:
        """That of the frames, the focal loss of points, and ``1 - DIoU`` of those of a segment.

        A point belongs to the shortest segment that contains it, whose middle is within `RADIUS`
        points, and whose further end is in the range of its level.
        """
        levels = outputs[1:]
        place, step = self.points(levels)
        nearest = torch.where(step > 1, 2 * step, 0)
        furthest = torch.where(step < self.steps[-1], 4 * step, torch.inf)
        output = torch.cat(levels, dim=1).float()
        shown = torch.cat([mask[:, ::step] for step in self.steps[1:]], dim=1)
        padded = F.pad(truth, (0, 0, 0, 1), value=-1)  # of a window without segments, too
        label, start, stop = padded[:, None].unbind(dim=-1)  # (B, 1, S)
        ends = torch.stack([place[:, None] - start, stop - place[:, None]], dim=-1)  # (B, P, S, 2)
        further = ends.amax(dim=-1)
        near = (place[:, None] - (start + stop) / 2).abs() <= RADIUS * step[:, None]
        fits = (ends.amin(dim=-1) > 0) & near & (label >= 0) & shown[..., None]
        fits &= (further >= nearest[:, None]) & (further < furthest[:, None])
        length = torch.where(fits, (stop - start).float(), torch.inf)
        shortest, own = length.min(dim=2)
        positive = shortest.isfinite()
        target = torch.zeros_like(output[..., :-2])
        classes = label.expand_as(length).gather(2, own[..., None])[..., 0]
        target[positive] = F.one_hot(classes[positive], self.classes).to(target.dtype)
        from torchvision import ops  # loads torch's compiler, which takes a second

        focal = ops.sigmoid_focal_loss(output[..., :-2], target, reduction="none").sum(dim=-1)
        ends = ends.gather(2, own[..., None, None].expand(-1, -1, 1, 2))[:, :, 0]
        guess = output[..., -2:] * step[:, None]
        distance = ops.distance_box_iou_loss(as_boxes(guess[positive]), as_boxes(ends[positive]))
        error = (focal * shown).index_put((positive,), distance, accumulate=True)
        return super().errors(outputs, mask, truth) + error.sum(dim=1)

    def find(self, outputs: Whole, sigma: float) -> Found:
        """The points' segments after Gaussian suppression within each class.

        Confidence is the geometric mean of a point's score and of the frames of its segment.
        """
        frames, levels = outputs[0].float().softmax(dim=1).double(), outputs[1:]
        place, step = self.points(levels)
        output = torch.cat(levels).float()
        ends = place[:, None] + output[:, -2:] * step[:, None] * torch.tensor([-1.0, 1.0])
        ends = ends.clamp(0, len(frames)).double()
        total = F.pad(frames[:, :-1].cumsum(dim=0), (0, 0, 1, 0))
        start, stop = ends.round().long().unbind(dim=1)
        mean = (total[stop] - total[start]) / (stop - start).clamp(min=1)[:, None]
        every, scores = ends.numpy(), (output[:, :-2].sigmoid() * mean).sqrt().numpy()
        parts = []
        for label, own in enumerate(scores.T):
            order = np.argsort(-own, kind="stable")[:MOST]
            order = order[own[order] >= FLOOR]
            kept, confidence = suppress(every[order], own[order], sigma)
            first, last = every[order[kept]].T
            parts.append(Found(np.full(len(kept), label), first, last, confidence))
        return Found(*(np.concatenate(own) for own in zip(*parts, strict=True)))


def as_boxes(ends: Float[Tensor, "P 2"]) -> Float[Tensor, "P 4"]:
    """Distances to both ends as boxes of hardly any height, whose DIoU is that of the segments."""
    before, after = ends.unbind(dim=-1)
    flat = torch.zeros_like(before)
    return torch.stack([-before, flat, after, flat + 1e-2], dim=-1)


def suppress(
    ends: Float[np.ndarray, "N 2"], scores: Float[np.ndarray, " N"], sigma: float
) -> tuple[Int[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    """Soft suppression (Bodla et al., ICCV 2017): ``s_i <- s_i exp(-IoU(i, best)² / σ)``.

    Returns the places of those that remain above `FLOOR`, by falling confidence, and these.
    """
    scores, places, confidence = scores.copy(), [], []
    start, stop = ends.T
    while len(scores) and scores.max() >= FLOOR:
        best = int(scores.argmax())
        places.append(best)
        confidence.append(scores[best])
        both = np.minimum(stop, stop[best]) - np.maximum(start, start[best])
        both = np.maximum(both, 0)
        union = np.maximum(stop - start + stop[best] - start[best] - both, 1e-9)
        scores *= np.exp(-((both / union) ** 2) / sigma)
        scores[best] = 0
    return np.array(places, dtype=int), np.array(confidence, dtype=float)


BUILDERS: dict[str, Callable[..., FrameNetwork]] = {"frames": FrameNetwork, "pyramid": Pyramid}


@torch.no_grad()
def read(model: FrameNetwork, features: Float[Tensor, "T D"], chunk: int = 4096) -> Whole:
    """The outputs of each level for a whole video, read so many frames at a time.

    A chunk sees `reach` further frames on both sides, so the numbers are those of the whole video,
    and memory does not grow with its length but for the outputs.
    """
    coarsest = model.steps[-1]
    margin = -(-model.reach // coarsest) * coarsest
    chunk = max(1, chunk // coarsest) * coarsest
    parts = []
    for start in range(0, len(features), chunk):
        first, stop = max(0, start - margin), min(len(features), start + chunk)
        own = features[None, first : stop + margin]
        outputs = model(own, torch.ones(own.shape[:2], dtype=torch.bool, device=own.device))
        parts.append(
            [
                output[0, (start - first) // step : -(-(stop - first) // step)].cpu()
                for output, step in zip(outputs, model.steps, strict=True)
            ]
        )
    return [torch.cat(level) for level in zip(*parts, strict=True)]

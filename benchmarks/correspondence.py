"""Does CMTF detect what late fusion cannot: which joint corresponds to which patch, and when?

Each clip has a mark in one patch of the picture and a tremor of one joint, each at one moment.
There are two pairs of classes. In the place pair the mark is at the trembling joint or at another
one, in the moment pair it is simultaneous with the tremor or at another moment. The hue of the mark
and the pattern of the tremor identify the pair; their place and time are uniform in all classes, so
that neither modality alone separates the classes of a pair.

python -m benchmarks.correspondence        about 20 minutes on two cores
"""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Int
from torch import Tensor

from imigue_lab.models.gesture import GestureModel, build_gesture
from imigue_lab.models.tokens import Tokens, grid_tokens

CHANNELS = 16
STEPS = 1500
SIGNAL, NOISE = 3.0, 0.3


@dataclass(frozen=True)
class Scene:
    """Sizes of a clip: steps in time, patches a side, joints."""

    steps: int = 8
    side: int = 4
    joints: int = 8


def draw(
    scene: Scene, clips: int, generator: torch.Generator
) -> tuple[Tokens, Tokens, Int[Tensor, " B"]]:
    """Tokens of both modalities and the class of each clip; joints do not move."""

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    # Place pair: 0 at the joint, 1 elsewhere; moment pair: 2 with the tremor, 3 at another time.
    label = (4 * random(clips)).long()
    steps, joints, side = scene.steps, scene.joints, scene.side
    patch = random(clips, side**2).argsort(dim=1)[:, :joints]  # each joint in a different patch
    corner = torch.stack([patch % side, patch // side], dim=-1)
    places = (corner + random(clips, joints, 2)) / side
    rgb = grid_tokens(NOISE * torch.randn(clips, steps, side, side, CHANNELS, generator=generator))
    pose = Tokens(
        NOISE * torch.randn(clips, steps * joints, CHANNELS, generator=generator),
        repeat((torch.arange(steps) + 0.5) / steps, "t -> b (t v)", b=clips, v=joints),
        torch.ones(clips, steps * joints, dtype=torch.bool),
        repeat(places, "b v xy -> b (t v) xy", t=steps),
    )
    clip = torch.arange(clips)
    moment, other_moment = random(clips, steps).argsort(dim=1)[:, :2].unbind(dim=1)
    joint, other_joint = random(clips, joints).argsort(dim=1)[:, :2].unbind(dim=1)
    marked = torch.where(label == 1, other_joint, joint)
    when = torch.where(label == 3, other_moment, moment)
    kind = SIGNAL * F.one_hot(label // 2, CHANNELS)
    pose.values[clip, moment * joints + joint] += kind
    rgb.values[clip, when * side**2 + patch[clip, marked]] += kind
    return rgb, pose, label


def build(scene: Scene, fusion: str, seed: int, slopes: float | None = None) -> GestureModel:
    torch.manual_seed(seed)
    model = build_gesture(
        CHANNELS, CHANNELS, classes=4, width=48, heads=6, fusion=fusion, memory=False
    )
    if slopes is not None:
        start = torch.tensor(slopes).expm1().log()
        for direction in (model.fusion.rgb_from_pose, model.fusion.pose_from_rgb):
            direction.slopes.data.fill_(start)
    return model


def fit(model: GestureModel, scene: Scene, steps: int, clips: int = 64, lr: float = 1e-3) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        rgb, pose, label = draw(scene, clips, generator)
        optimizer.zero_grad()
        F.cross_entropy(model(rgb, pose).logits, label).backward()
        optimizer.step()


@torch.no_grad()
def accuracy_within_pairs(model: GestureModel, scene: Scene, clips: int = 1000) -> float:
    """Share of clips in which the correct class of its pair has the larger logit; 0.5 is chance."""
    rgb, pose, label = draw(scene, clips, torch.Generator().manual_seed(2))
    logits = model.eval()(rgb, pose).logits
    correct, other = (logits.gather(1, (label ^ flip)[:, None]) for flip in (0, 1))
    return float((correct > other).float().mean())


def main() -> None:
    scene = Scene()
    for name, fusion, seed, slopes in (
        ("cmtf, seed 0", "cmtf", 0, None),
        ("cmtf, seed 1", "cmtf", 1, None),
        ("cmtf, slopes from 0.7", "cmtf", 0, 0.7),
        ("cross_attention", "cross_attention", 0, None),
        ("concat", "concat", 0, None),
        ("late", "late", 0, None),
    ):
        start = time.perf_counter()
        model = build(scene, fusion, seed, slopes)
        fit(model, scene, STEPS)
        accuracy = accuracy_within_pairs(model, scene)
        print(f"{name}: {accuracy:.3f} of 1000, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()

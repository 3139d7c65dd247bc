"""SwinFace, the face encoder: a Swin-T with finer patches, and its 42 outputs in 11 branches.

Qin et al. 2023, as published. The blocks are torchvision's, equal to the published ones; their
plain softmax is as fast as a fused attention over windows of 49 places.

Letters in shapes: B faces, h x w places of a stage, C its channels, D width of the embedding and
of a branch (512), n logits of one output. Maps for the branches are of 7 x 7 places.
"""

from collections import OrderedDict
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.swin_transformer import PatchMerging, SwinTransformerBlock
from torchvision.ops import Permute

Size = Literal["full", "tiny"]
Faces = Float[Tensor, "B 3 side side"]
Places = Float[Tensor, "B h w C"]
FewerPlaces = Float[Tensor, "B _ _ _"]  # of twice the channels, except for the last stage
Maps = list[Float[Tensor, "B _ 7 7"]]
Vectors = Float[Tensor, "B D"]

WINDOW = 7  # places on each side
BRANCHES = (
    ("Gender",),
    ("Age", "Young"),
    ("Expression", "Smiling"),
    ("Attractive", "Blurry", "Chubby", "Heavy Makeup", "Oval Face", "Pale Skin"),
    (
        *("Bald", "Bangs", "Black Hair", "Blond Hair", "Brown Hair", "Gray Hair"),
        *("Receding Hairline", "Straight Hair", "Wavy Hair", "Wearing Hat"),
    ),
    ("Arched Eyebrows", "Bags Under Eyes", "Bushy Eyebrows", "Eyeglasses", "Narrow Eyes"),
    ("Big Nose", "Pointy Nose"),
    ("High Cheekbones", "Rosy Cheeks", "Wearing Earrings", "Sideburns"),
    (
        *("Five O'Clock Shadow", "Big Lips", "Mouth Slightly Open", "Mustache"),
        *("Wearing Lipstick", "No Beard"),
    ),
    ("Double Chin", "Goatee"),
    ("Wearing Necklace", "Wearing Necktie"),
)
LOGITS = {"Age": 1, "Expression": 7}  # the others are binary: 2
EXPRESSIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")


class FaceBranch(nn.Module):
    """One group of outputs, from features that the branch selects.

        c = [conv_1(x_1); conv_2(x_2); ...]         a share of channels from each backbone map
        a = BN(max_places ReLU(c ⊙ σ(MLP(mean c) + MLP(max c))))
        output = Linear(ReLU(Linear(ReLU(Linear(a)))))

    The published training has dropout between the last three; these heads are for inference.
    """

    def __init__(self, channels: list[int], dim: int, names: tuple[str, ...]):
        super().__init__()
        shares = [round(dim * c / sum(channels)) for c in channels]
        self.convs = nn.ModuleList(
            nn.Conv2d(c, share, kernel_size=3, padding=1, bias=False)
            for c, share in zip(channels, shares, strict=True)
        )
        self.gate = nn.Sequential(nn.Linear(dim, dim // 16), nn.ReLU(), nn.Linear(dim // 16, dim))
        self.norm = nn.BatchNorm1d(dim, eps=2e-5)
        self.refine = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU())
        self.names = names
        self.outputs = nn.ModuleList(nn.Linear(dim, LOGITS.get(name, 2)) for name in names)

    def attend(self, maps: Maps) -> Vectors:
        c = torch.cat([conv(x) for conv, x in zip(self.convs, maps, strict=True)], dim=1)
        mean, top = (reduce(c, "b d h w -> b d", by) for by in ("mean", "max"))
        gate = torch.sigmoid(self.gate(mean) + self.gate(top))
        return self.norm(reduce(F.relu(c * gate[..., None, None]), "b d h w -> b d", "max"))

    def forward(self, maps: Maps) -> dict[str, Float[Tensor, "B n"]]:
        refined = self.refine(self.attend(maps))
        pairs = zip(self.names, self.outputs, strict=True)
        return {name: output(refined) for name, output in pairs}


def build_stage(dim: int, depth: int, heads: int, last: bool) -> nn.Sequential:
    """Blocks, every second one with windows shifted by half a window, then a halving of h and w.

    The last stage is not halved. From (B, h, w, C) to twice the channels, except for the last.
    """
    shifts = [WINDOW // 2 * (block % 2) for block in range(depth)]
    blocks = (SwinTransformerBlock(dim, heads, [WINDOW] * 2, [shift] * 2) for shift in shifts)
    downsample = nn.Identity() if last else PatchMerging(dim)
    return nn.Sequential(OrderedDict(blocks=nn.Sequential(*blocks), downsample=downsample))


class Swin(nn.Module):
    """The backbone: stages of windowed attention, the mean over places, an embedding.

    ``embedding = BN(W_2 BN(W_1 mean_places LN(x)))``; not of unit length.
    """

    def __init__(
        self, patch: int, dim: int, depths: tuple[int, ...], heads: tuple[int, ...], embedding: int
    ):
        super().__init__()
        last = len(depths) - 1
        self.patch_embed = nn.Sequential(
            OrderedDict(
                proj=nn.Conv2d(3, dim, kernel_size=patch, stride=patch),
                places_first=Permute([0, 2, 3, 1]),
                norm=nn.LayerNorm(dim),
            )
        )
        self.layers = nn.ModuleList(
            build_stage(dim * 2**i, depth, heads[i], i == last) for i, depth in enumerate(depths)
        )
        width = dim * 2**last
        self.norm = nn.LayerNorm(width)
        self.feature = nn.Sequential(
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width, eps=2e-5),
            nn.Linear(width, embedding, bias=False),
            nn.BatchNorm1d(embedding, eps=2e-5),
        )

    def stages(self, faces: Faces) -> list[FewerPlaces]:
        """The output of each stage; the last is not normalised yet."""
        outputs = [self.patch_embed(faces)]
        for stage in self.layers:
            outputs.append(stage(outputs[-1]))
        return outputs[1:]

    def embed(self, last: Places) -> Float[Tensor, "B D"]:
        return self.feature(reduce(self.norm(last), "b h w c -> b c", "mean"))


class SwinFace(nn.Module):
    """Embedding of an aligned face of `side` pixels, of width D = `dim`, and the other outputs."""

    def __init__(self, backbone: Swin, heads: list[FaceBranch], side: int, dim: int):
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleList(heads)
        self.side, self.dim = side, dim

    def forward(self, faces: Faces) -> Float[Tensor, "B D"]:
        """Embeddings of RGB faces, (x / 255 - 0.5) / 0.5, without the heads."""
        self._check(faces)
        return self.backbone.embed(self.backbone.stages(faces)[-1])

    def analyse(self, faces: Faces) -> dict[str, Float[Tensor, "B n"]]:
        """All 42 outputs by their published names: `Age` is a number, the others are logits, those
        of `Expression` in the order of `EXPRESSIONS`."""
        maps = self.maps(faces)
        return {name: logits for head in self.heads for name, logits in head(maps).items()}

    def maps(self, faces: Faces) -> Maps:
        """The heads' inputs: each stage averaged to 7 x 7, from local to global features."""
        self._check(faces)
        if not self.heads:
            raise ValueError(
                "these SwinFace weights are of the backbone alone;"
                " load the whole published checkpoint to read faces"
            )
        stages = (rearrange(x, "b h w c -> b c h w") for x in self.backbone.stages(faces))
        return [F.adaptive_avg_pool2d(x, WINDOW) for x in stages]

    def _check(self, faces: Tensor) -> None:
        if faces.shape[-2:] != (self.side, self.side):
            raise ValueError(
                f"this SwinFace sees faces of {self.side} x {self.side} pixels,"
                f" got {faces.shape[-2]} x {faces.shape[-1]}; align them to its side"
            )


def build_swinface(size: Size = "full", heads: bool = True) -> SwinFace:
    """An untrained SwinFace.

    Args:
        size: `full` is the published model: faces of 112 pixels, an embedding of 512 numbers;
            `tiny` is the same design for demo and tests, faces of 56 pixels, an embedding of 64.
        heads: needed by `analyse`, not by the embedding.
    """
    if size not in get_args(Size):
        raise ValueError(f"size must be one of {', '.join(get_args(Size))}; got {size!r}")
    if size == "full":
        side, dim = 112, 512
        backbone = Swin(2, 96, (2, 2, 6, 2), (3, 6, 12, 24), dim)
        channels = [192, 384, 768, 768]
    else:
        side, dim = 56, 64
        backbone = Swin(4, 32, (2, 2), (2, 4), dim)
        channels = [64, 64]
    branches = [FaceBranch(channels, dim, names) for names in BRANCHES] if heads else []
    return SwinFace(backbone, branches, side, dim)

"""What SwinFace reads off a face: 42 outputs in 11 branches (Qin et al. 2023).

Letters in shapes: B faces, C channels of all maps of the backbone together, each brought to 7 x 7,
D width of a branch (512), n logits of one output.
"""

import torch
import torch.nn.functional as F
from einops import reduce
from jaxtyping import Float
from torch import Tensor, nn

Maps = list[Float[Tensor, "B _ 7 7"]]
Vectors = Float[Tensor, "B D"]

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
BRANCH_OF = {name: branch for branch, names in enumerate(BRANCHES) for name in names}
LOGITS = {"Age": 1, "Expression": 7}  # all others are yes or no: 2
EXPRESSIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")


class FaceBranch(nn.Module):
    """One group of outputs, from features that it picks for itself.

        c = [conv_1(x_1); conv_2(x_2); ...]         its share of each map of the backbone
        a = BN(max_places ReLU(c ⊙ σ(MLP(mean c) + MLP(max c))))
        output = Linear(ReLU(Linear(ReLU(Linear(a)))))

    The published training drops units between the last three; these heads are only read.
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
        return {
            name: output(refined) for name, output in zip(self.names, self.outputs, strict=True)
        }

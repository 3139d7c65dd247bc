"""2s-AGCN, both streams: a network of joints, a network of bones, and where their tokens lie.

Shi et al., CVPR 2019, section 3.4. The networks are trained apart (agcn.py).

Letters in shapes: B clips, M persons, T frames, S = T / 4 tokens in time, V joints, C channels, D
width of one network's tokens, DD of both.
"""

import torch
import torch.nn.functional as F
from einops import reduce
from jaxtyping import Bool, Float
from torch import Tensor, nn

from imigue_lab.models.agcn import AGCN, FrameMask, Skeletons

FRAMES = 4  # a token stands for


class TwoStream(nn.Module):
    """``logits = f_joint(joints) + f_bone(bones)``: raw scores, added.

    Args:
        joint, bone: of one layout and as many classes.
    """

    def __init__(self, joint: AGCN, bone: AGCN):
        super().__init__()
        for what, a, b in (
            ("keypoints", joint.layout.name, bone.layout.name),
            ("classes", joint.head.out_features, bone.head.out_features),
            ("persons", joint.persons, bone.persons),
        ):
            if a != b:
                raise ValueError(
                    f"{what}: the joint network has {a}, the bone network {b}; take two networks"
                    " that were trained alike"
                )
        self.joint = joint
        self.bone = bone

    def forward(
        self, joints: Skeletons, bones: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B classes"]:
        """Logits; `bones` as `data.skeletons.streams.bone` makes them."""
        return self.joint(joints, frame_mask) + self.bone(bones, frame_mask)

    def tokens(
        self, joints: Skeletons, bones: Skeletons, frame_mask: FrameMask | None = None
    ) -> Float[Tensor, "B persons S V DD"]:
        """Both networks' tokens side by side, before pooling (paper: 2 x 256)."""
        streams = self.joint.tokens(joints, frame_mask), self.bone.tokens(bones, frame_mask)
        return torch.cat(streams, dim=-1)


def place_tokens(
    places: Float[Tensor, "B M T V 2"], present: Bool[Tensor, "B M T V"]
) -> tuple[Float[Tensor, "B M S V 2"], Bool[Tensor, "B M S V"]]:
    """Where the joint of each token was, and whether it was seen at all.

    Args:
        places: x, y in pixels of the frames that the tokens were made from.
        present: False where a joint is missing, and in padded frames.

    Returns:
        The mean place over those of the token's four frames in which the joint was seen, and False
        where there was none (its place is 0).
    """
    padding = -places.shape[2] % FRAMES
    places = F.pad(places, (0, 0, 0, 0, 0, padding))
    present = F.pad(present, (0, 0, 0, padding))
    seen = present[..., None].to(places.dtype)
    groups = "b m (s f) v c -> b m s v c"
    count = reduce(seen, groups, "sum", f=FRAMES)
    total = reduce(places * seen, groups, "sum", f=FRAMES)
    return total / count.clamp(min=1), count[..., 0] > 0

"""DSCNet's stream of pictures as published: TSM's names, and those of its motion excitation.

The number of segments is not in the weights.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from imigue_lab.models.checkpoints import tsm
from imigue_lab.models.pictures.dscnet import MotionTSM, build_dscnet_rgb

PUBLISHED_TO_OURS = (
    (r"^TSM_intrada\.m1\.0\.", "motion.gather."),
    (r"^TSM_intrada\.m2\.0\.", "motion.gate."),
)


def build(state: Mapping[str, Tensor], segments: int = 8) -> MotionTSM:
    """An untrained network of the sizes that the tensors have, to load them into.

    Args:
        state: under its published names.
        segments: of a clip, as many as it was trained with; their frames are read off the weights.
    """
    ours = {rename(key): weight for key, weight in state.items()}
    seen = ours["motion.gather.weight"].shape[1] // 3  # frames, and the differences between them
    sizes = tsm.read_resnet({key.removeprefix("tsm."): ours[key] for key in ours if key})
    return build_dscnet_rgb(len(ours["tsm.head.weight"]), segments, (seen + 1) // 2, **sizes)


def rename(key: str) -> str | None:
    """Our name of a published key."""
    for published, ours in PUBLISHED_TO_OURS:
        if re.match(published, key):
            return re.sub(published, ours, key)
    return (name := tsm.rename(key)) and f"tsm.{name}"

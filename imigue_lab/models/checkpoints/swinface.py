"""SwinFace as published (`checkpoint_step_79999_gpu_0.pt`): a state dict a part.

The parts: backbone, fam (each branch's choice of features), tss (what it makes of them), om (the 42
outputs). A head that nothing uses and the classes of the training are in the file as well.
"""

import re

from torch import Tensor, nn

from imigue_lab.models.swinface import BRANCHES, Size, build_swinface

PLACES = [(i, k) for i, names in enumerate(BRANCHES) for k in range(len(names))]
OUTPUTS = {f"om.output_fcs.{n}": f"heads.{i}.outputs.{k}" for n, (i, k) in enumerate(PLACES)}

PUBLISHED_TO_OURS = (
    (r"^fam\.nets\.(\d+)\.conv\.convs\.", r"heads.\1.convs."),
    (r"^fam\.nets\.(\d+)\.channel_attention\.mlp\.1\.", r"heads.\1.gate.0."),
    (r"^fam\.nets\.(\d+)\.channel_attention\.mlp\.3\.", r"heads.\1.gate.2."),
    (r"^fam\.nets\.(\d+)\.norm\.", r"heads.\1.norm."),
    (r"^tss\.nets\.(\d+)\.feature\.0\.", r"heads.\1.refine.0."),
    (r"^tss\.nets\.(\d+)\.feature\.3\.", r"heads.\1.refine.2."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.3."),
    (r"^(patch_embed|layers|norm|feature)\.", r"backbone.\1."),
)
NOT_NEEDED = re.compile(r"^(head|softmax_fc)\.|\.(attn_mask|relative_position_index)$")


def build(state: dict[str, Tensor], size: Size = "full") -> nn.Module:
    """The model with its heads where the file has them; its call gives embeddings."""
    return build_swinface(size, heads=any(key.startswith(("fam.", "heads.")) for key in state))


def rename(key: str) -> str | None:
    """Our name of a published key, `None` for one that the model has no use for."""
    if NOT_NEEDED.search(key):
        return None
    whole, _, part = key.rpartition(".")
    if whole in OUTPUTS:
        return f"{OUTPUTS[whole]}.{part}"
    for published, ours in PUBLISHED_TO_OURS:
        key = re.sub(published, ours, key)
    return key

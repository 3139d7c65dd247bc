"""MViTv2 as PySlowFast publishes it (`MViTv2_S_16x4_k400_f302660347.pyth`), mmaction2, torchvision.

All are the same model: their outputs differ by rounding. What comes out is torchvision's model,
whose call gives logits; PySlowFast's applies a softmax to them in evaluation.
"""

import re

from torch import Tensor, nn

from imigue_lab.models.pictures.mvit import Clip, Size, build_mvit

PUBLISHED_TO_OURS = (
    (r"^cls_token$", "pos_encoding.class_token"),
    (r"^patch_embed\.proj(?:ection)?\.", "conv_proj."),
    (r"^(blocks\.\d+)\.proj\.", r"\1.project."),
    (r"\.attn\.proj\.", ".attn.project.0."),
    (r"\.attn\.pool_([qkv])\.weight$", r".attn.pool_\1.pool.weight"),
    (r"\.attn\.norm_([qkv])\.", r".attn.pool_\1.norm_act.0."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.3."),
    (r"^(?:head\.projection|cls_head\.fc_cls)\.", "head.1."),
    (r"^norm\d\.", "norm."),  # mmaction2's
    (r"^net\.", ""),  # our own MViT's
)


def build(state: dict[str, Tensor], size: Size = "small", clip: Clip | None = None) -> nn.Module:
    """torchvision's model with the file's number of classes.

    Args:
        state: the published weights by their published keys.
        size: which of our sizes the file holds.
        clip: frames, rows and columns; by default read off the tables of relative positions, which
            tell a square picture's side only.
    """
    ours = {rename(key): tensor for key, tensor in state.items()}
    if clip is None:
        rows, frames = (
            (len(ours[f"blocks.0.attn.rel_pos_{axis}"]) + 1) // 2 * patch
            for axis, patch in (("h", 4), ("t", 2))
        )
        clip = (frames, rows, rows)
    return build_mvit(size, len(ours["head.1.weight"]), clip).net


def rename(key: str) -> str | None:
    """torchvision's name of a published key; torchvision's own names stay as they are."""
    if key.startswith("data_preprocessor."):
        return None
    for published, ours in PUBLISHED_TO_OURS:
        key = re.sub(published, ours, key)
    return key

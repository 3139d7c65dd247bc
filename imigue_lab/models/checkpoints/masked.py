"""Published transformers that were pre-trained by masking: key maps, and sizes from the weights.

MAMP            its authors (Mao et al., ICCV 2023), of pre-training or fine-tuned
VideoMAE, V2    their authors, of pre-training or fine-tuned with mean pooling
"""

from typing import Any

import torch
from torch import Tensor

from imigue_lab.models.checkpoints.pictures import NAMES, Lengths, blocks_of

State = dict[str, Tensor]

MAMP, VIDEOMAE = ((*NAMES[own], *NAMES["block"]) for own in ("mamp", "videomae"))


def read_mamp(state: State, heads: int = 8, axes: int = 3) -> dict[str, Any]:
    """No shape shows the attention `heads`, or which channels are `axes` (of pre-training)."""
    embed, depths = state["joints_embed.proj.weight"], blocks_of(state, r"(\w*blocks)\.(\d+)\.")
    sizes = {
        "joints": state["pos_embed"].shape[2],
        "frames": state["temp_embed"].shape[1] * embed.shape[2],
        "channels": embed.shape[1],
        "width": len(embed),
        "depth": depths["blocks"],
        "heads": heads,
    }
    if "head.fc2.weight" in state:
        head = {"classes": len(state["head.fc2.weight"]), "hidden": len(state["head.fc1.weight"])}
        return sizes | head
    width = len(state["decoder_embed.weight"])
    return sizes | {"axes": axes, "decoder_width": width, "decoder_depth": depths["decoder_blocks"]}


def read_videomae(
    state: State,
    clip: Lengths = (16, 224, 224),
    heads: int | None = None,
    decoder_heads: int | None = None,
) -> dict[str, Any]:
    """No shape shows frames, rows and columns of a `clip`, nor the attention `heads`: as
    published, one for 64 of the width."""
    of = "encoder." if "encoder_to_decoder.weight" in state else ""
    embed, first = state[f"{of}patch_embed.proj.weight"], state[f"{of}blocks.0.mlp.fc1.weight"]
    depths = blocks_of(state, r"((?:en|de)coder\.|)blocks\.(\d+)\.")
    sizes = {
        "clip": clip,
        "patch": embed.shape[-1],
        "width": len(embed),
        "depth": depths[of],
        "heads": heads or max(1, len(embed) // 64),
        "ratio": len(first) / first.shape[1],
    }
    if not of:
        return sizes | {"classes": len(state["head.weight"])}
    width = len(state["encoder_to_decoder.weight"])
    return sizes | {
        "decoder_width": width,
        "decoder_depth": depths["decoder."],
        "decoder_heads": decoder_heads or heads or max(1, width // 64),
    }


def with_key_bias(state: State) -> State:
    """One bias of attention from those of queries and values; that of keys is 0."""
    found = dict(state)
    for key in state:
        if key.endswith(".attn.q_bias"):
            query, value = found.pop(key), found.pop(key.replace("q_bias", "v_bias"))
            joined = torch.cat([query, torch.zeros_like(query), value])
            found[key.replace("q_bias", "qkv.bias")] = joined
    return found

"""Recordings of published models: inputs, outputs, weights generated from keys."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def read_recording(folder: Path, name: str) -> tuple[dict, dict[str, Tensor]]:
    """The facts of a recording, and its arrays."""
    facts = json.loads((folder / f"{name}.json").read_text())
    with np.load(folder / f"{name}.npz") as arrays:
        return facts, {key: torch.from_numpy(arrays[key]) for key in arrays.files}


def made_weights(rows: list) -> dict[str, Tensor]:
    """A state dict from rows of key, shape, rule and scale; what a model keeps itself is all 7."""
    state = {}
    for key, shape, rule, scale in rows:
        draws = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)
        draws = np.asarray(draws, dtype=np.float32)
        state[key] = torch.from_numpy(
            {
                "normal": draws * np.float32(scale),
                "norm_weight": 1 + np.float32(scale) * draws,
                "running_var": np.abs(draws) + np.float32(0.5),
                "keep": np.full(shape, 7),
            }[rule]
        )
    return state

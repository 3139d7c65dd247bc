"""Recorded outputs of published skeleton networks, and the weights they were recorded with.

The weights are not stored: they follow from the name of each tensor (rules beside the recordings).
"""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Recording:
    """One network: its arrays, what its JSON says, and its state dict."""

    arrays: dict[str, np.ndarray]
    facts: dict
    state: dict[str, Tensor]

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name])

    def tolerance(self, precision: str) -> dict[str, float]:
        return self.facts["tolerance"][precision]


def recording(shared: Path, name: str, prefix: str = "") -> Recording:
    folder = shared / "fixtures" / "skeleton"
    facts = json.loads((folder / f"{name}.json").read_text())
    arrays = dict(np.load(folder / f"{name}.npz"))
    state = {}
    for key, shape, dtype in facts["state_dict"]:
        if prefix + key in facts["kept"]:
            state[key] = torch.from_numpy(arrays[f"kept/{prefix}{key}"])
        elif dtype == "int64":
            state[key] = torch.zeros(shape, dtype=torch.int64)
        else:
            state[key] = torch.from_numpy(drawn(prefix + key, shape, facts["gain"]))
    return Recording(arrays, facts, state)


def drawn(key: str, shape: list[int], gain: float) -> np.ndarray:
    z = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    v = np.float32(0.05) * z
    leaf = key.rpartition(".")[2]
    if leaf == "running_var":
        return abs(v) + np.float32(0.5)
    if leaf in ("alpha", "beta", "add_coeff"):
        return np.float32(0.5) + v
    if leaf != "weight":
        return v
    return 1 + v if len(shape) == 1 else z * np.float32(np.sqrt(gain / np.prod(shape[1:])))

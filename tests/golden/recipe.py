"""Small networks of every published family, and the logits for which all equalled their originals.

`python -m tests.golden.recipe` rewrites `logits.json`: only for an intended change, and only after
the tests against recordings of the published networks pass.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imigue_lab.models.checkpoints.registry import FAMILIES, load_published
from tests.models.published_names import (
    BUILT,
    NAMES,
    OPTIONS,
    input_shapes,
    outputs,
    published_name,
)

STORED = Path(__file__).with_name("logits.json")
LOGITS = 3  # stored for each of the two clips
GAIN = 1.5  # preserves the difference between the clips over depth


def drawn(key: str, like: Tensor) -> Tensor:
    """A weight from its published name and shape, of a scale that is preserved over depth."""
    z = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(like.shape)
    if key.endswith("running_var"):
        z = abs(z) + 0.5
    elif like.ndim > 1:
        z = z * GAIN / np.sqrt(np.prod(like.shape[1:]))
    elif key.endswith("weight") and like.ndim == 1:
        z = 1 + 0.1 * z
    else:
        z = 0.1 * z
    return torch.from_numpy(np.asarray(z, dtype=np.float32))


@torch.no_grad()
def logits(family: str) -> Tensor:
    """Of two clips, in double precision, so that the order of sums has no effect."""
    model = BUILT[family]()
    state = {}
    for ours, weight in model.state_dict().items():
        if weight.is_floating_point():
            key = published_name(ours, NAMES[family])
            state[key] = drawn(key, weight)
    if family == "pyskl/stgcn":
        for number, block in enumerate(model.blocks):
            state[f"backbone.gcn.{number}.gcn.A"] = block.graph.fixed
    elif family == "st-gcn":
        state["A"] = model.blocks[0].graph.fixed
    loaded = load_published({"state_dict": state}, family, **OPTIONS.get(family, {})).double()
    rng = np.random.default_rng(zlib.crc32(family.encode()))
    given = [torch.from_numpy(rng.standard_normal(s)) for s in input_shapes(family, model)]
    return outputs(loaded, given)[:, :LOGITS]


if __name__ == "__main__":
    rows = [
        f"  {json.dumps(f)}: {json.dumps(logits(f).numpy().round(7).tolist())}" for f in FAMILIES
    ]
    STORED.write_text("{\n" + ",\n".join(rows) + "\n}\n")

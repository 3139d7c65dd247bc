"""Starts a network of Table 1 from published weights: what fits is taken over, the rest is said.

The head is another where the classes are; what is of joints and persons, where these are.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from imigue_lab.data.keypoints import LAYOUTS, Layout
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import DataError
from imigue_lab.models.joint_norm import JointNorm
from imigue_lab.models.published import load_published, read_checkpoint, unwrap

FAMILIES_OF = {
    "2s-agcn": ("2s-agcn",),
    "st-gcn": ("st-gcn", "pyskl/stgcn"),
    "st-gcn++": ("pyskl/stgcn++",),
    "strongaug": ("pyskl/stgcn++",),
    "aagcn": ("aagcn", "pyskl/aagcn"),
    "ctr-gcn": ("ctr-gcn", "pyskl/ctrgcn"),
    "dg-stgcn": ("pyskl/dgstgcn",),
}
OF_JOINTS = re.compile(
    r"^norm\.|\.graph\.(learned|importance)$|\.emphasis\.joints\.weight$|\.time\.gamma$"
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


def read_start(checkpoint: str, name: str, layout: Layout) -> Start:
    """Reads a file of whichever family publishes the network.

    Args:
        name: of the network, a row of Table 1.
        layout: of the clips it is to be trained on.

    Raises:
        DataError: it is of none of these families; the sentence says what the first one misses.
    """
    state = unwrap(read_checkpoint(Path(checkpoint).expanduser()), checkpoint)
    keypoints = layout_like(state, layout)
    complaints = []
    for family in FAMILIES_OF[name]:
        try:
            return Start(checkpoint, family, load_published(checkpoint, family, **keypoints))
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
    published, new = start.model.state_dict(), []
    for name, place in model.state_dict().items():
        fits = name in published and published[name].shape == place.shape
        if fits:
            place.copy_(published[name])
        elif name.startswith("head.") or OF_JOINTS.search(name):
            new.append(name)
        else:
            raise DataError(
                f"{start.file}: is of another size than the model, at {name}; set size=paper"
            )
    return [f"started from {start.file} ({start.family}): {describe(model, start.model, new)}"]


def describe(model: nn.Module, published: nn.Module, new: list[str]) -> str:
    """What is new and why, in words."""
    taken = len(model.state_dict()) - len(new)
    said = [f"{taken} of {taken + len(new)} tensors taken over"]
    if any(name.startswith("head.") for name in new):
        classes = [len(m.get_parameter("head.weight")) for m in (published, model)]
        said.append(f"the head is new ({classes[0]} classes there, {classes[1]} here)")
    of_joints = [name for name in new if not name.startswith("head.")]
    if of_joints:
        there, here = (sizes_of(m.get_submodule("norm")) for m in (published, model))
        said.append(f"{len(of_joints)} tensors of joints are new ({there} there, {here} here)")
    else:
        said.append("joints taken to be the same, in the same order")
    return "; ".join(said)


def sizes_of(norm: nn.Module) -> str:
    assert isinstance(norm, JointNorm)
    persons = f"{norm.persons} person{'s' if norm.persons > 1 else ''}"
    return f"{len(norm.layout.joints)} joints, {persons}"

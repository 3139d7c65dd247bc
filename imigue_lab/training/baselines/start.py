"""Starts a network of Table 1 from published weights; what does not fit is new and reported.

The head is new unless the classes are iMiGUE's, here and by their number there: published files do
not name them. Weights that depend on joints or persons are new if these differ.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout
from imigue_lab.data.vocabulary import Vocabulary, builtin
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import DataError, advice
from imigue_lab.models.baselines import ROWS, Name
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
    "rgbpose-conv3d": ("rgbpose-conv3d",),
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


RANDOM = "started from random weights"


def missing_start(name: Name) -> list[str]:
    """The remark of a run without a checkpoint whose paper starts from pretrained weights."""
    if not (data := ROWS[name].start):
        return []
    how = ": set size=paper and checkpoint" if name in FAMILIES_OF else ""
    return [f"{RANDOM}, its paper from those of {data}{how}; expect less than published"]


class Start(NamedTuple):
    """A network with published weights.

    Attributes:
        file: its path in the settings.
        family: the one of `FAMILIES` that the file fits.
        model: as published.
    """

    file: str
    family: str
    model: nn.Module

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `build_baseline` with which the weights have the same meaning."""
        if self.family == "pyskl/ctrgcn":
            return {"original": False}
        if self.family in ("aagcn", "pyskl/aagcn"):
            return {"emphasis": any(".emphasis." in name for name in self.model.state_dict())}
        return {}


def identity_of_start(checkpoint: str) -> dict[str, str]:
    """The weights that a run started from, by content; empty without a checkpoint."""
    if not checkpoint:
        return {}
    try:
        return {"checkpoint": short_hash(Path(checkpoint).expanduser().read_bytes())}
    except OSError as error:
        todo = advice(error, "leave checkpoint empty")
        raise DataError(f"{checkpoint}: cannot be read ({error.strerror}); {todo}") from error


def read_start(
    checkpoint: str, name: str, layout: Layout | None, arguments: Mapping[str, Any]
) -> Start:
    """Reads a file of one of the families that publish the network.

    Args:
        name: of the network, a row of Table 1.
        layout: of the clips to train on; None for pictures only.
        arguments: of the network's builder.

    Raises:
        DataError: the file fits none of these families; the message is the first one's.
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
    errors = []
    for family in FAMILIES_OF[name]:
        try:
            return Start(checkpoint, family, load_published(checkpoint, family, **options))
        except DataError as error:
            errors.append(error)
    raise errors[0]


def layout_like(state: dict[str, Tensor], layout: Layout) -> dict[str, str]:
    """A layout of as many joints as the file's graphs, `layout` itself if it fits."""
    joints = [
        weight.shape[-1]
        for key, weight in state.items()
        if key.endswith((".PA", ".A")) or key.startswith("edge_importance.")
    ]
    known = [other.name for other in (layout, *LAYOUTS.values()) if other.name in LAYOUTS]
    fitting = [name for name in known if len(LAYOUTS[name].joints) in joints[:1]]
    return {"keypoints": fitting[0]} if fitting else {}


def take_over(model: nn.Module, start: Start, vocabulary: Vocabulary) -> list[str]:
    """Copies the weights that fit into the model.

    Args:
        vocabulary: of the model's classes; the head is kept for iMiGUE's alone.

    Returns:
        Remarks for the run: which weights are new, and why.

    Raises:
        DataError: a weight has another shape for other reasons than classes and joints.
    """
    published = start.model.state_dict()
    own = model.state_dict()
    new = [
        name for name in own if name not in published or published[name].shape != own[name].shape
    ]
    if vocabulary.classes != builtin("imigue").classes:
        new += [name for name in own if OF_CLASSES.search(name) and name not in new]
    for name in new:
        if not (OF_CLASSES.search(name) or OF_JOINTS.search(name)):
            raise DataError(
                f"{start.file}: expected the sizes of the model, got another at {name};"
                " set size=paper, and frames to as many as it was trained with"
            )
    for name in own.keys() - set(new):
        own[name].copy_(published[name])
    return [f"started from {start.file} ({start.family}): {describe(own, published, new)}"]


def describe(own: State, published: State, new: list[str]) -> str:
    """A sentence on the new weights and the reasons."""
    remarks = [f"{len(own) - len(new)} of {len(own)} tensors taken over"]
    heads = [name for name in new if OF_CLASSES.search(name)]
    joints = [name for name in new if name not in heads]
    if heads:
        before, after = (len(state[heads[0]]) for state in (published, own))
        which = f"{before} classes there, {after} here"
        which = which if before != after else f"of other classes than the {before} there"
        remarks.append(f"the head is new ({which})")
    if joints:
        shapes = " and ".join(str(tuple(state[joints[-1]].shape)) for state in (published, own))
        remarks.append(
            f"{len(joints)} are new, of other joints or persons ({joints[-1]} is {shapes} here)"
        )
    elif "norm.running_mean" in own or "stem.0.weight" in own:
        remarks.append("its joints are taken to be ours, in the same order")
    return "; ".join(remarks)

"""Starts a network of Table 1 from trained weights; what does not fit is new and reported.

They are a published file, or a finished run of the same network; RGBPose-Conv3D also starts from
its two halves, runs of `HALVES`. The head is new for other classes. Published files do not name
theirs: these are iMiGUE's if there are as many. Weights that depend on joints or persons are new if
these differ.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from imigue_lab.data.skeletons.keypoints import LAYOUTS, Layout, layout_of, to_stored
from imigue_lab.data.vocabulary import Vocabulary, builtin
from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import WEIGHTS, DataError, RunError, advice, bounded
from imigue_lab.models import import_builder
from imigue_lab.models.baselines import BUILDERS, BY_NAME, ROWS, Name
from imigue_lab.models.checkpoints.registry import (
    FAMILIES,
    State,
    load_published,
    read_checkpoint,
    unwrap,
)
from imigue_lab.training.leaks import USES_TEST
from imigue_lab.training.optimisers import HEAD
from imigue_lab.training.runs import Run, find_run, refuse_other_classes

FAMILIES_OF = {  # that publish each network
    name: [family for family, own in FAMILIES.items() if own.builder == builder]
    for name, builder in BUILDERS.items()
}
FILES = (".pt", ".pth", ".pyth")
HALVES = "slowonly", "poseconv3d"  # of RGBPose-Conv3D
OF_JOINTS = re.compile(
    r"^norm\.(weight|bias|running_mean|running_var)$|^(pose\.)?stem\.0\.weight$|^encoder\.place$"
    r"|\.graph\.(learned|importance)$|\.emphasis\.joints\.weight$|\.time\.gamma$"
)
OF_EXCHANGE = re.compile(r"^to_(rgb|pose)\.")  # between the halves, which do not have it
BY_ORDER = "norm.running_mean", "stem.0.weight", "encoder.place"  # of joints
RANDOM = "started from random weights"


def missing_start(name: Name) -> list[str]:
    """The remark of a run without a checkpoint whose paper starts from pretrained weights."""
    if not (data := ROWS[name].start):
        return []
    how = ": set size=paper and checkpoint" if FAMILIES_OF[name] else ""
    if name == "rgbpose-conv3d":
        how = f": set checkpoint={','.join(half.upper() for half in HALVES)}, finished runs of both"
    return [f"{RANDOM}, its paper from those of {data}{how}; expect less than published"]


def random_starts(run: Run) -> list[str]:
    """What a run, or one before it, remarks on a random start or on test interviews, by name."""
    kept = [own for own in run.provenance()["remarks"] if RANDOM in own or USES_TEST in own]
    return [f"{run.folder.name}: {remark}" for remark in kept]


class Start(NamedTuple):
    """Weights to start from."""

    source: str  # the file or the runs, as remarks name them
    state: State  # the weights by our names
    options: dict[str, Any]  # of `build_baseline`, with which the weights have the same meaning
    classes: tuple[str, ...]  # of the head
    same_joints: bool | None  # whether they are of the joints to train on; None if that is unknown
    remarks: list[str]  # of the runs, on their own start


def runs_named(checkpoint: str) -> list[Run]:
    """The finished runs that the setting names, separated by commas; none for a file."""
    path = Path(checkpoint).expanduser()
    file = "," not in checkpoint and (os.sep in checkpoint or path.suffix in FILES)
    if checkpoint in ("", *BY_NAME) or path.is_file() or (file and not path.is_dir()):
        return []
    return [find_run(name.strip()) for name in checkpoint.split(",")]


def identity_of_start(checkpoint: str) -> dict[str, str]:
    """The weights that a run started from, by content; empty without a checkpoint."""
    if checkpoint in ("", *BY_NAME):
        return {"checkpoint": checkpoint} if checkpoint else {}
    if runs := runs_named(checkpoint):
        return {"checkpoint": "-".join(run.weights_digest() for run in runs)}
    try:
        file = bounded(Path(checkpoint).expanduser(), WEIGHTS)
        return {"checkpoint": short_hash(file.read_bytes())}
    except OSError as error:
        todo = advice(error, "leave checkpoint empty")
        raise DataError(f"{checkpoint}: cannot be read ({error.strerror}); {todo}") from error


def read_start(
    checkpoint: str,
    name: Name,
    layout: Layout | None,
    arguments: Mapping[str, Any],
    stream: str = "joint",
) -> Start:
    """Reads finished runs, a file of one of the families that publish the network, or torchvision's
    weights by a name, `kinetics400` or `imagenet`.

    Args:
        name: of the network, a row of Table 1.
        layout: of the clips to train on; None for pictures only.
        arguments: of the network's builder.
        stream: what is seen of the joints.

    Raises RunError if the runs are of another network; DataError if the file fits none of these
    families, with the message of the first one.
    """
    if runs := runs_named(checkpoint):
        return start_of_runs(runs, name, layout, arguments, stream)
    if not FAMILIES_OF[name]:
        why = "published as a file for each of its streams, and cannot start from one"
        why = why if name == "dscnet" else "published in no form that is read here"
        raise DataError(f"{checkpoint}: {name} is {why}; name a finished run, or leave it empty")
    source: str | State = checkpoint
    if known := BY_NAME.get(checkpoint):
        if name not in known:
            expected = f"{checkpoint}: expected one of {', '.join(known)}, got {name}"
            raise DataError(f"{expected}; name a file or a run")
        from imigue_lab.models.weights import download

        source = download(checkpoint, name)
    options = {key: arguments[key] for key in ("segments", "size") if key in arguments}
    if layout is not None:
        state = unwrap(read_checkpoint(Path(checkpoint).expanduser()), checkpoint)
        options |= layout_like(state, layout)
    errors = []
    for family in FAMILIES_OF[name]:
        try:
            state = load_published(source, family, **options).state_dict()
        except DataError as error:
            errors.append(error)
            continue
        own: dict[str, Any] = {"original": False} if family == "pyskl/ctrgcn" else {}
        if family in ("aagcn", "pyskl/aagcn"):
            own = {"emphasis": any(".emphasis." in key for key in state)}
        classes = builtin("imigue").classes
        fitted = fit_positions(name, state, (), layout, arguments)
        return Start(f"{checkpoint} ({family})", state, own, classes, None, fitted)
    raise errors[0]


def start_of_runs(
    runs: list[Run], name: Name, layout: Layout | None, arguments: Mapping[str, Any], stream: str
) -> Start:
    """The weights of a run of the same network, or of both halves of RGBPose-Conv3D."""
    models = HALVES if name == "rgbpose-conv3d" and len(runs) > 1 else (name,)
    if len(runs) != len(models):
        halves = f", or runs of {' and '.join(HALVES)}" if name == "rgbpose-conv3d" else ""
        what, got = f"a run of {name}{halves}", f"{len(runs)} runs"
        raise RunError.expected("checkpoint", what, got, "name as many")
    states, found = list[State](), dict[str, Any]()
    for run, model in zip(runs, models, strict=True):
        found = run.read_checkpoint("best")
        task = {"pretraining": "pretraining"}.get(found["task"], "baseline")
        states.append(run.load_weights("best", found | {"task": task, "model": model}))
    refuse_other_classes("checkpoint", runs[0].vocabulary(), runs[-1].vocabulary())
    options = {key: found["arguments"][key] for key in found["arguments"].keys() - arguments.keys()}
    if found["task"] == "pretraining":
        options = {}  # those of its decoder
    if len(states) == 2:
        join = import_builder("pictures.poseconv3d:join_halves")
        states, options = [join(*states, **arguments)], {}
    same = name == "mamp" or found["keypoints"] == (to_stored(layout) if layout else "")
    if "heatmaps" in ROWS[name].modality:
        same = same and found["stream"] == stream  # a map for each joint, or for each limb
    names = " and ".join(run.folder.name for run in runs)
    source = f"{names} ({' and '.join(models)})"
    remarks = [remark for run in runs for remark in random_starts(run)]
    theirs = layout_of(found["keypoints"]).joints if found["keypoints"] else ()
    fitted = fit_positions(name, states[0], theirs, layout, arguments)
    return Start(source, states[0], options, tuple(found["classes"]), same, [*fitted, *remarks])


def fit_positions(
    name: Name,
    state: State,
    theirs: Sequence[str],
    layout: Layout | None,
    arguments: Mapping[str, Any],
) -> list[str]:
    """Fits MAMP's tables in place to the clips, and says how; VideoMAE computes its own.

    Those of times are interpolated. Those of joints go by the names of `theirs`, if known; joints
    without one of their name start at random, and so does a head, which reads all joints.
    """
    if name.startswith("videomae"):
        return [f"positions are those of clips of {' x '.join(map(str, arguments['clip']))}"]
    if name != "mamp" or layout is None:
        return []
    from imigue_lab.models import mamp

    said, ours = list[str](), layout.joints
    times, place = state["encoder.time"], state["encoder.place"]
    if (segments := arguments["frames"] // mamp.SEGMENT) != times.shape[1]:
        state["encoder.time"] = mamp.resized_times(times, segments)
        said.append(f"positions of {times.shape[1]} times are resized to {segments}")
    if theirs and theirs != ours:
        shared = [joint for joint in ours if joint in theirs]
        to, source = ([own.index(joint) for joint in shared] for own in (ours, theirs))
        state["encoder.place"] = table = mamp.embedding(1, 1, len(ours), place.shape[-1]).data
        table[:, :, to] = place[:, :, source]
        state.pop("head.0.weight", None)
        said.append(f"positions of {len(shared)} of {len(ours)} joints are taken over, by name")
    elif not theirs and layout.axes == 2:
        said.append("its third channel may be a coordinate, here it is a score")
    return said


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

    Returns remarks for the run: which weights are new, and why. `vocabulary` is of the model's
    classes; the head is kept for the same alone. Raises DataError if a weight has another shape for
    other reasons than classes and joints.
    """
    own, new = model.state_dict(), list[str]()
    for name, place in own.items():
        other_shape = name not in start.state or start.state[name].shape != place.shape
        other_classes = vocabulary.classes != start.classes and HEAD.search(name)
        if other_shape or other_classes or (start.same_joints is False and OF_JOINTS.search(name)):
            new.append(name)
    for name in new:
        if not any(of.search(name) for of in (HEAD, OF_JOINTS, OF_EXCHANGE)):
            raise DataError(
                f"{start.source}: expected the sizes of the model, got another at {name}; set size"
                " and frames to what it was trained with, of a published file size=paper"
            )
    for name in own.keys() - set(new):
        own[name].copy_(start.state[name])
    return [f"started from {start.source}: {describe(own, start, new)}", *start.remarks]


def describe(own: State, start: Start, new: list[str]) -> str:
    """A sentence on the new weights and the reasons."""
    remarks = [f"{len(own) - len(new)} of {len(own)} tensors taken over"]
    heads, exchange = ([n for n in new if of.search(n)] for of in (HEAD, OF_EXCHANGE))
    joints = [name for name in new if name not in (*heads, *exchange)]
    if heads:
        before, after = (len(state.get(heads[0], ())) for state in (start.state, own))
        which = f"{before} classes there, {after} here"
        which = which if before != after else f"of other classes than the {before} there"
        which = which if before else "the start has none"
        remarks.append(f"the head is new ({which})")
    if exchange:
        remarks.append(f"{len(exchange)} are new, of the exchange between both")
    if joints:
        shapes = " and ".join(str(tuple(state[joints[-1]].shape)) for state in (start.state, own))
        remarks.append(
            f"{len(joints)} are new, of other joints or persons ({joints[-1]} is {shapes} here)"
        )
    elif start.same_joints is None and not own.keys().isdisjoint(BY_ORDER):
        remarks.append("its joints are taken to be ours, in the same order")
    return "; ".join(remarks)

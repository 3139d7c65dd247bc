"""No leak through an encoder: it must not have seen what the run that uses it holds out.

A run records its training clips. As an encoder of another run it is accepted only if they are
training clips of that run too, with the same content: so for every fold, search and data root.

A run may start from the weights of another, on clips of any data: of these it must not hold out
one, by its id or its content.

    <run>/training_clips.parquet   clip_id, and digests of what was seen of it and of its label:
                                   `skeleton`, `picture`; null where the run did not use it;
                                   `own` is false for clips of the runs that it started from
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import pandas as pd

from imigue_lab.errors import RunError, some
from imigue_lab.training.runs import Run, runs_folder

RECORD = "training_clips.parquet"
USES_TEST = "pre-trained on interviews of the test split too"  # a remark
Kind = Literal["skeleton", "picture"]
Contents = dict[str, str]  # clip id -> digest of a training clip and its label


def record_training_clips(
    run: Run, contents: Mapping[str, Contents], starts: Collection[Run] = ()
) -> None:
    """Writes the training clips of a run, by kind, and those of the runs that it started from."""
    table = pd.DataFrame(contents, columns=["skeleton", "picture"], dtype="string")
    table = table.rename_axis("clip_id").sort_index().reset_index().assign(own=True)
    before = [read_record(start).assign(own=False) for start in starts]
    run.write_table(RECORD, pd.concat([table, *before], ignore_index=True))


def read_record(run: Run) -> pd.DataFrame:
    """Columns clip_id, skeleton, picture, own; RunError if the run has no record."""
    path = run.folder / RECORD
    if not path.exists():
        raise RunError(
            f"{path}: not found: the run does not say on which clips it was trained, so what it has"
            " seen is unknown; train it again"
        )
    with run.reading(RECORD):
        table = pd.read_parquet(path)
        table["own"] = table.get("own", True)  # runs of earlier versions had no start
        return table[["clip_id", "skeleton", "picture", "own"]]


def read_training_clips(run: Run, kind: Kind) -> Contents:
    record = read_record(run)
    return record[record.own].set_index("clip_id")[kind].dropna().to_dict()


def held_out(clips: pd.DataFrame, *contents: Contents) -> set[str]:
    """The ids of the clips that are not of train and of their videos, and digests of contents."""
    held = clips[clips.split != "train"]
    ids = {*held.clip_id, *held.video_id}
    return ids.union(*([own[i] for i in ids & own.keys()] for own in contents))


def refuse_held_out(
    parameter: str, run: Run, held: Collection[str], start_only: bool = False
) -> None:
    """Raises a RunError if weights, or only those they started from, saw a clip of `held_out`."""
    seen = read_record(run)
    seen = seen[~seen.own] if start_only else seen
    outside = sorted(set(seen.clip_id[seen.isin(held).any(axis=1)]))
    if outside:
        raise RunError(
            f"{parameter}: expected weights that have not seen what this run holds out, got run"
            f" {run.folder.name!r}, which or whose start was trained on {len(outside)} of these"
            f" clips: {some(outside)}; train it on the data, fold and seed of this run, or leave"
            f" {parameter} empty"
        )


def refuse_leak(
    parameter: str, encoder: Run, kind: Kind, own: Contents, held: Collection[str]
) -> None:
    """Raises a RunError unless the encoder's training clips are a subset of a run's own, and those
    of its start are not held out.

    `parameter` is the one that names the encoder.
    """
    refuse_held_out(parameter, encoder, held, start_only=True)
    seen = read_training_clips(encoder, kind)
    outside = sorted(clip_id for clip_id in seen if own.get(clip_id) != seen[clip_id])
    if outside:
        raise RunError(
            f"{parameter}: expected an encoder trained on training clips of this run only, got run"
            f" {encoder.folder.name!r}, of whose {len(seen)} clips {len(outside)} are held out here"
            f" or differ: {some(outside)}; train it on the data, fold and seed of this run, or"
            f" leave {parameter} empty"
        )


def pose_runs_of(provenance: dict[str, Any]) -> dict[str, str]:
    """The runs of a gesture run's pose encoder by the settings that name them."""
    names, runs = ("joint_run", "bone_run"), provenance["pose"]
    return dict(zip(names if len(runs) == 2 else ("pose_run",), runs, strict=True))


def refuse_leaked(run: Run) -> None:
    """The same for a gesture run that is finished, and those of its encoders that still exist."""
    own = {kind: read_training_clips(run, kind) for kind in ("skeleton", "picture")}
    made, held = run.provenance(), held_out(run.predictions())
    names = list(pose_runs_of(made).items())
    names += [("rgb_run", made["rgb"])] * bool(made["where"].get("rgb_run"))
    for parameter, name in names:
        encoder = Run(runs_folder() / name)
        if encoder.finished:
            kind: Kind = "picture" if parameter == "rgb_run" else "skeleton"
            refuse_leak(f"{run.folder.name}, {parameter}", encoder, kind, own[kind], held)

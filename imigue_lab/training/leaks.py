"""No leak through an encoder: it must not have seen what the run that uses it holds out.

A run records its training clips. As an encoder of another run it is accepted only if they are
training clips of that run too, with the same content: so for every fold, search and data root.

    <run>/training_clips.parquet   clip_id, and digests of what was seen of it and of its label:
                                   `skeleton`, `picture`; null where the run did not use it
"""

from typing import Literal

import pandas as pd

from imigue_lab.errors import RunError, some
from imigue_lab.training.runs import Run, runs_folder

RECORD = "training_clips.parquet"
Kind = Literal["skeleton", "picture"]
Contents = dict[str, str]  # clip id -> digest of a training clip and its label


def record_training_clips(run: Run, **contents: Contents) -> None:
    """Writes the training clips of a run, by kind."""
    table = pd.DataFrame(contents, columns=["skeleton", "picture"], dtype="string")
    run.write_table(RECORD, table.rename_axis("clip_id").sort_index().reset_index())


def read_training_clips(run: Run, kind: Kind) -> Contents:
    """Raises RunError if the run has no record."""
    path = run.folder / RECORD
    if not path.exists():
        raise RunError(
            f"{path}: not found: the run does not say on which clips it was trained, so what it has"
            " seen is unknown; train it again"
        )
    return pd.read_parquet(path).set_index("clip_id")[kind].dropna().to_dict()


def refuse_leak(parameter: str, encoder: Run, kind: Kind, own: Contents) -> None:
    """Raises a RunError unless the encoder's training clips are a subset of a run's own.

    `parameter` is the one that names the encoder.
    """
    seen = read_training_clips(encoder, kind)
    outside = sorted(clip_id for clip_id in seen if own.get(clip_id) != seen[clip_id])
    if outside:
        raise RunError(
            f"{parameter}: expected an encoder trained on training clips of this run only, got run"
            f" {encoder.folder.name!r}, of whose {len(seen)} clips {len(outside)} are held out here"
            f" or differ: {some(outside)}; train it on the data, fold and seed of this run, or"
            f" leave {parameter} empty"
        )


def refuse_leaked(run: Run) -> None:
    """The same for a gesture run that is finished, and those of its encoders that still exist."""
    own = {kind: read_training_clips(run, kind) for kind in ("skeleton", "picture")}
    made = run.provenance()
    names = [("joint_run", made["pose"][0]), ("bone_run", made["pose"][1])]
    names += [("rgb_run", made["rgb"])] * bool(made["where"].get("rgb_run"))
    for parameter, name in names:
        encoder = Run(runs_folder() / name)
        if encoder.finished:
            kind: Kind = "picture" if parameter == "rgb_run" else "skeleton"
            refuse_leak(f"{run.folder.name}, {parameter}", encoder, kind, own[kind])

"""Finished runs on the same clips: joined by id, and what one gains over the other.

Score fusion: finished runs decide together, ``p = Σ_r w_r p_r / Σ_r w_r``, joined by clip id.

Streams of one network (2:2:1:1 for joint, bone and their motions in pyskl), networks of one stream,
or pose and pictures. Weights are uniform, given, or searched on validation; never on the test.

Letters in shapes: R runs, N clips, K classes.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock
from jaxtyping import Float
from pydantic import Field

from imigue_lab.data.workspace import short_hash
from imigue_lab.errors import RunError, SettingsError, some
from imigue_lab.training.gesture_scores import (
    bootstrap_intervals,
    labelled,
    point_scores,
    probabilities,
    score_table,
)
from imigue_lab.training.provenance import describe_environment
from imigue_lab.training.runs import Run, find_run, open_run
from imigue_lab.training.scores import draw_groups, with_interval
from imigue_lab.training.settings import Settings

SHARED = ("video_id", "subject", "split", "label")


class Gain(NamedTuple):
    """How much more of the clips the first model gets right.

    Attributes:
        top1: difference of the shares, first minus second.
        interval: of it, 95 %: whole videos are drawn, the same ones for both.
        n, videos: what it rests on.
    """

    top1: float
    interval: tuple[float, float]
    n: int
    videos: int


def paired_gain(
    first: pd.DataFrame, second: pd.DataFrame, seed: int = 0, unit: str = "video_id"
) -> Gain:
    """Two tables of labelled predictions, joined by clip id.

    Args:
        unit: column of what is drawn; `subject` where videos of one subject hang together.

    Raises:
        RunError: they are not of the same clips.
    """
    other = second.set_index("clip_id")
    if len(first) != len(second) or set(first.clip_id) != set(other.index):
        raise RunError(
            f"two models are compared on the same clips; {len(first)} and {len(second)} were given,"
            f" {len(set(first.clip_id) & set(other.index))} in both"
        )
    gained = right(first) - right(other.loc[first.clip_id])
    group, names = pd.factorize(first[unit])
    draws = draw_groups(len(names), seed)
    shares = draws @ np.bincount(group, weights=gained) / (draws @ np.bincount(group))
    low, high = np.quantile(shares, [0.025, 0.975])
    return Gain(float(gained.mean()), (float(low), float(high)), len(first), len(names))


def right(predictions: pd.DataFrame) -> np.ndarray:
    """1 where the most probable class is the label."""
    said = probabilities(predictions).argmax(axis=1)
    return (said == predictions.label.to_numpy(dtype=int)).astype(float)


def join_runs(runs: Sequence[Run]) -> list[pd.DataFrame]:
    """The predictions of each run, rows in the order of clip ids.

    Of train, the clips that all of them have: some lack what one network reads.

    Raises:
        RunError: they are not of the same clips of validation and test, or differ in parts, labels
            or classes; the sentence names the runs and what differs.
    """
    if len(runs) < 2 or len({run.folder for run in runs}) < len(runs):
        raise RunError("two runs or more are due, each once; name others")
    tables = [clips_of(run) for run in runs]
    first, known = tables[0], classes_of(runs[0])
    for run, table in zip(runs[1:], tables[1:], strict=True):
        pair = f"{runs[0].folder.name} and {run.folder.name}"
        if probabilities(table).shape[1] != probabilities(first).shape[1]:
            raise RunError(f"{pair}: tell different numbers of classes; join runs of one task")
        if known and classes_of(run) and classes_of(run) != known:
            raise RunError(f"{pair}: their classes have other names; join runs of one task")
        differing = held_out(first) ^ held_out(table)
        if differing:
            raise RunError(
                f"{pair}: {len(differing)} clips are not held out in both,"
                f" {some(sorted(differing))}; join runs of the same data and fold"
            )
    shared = set.intersection(*(set(table.clip_id) for table in tables))
    tables = [t[t.clip_id.isin(shared)].reset_index(drop=True) for t in tables]
    first = tables[0]
    for run, table in zip(runs[1:], tables[1:], strict=True):
        pair = f"{runs[0].folder.name} and {run.folder.name}"
        for column in SHARED:
            same = table[column].eq(first[column]).fillna(False)
            same |= table[column].isna() & first[column].isna()
            if not same.all():
                raise RunError(
                    f"{pair}: differ in the {column} of {(~same).sum()} clips,"
                    f" {some(first.clip_id[~same])}; join runs of the same data, fold and seed"
                )
    return tables


def held_out(table: pd.DataFrame) -> set[str]:
    return set(table.clip_id[table.split != "train"])


def clips_of(run: Run) -> pd.DataFrame:
    """Its predictions in the order of clip ids."""
    predictions = run.predictions()
    if "clip_id" not in predictions or "p0" not in predictions:
        raise RunError(f"{run.folder.name}: does not tell classes of clips; name another run")
    return predictions.sort_values("clip_id", ignore_index=True)


def classes_of(run: Run) -> list[str]:
    """The names of its classes; of a fusion, which has no checkpoint, nothing is known."""
    if not (run.folder / "best.safetensors").exists():
        return []
    return run.read_checkpoint("best")["classes"]


Weights = Float[np.ndarray, " R"]
ROUNDS = 1000  # of the search


class FusionSettings(Settings):
    """What is fused, and how."""

    runs: str = Field("", description="finished runs, with commas")
    weights: str = Field(
        "uniform",
        pattern=r"^(uniform|search|\d+(\.\d+)?(:\d+(\.\d+)?)*)$",
        description="uniform, search (on validation), or one for each run such as 2:2:1:1",
    )


def fuse(names: Sequence[str], weights: str = "uniform", name: str = "", seed: int = 0) -> Run:
    """A run folder of its own: predictions, scores, and in `fusion.json` who weighs how much.

    Args:
        names: of finished runs that predict the classes of clips, or their paths.
        weights: `uniform`, `search`, or `2:1:...` in the order of the names.
        name: of the folder; empty: made from what is fused.

    Raises:
        RunError: the runs are not of the same clips, labels, parts or classes; says which differ.
        SettingsError: the weights are not one for each run, or all 0.
    """
    runs = [find_run(own) for own in names]
    asked = {"runs": ",".join(run.folder.name for run in runs), "weights": weights}
    settings = FusionSettings.from_arguments({**asked, "name": name, "seed": seed})
    tables = join_runs(runs)
    shares = weigh(weights, tables)
    content = [(run.folder / "predictions.parquet").read_bytes() for run in runs]
    fused = open_run("fusion", settings, {"digest": short_hash(*content)})
    with FileLock(fused.folder / ".lock"):
        if not fused.announce([]):
            return fused
        predictions = combine(tables, shares)
        fused.write_predictions(predictions)
        members = [run.folder.name for run in runs]
        fused.write_json("fusion.json", compare(predictions, tables, members, shares, seed))
        origins = [run.provenance() for run in runs]
        remarks = dict.fromkeys(remark for origin in origins for remark in origin["remarks"])
        provenance = {
            "where": origins[0]["where"] | {"name": name, "preset": ""},
            "synthetic": any(run.synthetic for run in runs),
            "remarks": list(remarks),
        }
        fused.write_json("provenance.json", describe_environment() | provenance)
        fused.write_scores(score_table(predictions, seed))
    return fused


def weigh(weights: str, tables: list[pd.DataFrame]) -> Weights:
    """One weight a run, of sum 1."""
    if weights == "uniform":
        return np.full(len(tables), 1 / len(tables))
    if weights == "search":
        return search_weights([labelled(table, "validation") for table in tables])
    numbers = np.array([float(number) for number in weights.split(":")])
    if len(numbers) != len(tables) or not numbers.sum():
        raise SettingsError(
            f"weights: {weights!r} for {len(tables)} runs; give one for each, not all 0"
        )
    return numbers / numbers.sum()


def search_weights(validation: list[pd.DataFrame]) -> Weights:
    """The weights under which the labels of validation are most likely.

    The likelihood of a mixture has one maximum, which expectation-maximisation climbs to:
    ``w_r <- mean_n w_r p_r(y_n) / Σ_s w_s p_s(y_n)``. Accuracy has many, one a tie.
    """
    label = validation[0].label.to_numpy(dtype=int)
    if not len(label):
        raise RunError("weights: validation holds no labelled clip to search on; give weights")
    chances = np.stack([probabilities(table)[range(len(label)), label] for table in validation])
    chances = np.maximum(chances, 1e-12)
    weights = np.full(len(validation), 1 / len(validation))
    for _ in range(ROUNDS):
        shares = weights[:, None] * chances
        weights = (shares / shares.sum(axis=0)).mean(axis=1)
    return weights / weights.sum()


def combine(tables: list[pd.DataFrame], weights: Weights) -> pd.DataFrame:
    """The predictions of all, a row a clip."""
    parts = np.stack([probabilities(table) for table in tables])
    probability = np.tensordot(weights, parts, axes=1)
    known = tables[0][["clip_id", "video_id", "subject", "split", "label"]]
    known = known.assign(said=probability.argmax(axis=1))
    return known.join(pd.DataFrame(probability).add_prefix("p"))


def compare(
    fused: pd.DataFrame,
    tables: list[pd.DataFrame],
    members: list[str],
    weights: Weights,
    seed: int,
) -> list[dict]:
    """Each run beside the fusion, on validation and test: what the fusion gains over it."""
    rows = []
    for split in ("validation", "test"):
        whole = labelled(fused, split)
        if whole.empty:
            continue
        for member, table, weight in zip(members, tables, weights.tolist(), strict=True):
            own = labelled(table, split)
            gain = paired_gain(whole, own, seed)
            rows.append(
                {
                    "split": split,
                    "run": member,
                    "weight": weight,
                    "n": gain.n,
                    "videos": gain.videos,
                    "top1": point_scores(own)["top1"],
                    "top1_interval": bootstrap_intervals(own, seed)["top1"],
                    "fusion_gains": gain.top1,
                    "fusion_gains_interval": gain.interval,
                }
            )
    return rows


def fusion_table(run: Run) -> pd.DataFrame:
    """What `compare` found; `best` marks the run that was best on validation, whatever the test."""
    table = pd.DataFrame(json.loads((run.folder / "fusion.json").read_text()))
    validation = table[table.split == "validation"]
    best = validation.run[validation.top1.idxmax()] if len(validation) else None
    return table.assign(best=table.run == best)


def show_fusion(run: Run) -> str:
    """The members as people read them, and the gain over the best single run in words."""
    shown, sentences = show_members(run)
    return "\n".join([shown.to_string(index=False), *sentences])


def show_members(run: Run) -> tuple[pd.DataFrame, list[str]]:
    """Rounded, intervals in brackets; and a sentence a part on the gain over the best one."""
    table = fusion_table(run)
    shown = table[["split", "run", "n", "videos"]].assign(weight=table.weight.round(3))
    for column in ("top1", "fusion_gains"):
        intervals = table[f"{column}_interval"]
        shown[column.replace("_", " ")] = [
            with_interval(value, interval)
            for value, interval in zip(table[column], intervals, strict=True)
        ]
    sentences = []
    for row in table[table.best].itertuples():
        gain, low, high = (100 * x for x in (row.fusion_gains, *row.fusion_gains_interval))
        sentences.append(
            f"{row.split}: {gain:+.1f} points [{low:+.1f}, {high:+.1f}] over {row.run}, the best on"
            f" validation ({row.n} clips of {row.videos} videos)"
        )
    return shown, sentences

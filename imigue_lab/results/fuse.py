"""Score fusion: finished runs predict together, ``p = Σ_r w_r p_r / Σ_r w_r``, joined by clip id.

Streams of one network (2:2:1:1 for joint, bone and their motions in pyskl), networks of one stream,
or pose and pictures. Weights are uniform, given, or searched on validation; never on the test.

Letters in shapes: R runs, N clips, K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from imigue_lab.data.workspace import locked, short_hash
from imigue_lab.errors import RunError, SettingsError, some
from imigue_lab.results.compare import percent
from imigue_lab.results.score_tables import counted, with_intervals
from imigue_lab.training.provenance import describe_environment
from imigue_lab.training.runs import Run, find_run, open_run, refuse_other_classes
from imigue_lab.training.scores import (
    Probabilities,
    bootstrap_intervals,
    clusters_of,
    correct_of,
    label_columns,
    labelled,
    point_scores,
    probabilities,
    score_table,
)
from imigue_lab.training.settings import Settings
from imigue_lab.training.statistics import interval_of_mean

SHARED = ("video_id", "subject", "split", "label")
ROUNDS = 1000  # of the weight search
Weights = Float[np.ndarray, " R"]


class FusionSettings(Settings):
    """What is fused, and how."""

    runs: str = Field("", description="finished runs, with commas")
    weights: str = Field(
        "uniform",
        pattern=r"^(uniform|search|\d+(\.\d+)?(:\d+(\.\d+)?)*)$",
        description="uniform, search (on validation), or one for each run such as 2:2:1:1",
    )
    temperature: bool = Field(
        False, description="calibrate the fused probabilities by a temperature fitted on validation"
    )


def join_runs(runs: Sequence[Run]) -> list[pd.DataFrame]:
    """The predictions of each run, rows in the order of clip ids; see `fuse` for errors.

    Of train, the clips that all of them have: some lack the input of one network.
    """
    if len(runs) < 2 or len({run.folder for run in runs}) < len(runs):
        raise RunError("runs: expected two or more different runs; name others")
    tables = [clips_of(run) for run in runs]
    held_out = [set(table.clip_id[table.split != "train"]) for table in tables]
    pairs = [f"{runs[0].folder.name} and {run.folder.name}" for run in runs[1:]]
    for pair, run, table, held in zip(pairs, runs[1:], tables[1:], held_out[1:], strict=True):
        if probabilities(table).shape[1] != probabilities(tables[0]).shape[1]:
            raise RunError(f"{pair}: predict different numbers of classes; fuse runs of one task")
        refuse_other_classes(pair, runs[0].vocabulary(), run.vocabulary())
        if differing := held_out[0] ^ held:
            raise RunError(
                f"{pair}: {len(differing)} clips are not held out in both,"
                f" {some(sorted(differing))}; fuse runs of the same data and fold"
            )
    shared = set.intersection(*(set(table.clip_id) for table in tables))
    tables = [t[t.clip_id.isin(shared)].reset_index(drop=True) for t in tables]
    first = tables[0]
    for pair, table in zip(pairs, tables[1:], strict=True):
        for column in SHARED:
            same = table[column].eq(first[column]).fillna(False)
            same |= table[column].isna() & first[column].isna()
            if not same.all():
                raise RunError(
                    f"{pair}: differ in the {column} of {(~same).sum()} clips,"
                    f" {some(first.clip_id[~same])}; fuse runs of the same data, fold and seed"
                )
    return tables


def clips_of(run: Run) -> pd.DataFrame:
    predictions = run.predictions()
    if not {"clip_id", "p0", "based_on"} <= set(predictions):
        raise RunError(
            f"{run.folder.name}: expected predictions of clip classes with based_on, got"
            f" {some(predictions.columns, 4)}; name another run, or train an older one again"
        )
    return predictions.sort_values("clip_id", ignore_index=True)


def fuse(
    names: Sequence[str],
    weights: str = "uniform",
    name: str = "",
    seed: int = 0,
    temperature: bool = False,
) -> Run:
    """A run folder with predictions, scores, and in `fusion.json` the weight of each run.

    Args:
        names: of finished runs that predict the classes of clips, or their paths.
        weights: `uniform`, `search`, or `2:1:...` in the order of the names.
        name: of the folder; empty: derived from the runs.
        temperature: whether the fused probabilities are calibrated, see `fit_temperature`.

    Raises:
        RunError: the runs are not of the same clips of validation and test, or differ in labels,
            splits or classes; the message names the runs and the difference.
        SettingsError: the weights are not one for each run, or all 0.
    """
    runs = [find_run(own) for own in names]
    requested = {"runs": ",".join(run.folder.name for run in runs), "weights": weights}
    given = {**requested, "temperature": temperature, "name": name, "seed": seed}
    settings = FusionSettings.from_arguments(given)
    tables = join_runs(runs)
    shares = weigh(weights, tables)
    content = [(run.folder / "predictions.parquet").read_bytes() for run in runs]
    vocabulary = runs[0].vocabulary()
    fused = open_run("fusion", settings, {"digest": short_hash(*content)}, vocabulary)
    with locked(fused.folder / ".lock"):
        if not fused.announce([]):
            return fused
        predictions = combine(tables, shares)
        if temperature:
            fitted = fit_temperature(labelled(predictions, "validation"))
            calibrated = temper(probabilities(predictions), fitted)
            predictions[[f"p{k}" for k in range(calibrated.shape[1])]] = calibrated
        fused.write_predictions(predictions)
        members = list(zip(tables, requested["runs"].split(","), shares.tolist(), strict=True))
        rows = [
            {"split": split, "run": run, "weight": weight}
            | member_row(part, labelled(table, split), seed)
            for split in ("validation", "test")
            if len(part := labelled(predictions, split))
            for table, run, weight in members
        ]
        fused.write_json("fusion.json", rows)
        origins = [run.provenance() for run in runs]
        provenance = {
            **describe_environment(),
            "where": origins[0]["where"] | {"name": name, "preset": ""},
            "synthetic": any(run.synthetic for run in runs),
            "remarks": list(dict.fromkeys(own for origin in origins for own in origin["remarks"])),
        }
        fused.write_json("provenance.json", provenance)
        fused.write_scores(score_table(predictions, seed, vocabulary.classes))
    return fused


def weigh(weights: str, tables: list[pd.DataFrame]) -> Weights:
    """One weight per run, with sum 1."""
    if weights == "uniform":
        return np.full(len(tables), 1 / len(tables))
    if weights == "search":
        return search_weights([labelled(table, "validation") for table in tables])
    numbers = np.array([float(number) for number in weights.split(":")])
    if len(numbers) != len(tables) or not numbers.sum():
        raise SettingsError(
            f"weights: expected one for each of {len(tables)} runs, not all 0, got {weights!r};"
            " write for example 2:1"
        )
    return numbers / numbers.sum()


def search_weights(validation: list[pd.DataFrame]) -> Weights:
    """The weights that maximise the likelihood of the validation labels.

    The likelihood of a mixture has one maximum, found by expectation-maximisation:
    ``w_r <- mean_n w_r p_r(y_n) / Σ_s w_s p_s(y_n)``. Accuracy has many.
    """
    label = validation[0].label.to_numpy(dtype=int)
    if not len(label):
        raise RunError("weights: validation has no labelled clip to search on; give weights")
    likelihood = np.stack([probabilities(table)[range(len(label)), label] for table in validation])
    likelihood = np.maximum(likelihood, 1e-12)
    weights = np.full(len(validation), 1 / len(validation))
    for _ in range(ROUNDS):
        shares = weights[:, None] * likelihood
        weights = (shares / shares.sum(axis=0)).mean(axis=1)
    return weights / weights.sum()


def temper(probability: Probabilities, temperature: float) -> Probabilities:
    """``softmax(log p / T)``: flatter for T > 1; the most probable class stays the same."""
    return softmax(np.log(np.maximum(probability, 1e-12)) / temperature, axis=1)


def fit_temperature(validation: pd.DataFrame) -> float:
    """The T, 0.05 to 20, of the best likelihood of labelled clips (Guo et al. 2017); 1 of none.

    On these clips themselves the calibration error is then optimistic: read that of the test.
    """
    label, probability = label_columns(validation)
    if not len(label):
        return 1.0

    def loss(log_t: float) -> float:
        own = temper(probability, float(np.exp(log_t)))[range(len(label)), label]
        return -float(np.log(np.maximum(own, 1e-12)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def combine(tables: list[pd.DataFrame], weights: Weights) -> pd.DataFrame:
    """The weighted mean of the probabilities, one row per clip; `based_on` unites the members'."""
    probability = np.tensordot(weights, [probabilities(table) for table in tables], axes=1)
    used = [table.based_on for table, weight in zip(tables, weights, strict=True) if weight]
    rgb, pose = (
        np.any([own.isin([name, "both"]) for own in used], axis=0) for name in ("rgb", "pose")
    )
    known = tables[0][["clip_id", *SHARED]].assign(
        predicted=probability.argmax(axis=1),
        based_on=np.select([rgb & pose, rgb, pose], ["both", "rgb", "pose"], "nothing"),
    )
    return known.join(pd.DataFrame(probability).add_prefix("p"))


def member_row(fused: pd.DataFrame, own: pd.DataFrame, seed: int) -> dict[str, Any]:
    """The accuracy of one run, and by how much that of the fusion is higher on the same clips.

    Both are labelled predictions. Intervals draw whole clusters, the same ones for both.
    """
    gain = correct_of(fused).astype(float)
    gain -= correct_of(own.set_index("clip_id").loc[fused.clip_id])
    cluster, unit = clusters_of(fused)
    return {
        "n": len(gain),
        "clusters": cluster.nunique(),
        "unit": unit,
        "top1": point_scores(own)["top1"],
        "top1_interval": bootstrap_intervals(own, seed).get("top1"),
        "fusion_gains": float(gain.mean()),
        "fusion_gains_interval": interval_of_mean(gain, cluster, seed),
    }


def fusion_table(run: Run) -> pd.DataFrame:
    """One row per split and run; `best` marks the run with the best validation accuracy."""
    table = pd.DataFrame(run.read_json("fusion.json"))
    validation = table[table.split == "validation"]
    best = validation.run[validation.top1.idxmax()] if len(validation) else None
    return table.assign(best=table.run == best)


def show_members(run: Run) -> tuple[pd.DataFrame, list[str]]:
    """The runs with intervals in brackets; one sentence per split on the gain over the best run."""
    table = fusion_table(run)
    shown = table[["split", "run", "n"]].assign(
        clusters=counted(table), weight=table.weight.round(3)
    )
    for column in ("top1", "fusion_gains"):
        shown[column.replace("_", " ")] = with_intervals(table, column)
    sentences = []
    for row in table[table.best].itertuples():
        low, high = row.fusion_gains_interval
        gain = percent(row.fusion_gains, low, high, sign="+")
        sentences.append(
            f"{row.split}: {gain} points over {row.run}, the best on"
            f" validation ({row.n} clips of {row.clusters} {row.unit})"
        )
    return shown, sentences

"""Score fusion: finished runs predict together, ``p = Σ_r w_r p_r / Σ_r w_r``, joined by id.

Streams of one network (2:2:1:1 for joint, bone and their motions in pyskl), networks of one stream,
pose and pictures, emotion models, or the folds and seeds of one model. Weights are uniform, given,
searched on validation, or fitted on the out-of-fold scores of train and validation: what runs with
the settings of a member, but on subject folds, predict of the fold that each holds out. Never on
the test. What any member trained on counts as train.

Letters in shapes: R runs, N clips or interviews, K classes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from imigue_lab.data.splits import FOLDS
from imigue_lab.data.workspace import locked, short_hash
from imigue_lab.errors import RunError, SettingsError, some
from imigue_lab.results.compare import percent
from imigue_lab.results.open import FusionSettings, fold_runs, model_of, pooled, shared_items
from imigue_lab.results.score_tables import counted, with_intervals
from imigue_lab.training.runs import Run, find_run, open_run, refuse_other_classes
from imigue_lab.training.scores import (
    Probabilities,
    clusters_of,
    correct_of,
    is_emotion,
    label_columns,
    labelled,
    probabilities,
    score_table,
    truth_of,
)
from imigue_lab.training.session import describe_environment
from imigue_lab.training.statistics import interval_of_mean, interval_of_share

OUT_OF_FOLD = "out of fold"
COLUMNS = (
    *("split", "run", "weight", "temperature", "n", "clusters", "unit"),
    *("accuracy", "accuracy_interval", "fusion_gains", "fusion_gains_interval"),
)
ROUNDS = 1000  # of the weight search
Weights = Float[np.ndarray, " R"]


def join_runs(runs: Sequence[Run]) -> list[pd.DataFrame]:
    """The predictions of each run, rows in the order of ids; see `fuse` for errors.

    Of train, the items that all of them have: some lack the input of one network.
    """
    if len(runs) < 2 or len({run.folder for run in runs}) < len(runs):
        raise RunError("runs: expected two or more different runs; name others")
    first, *tables = (fusable(run) for run in runs)
    item, truth = first.columns[0], truth_of(first).name
    pairs = [f"{runs[0].folder.name} and {run.folder.name}" for run in runs[1:]]
    resplit = [varies_by_split(runs[0], run) for run in runs[1:]]
    for pair, run, table, free in zip(pairs, runs[1:], tables, resplit, strict=True):
        classes = probabilities(table).shape[1]
        if table.columns[0] != item or classes != probabilities(first).shape[1]:
            raise RunError(f"{pair}: predict different numbers of classes; fuse runs of one task")
        refuse_other_classes(pair, runs[0].vocabulary(), run.vocabulary())
        if is_emotion(first) and runs[0].outcomes() != run.outcomes():
            both = f"{some(runs[0].outcomes())} and {some(run.outcomes())}"
            raise RunError(f"{pair}: have the outcomes {both}; train both with one `positive`")
        splits = ["test"] if free else ["validation", "test"]
        held_out = [set(own[item][own.split.isin(splits)]) for own in (first, table)]
        if differing := held_out[0] ^ held_out[1]:
            raise RunError(
                f"{pair}: {len(differing)} {name_items(first)} are not held out in both,"
                f" {some(sorted(differing))}; fuse runs of the same data and fold"
            )
    tables = shared_items([first, *tables])
    for pair, table, free in zip(pairs, tables[1:], resplit, strict=True):
        for column in ("video_id", "subject", *["split"] * (not free), truth):
            same = table[column].eq(tables[0][column]).fillna(False)
            same |= table[column].isna() & tables[0][column].isna()
            if not same.all():
                raise RunError(
                    f"{pair}: differ in the {column} of {(~same).sum()} {name_items(first)},"
                    f" {some(table[item][~same])}; fuse runs of the same data, fold and seed"
                )
    trained_on = np.any([table.split == "train" for table in tables], axis=0)
    return [table.assign(split=table.split.mask(trained_on, "train")) for table in tables]


def fusable(run: Run) -> pd.DataFrame:
    predictions = run.predictions()
    item = "video_id" if is_emotion(predictions) else "clip_id"
    columns = set(predictions)
    if not {item, "based_on"} <= columns or not {"p0", "probability"} & columns:
        raise RunError(
            f"{run.folder.name}: expected predictions of clip classes or outcomes with based_on,"
            f" got {some(predictions.columns, 4)}; name another run, or train an older one again"
        )
    return predictions.sort_values(item, ignore_index=True)


def name_items(predictions: pd.DataFrame) -> str:
    return "interviews" if is_emotion(predictions) else "clips"


def varies_by_split(first: Run, second: Run) -> bool:
    """Whether both are of one model, with other folds or seeds: their splits may differ."""
    one, other = (run.settings()["settings"] for run in (first, second))
    return one != other and model_of(first) | {"seed": 0} == model_of(second) | {"seed": 0}


def fuse(
    names: Sequence[str],
    weights: str = "uniform",
    name: str = "",
    seed: int = 0,
    temperature: bool = False,
) -> Run:
    """A run folder with predictions, scores, and in `fusion.json` the weight of each run.

    Args:
        names: of finished runs that predict the classes of clips, or outcomes; or their paths.
        weights: `uniform`, `search`, `folds`, or `2:1:...` in the order of the names.
        name: of the folder; empty: derived from the runs.
        temperature: whether the fused probabilities are calibrated, see `fit_temperature`; with
            `folds` those of each run as well, before they are weighted.

    Raises:
        RunError: the runs are not of the same items of validation and test, or differ in labels,
            splits or classes; the message names the runs and the difference. Or a run on a fold is
            missing; the message has the command that trains it.
        SettingsError: the weights are not one for each run, or all 0.
    """
    runs = [find_run(own) for own in names]
    members = [run.folder.name for run in runs]
    given = {"runs": ",".join(members), "weights": weights, "temperature": temperature}
    settings = FusionSettings.from_arguments(given | {"name": name, "seed": seed})
    tables = join_runs(runs)
    folds = [fold_runs(run) for run in runs] if weights == "folds" else []
    held = pooled(folds) if folds else [labelled(table, "validation") for table in tables]
    shares, temperatures = weigh(weights, held, temperature and bool(folds))
    read = [*runs, *(run for own in folds for run in own)]
    content = [(run.folder / "predictions.parquet").read_bytes() for run in read]
    vocabulary = runs[0].vocabulary()
    fused = open_run("fusion", settings, {"digest": short_hash(*content)}, vocabulary)
    with locked(fused.folder / ".lock"):
        if not fused.announce([]):
            return fused
        predictions = combine(tables, shares, temperatures)
        crossed = cross_fitted(held, temperature) if folds else labelled(predictions, "validation")
        if temperature:
            predictions = tempered(predictions, fit_temperature(crossed))
        fused.write_predictions(predictions)
        parts = {OUT_OF_FOLD: [crossed, *held]} if folds else {}
        for split in ("validation", "test"):
            parts[split] = [labelled(table, split) for table in (predictions, *tables)]
        share = pd.DataFrame({"run": members, "weight": shares, "temperature": temperatures})
        rows = [
            {"split": split} | known | member_row(part, own, seed)
            for split, (part, *each) in parts.items()
            if len(part)
            for known, own in zip(share.to_dict("records"), each, strict=True)
        ]
        fused.write_json("fusion.json", rows)
        origins = [run.provenance() for run in runs]
        provenance = {
            **describe_environment(),
            "where": origins[0]["where"] | {"name": name, "preset": ""},
            "synthetic": any(run.synthetic for run in runs),
            "remarks": list(dict.fromkeys(own for origin in origins for own in origin["remarks"])),
            "folds": [[run.folder.name for run in own] for own in folds],
        }
        fused.write_json("provenance.json", provenance)
        classes = vocabulary.outcomes if is_emotion(predictions) else vocabulary.classes
        fused.write_scores(score_table(predictions, seed, classes))
    return fused


def cross_fitted(held: list[pd.DataFrame], temperature: bool) -> pd.DataFrame:
    """Each fold fused by the weights, and temperatures, that the other folds give."""
    parts = []
    for fold in range(FOLDS):
        inside = held[0].fold == fold
        shares, temperatures = weigh("folds", [own[~inside] for own in held], temperature)
        own = [table[inside].reset_index(drop=True) for table in held]
        parts.append(combine(own, shares, temperatures))
    return pd.concat(parts, ignore_index=True)


def weigh(
    weights: str, held: list[pd.DataFrame], temperature: bool = False
) -> tuple[Weights, list[float]]:
    """One weight per run, with sum 1, and one temperature, of predictions of held-out items."""
    temperatures = [fit_temperature(own) if temperature else 1.0 for own in held]
    if weights == "uniform":
        return np.full(len(held), 1 / len(held)), temperatures
    if weights in ("search", "folds"):
        tables = [tempered(own, t) for own, t in zip(held, temperatures, strict=True)]
        return search_weights(tables), temperatures
    numbers = np.array([float(number) for number in weights.split(":")])
    if len(numbers) != len(held) or not numbers.sum():
        raise SettingsError(
            f"weights: expected one for each of {len(held)} runs, not all 0, got {weights!r};"
            " write for example 2:1"
        )
    return numbers / numbers.sum(), temperatures


def search_weights(held: list[pd.DataFrame]) -> Weights:
    """The weights that maximise the likelihood of the labels of held-out items.

    The likelihood of a mixture has one maximum, found by expectation-maximisation:
    ``w_r <- mean_n w_r p_r(y_n) / Σ_s w_s p_s(y_n)``. Accuracy has many.
    """
    label = truth_of(held[0]).to_numpy(dtype=int)
    if not len(label):
        raise RunError("weights: validation has no labelled item to search on; give weights")
    likelihood = np.stack([probabilities(table)[range(len(label)), label] for table in held])
    likelihood = np.maximum(likelihood, 1e-12)
    weights = np.full(len(held), 1 / len(held))
    for _ in range(ROUNDS):
        shares = weights[:, None] * likelihood
        weights = (shares / shares.sum(axis=0)).mean(axis=1)
    return weights / weights.sum()


def temper(probability: Probabilities, temperature: float) -> Probabilities:
    """``softmax(log p / T)``: flatter for T > 1; the most probable class stays the same."""
    return softmax(np.log(np.maximum(probability, 1e-12)) / temperature, axis=1)


def tempered(predictions: pd.DataFrame, temperature: float) -> pd.DataFrame:
    """The predictions with probabilities of this temperature; 1 changes nothing."""
    if temperature == 1:
        return predictions
    own = temper(probabilities(predictions), temperature)
    return predictions.assign(**class_columns(predictions, own))


def class_columns(predictions: pd.DataFrame, probability: Probabilities) -> dict[str, Any]:
    """Probabilities as columns like those of predictions: of two outcomes that of the last."""
    if "probability" in predictions:
        return {"probability": probability[:, 1]}
    return {f"p{k}": own for k, own in enumerate(probability.T)}


def fit_temperature(held: pd.DataFrame) -> float:
    """The T, 0.05 to 20, of the best likelihood of labelled items (Guo et al. 2017); 1 of none.

    On these items themselves the calibration error is then optimistic: read that of the test.
    """
    label, probability = label_columns(held)
    if not len(label):
        return 1.0

    def loss(log_t: float) -> float:
        own = temper(probability, float(np.exp(log_t)))[range(len(label)), label]
        return -float(np.log(np.maximum(own, 1e-12)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def combine(
    tables: list[pd.DataFrame], weights: Weights, temperatures: Sequence[float]
) -> pd.DataFrame:
    """The weighted mean of the probabilities, a row per item; `based_on` unites the members'."""
    first = tables[0]
    own = [tempered(table, t) for table, t in zip(tables, temperatures, strict=True)]
    probability = np.tensordot(weights, [probabilities(table) for table in own], axes=1)
    used = [table.based_on for table, weight in zip(tables, weights, strict=True) if weight]
    parts = ["context", "face"] if is_emotion(first) else ["rgb", "pose"]
    seen = [np.any([own.isin([name, "both"]) for own in used], axis=0) for name in parts]
    shared = dict.fromkeys([first.columns[0], "video_id", "subject", "split", truth_of(first).name])
    return first[list(shared)].assign(
        **({} if "probability" in first else {"predicted": probability.argmax(axis=1)}),
        based_on=np.select([seen[0] & seen[1], *seen], ["both", *parts], "nothing"),
        **class_columns(first, probability),
    )


def member_row(fused: pd.DataFrame, own: pd.DataFrame, seed: int) -> dict[str, Any]:
    """The accuracy of one run, and by how much that of the fusion is higher on the same items.

    Both are labelled predictions. Intervals draw whole clusters, the same ones for both.
    """
    item, (cluster, unit) = fused.columns[0], clusters_of(fused)
    correct = correct_of(own.set_index(item).loc[fused[item]])
    gain = correct_of(fused).astype(float) - correct
    return {
        "n": len(gain),
        "clusters": cluster.nunique(),
        "unit": unit,
        "accuracy": float(correct.mean()),
        "accuracy_interval": interval_of_share(correct, cluster, seed),
        "fusion_gains": float(gain.mean()),
        "fusion_gains_interval": interval_of_mean(gain, cluster, seed),
    }


def fusion_table(run: Run) -> pd.DataFrame:
    """One row per split and run; `best` marks the run with the best accuracy on held-out items.

    These are the folds' where there are any, else validation; without either none is marked.
    """
    table = pd.DataFrame(run.read_json("fusion.json"), columns=COLUMNS)
    first = next(iter(table.split), "test")
    chosen = table[(table.split == first) & (first != "test")]
    best = chosen.sort_values("accuracy", ascending=False, kind="stable").run.head(1)
    return table.assign(best=table.run.isin(best))


def show_members(run: Run) -> tuple[pd.DataFrame, list[str]]:
    """The runs with intervals in brackets; sentences on how their weights were found, the gain of
    each split over the best run, and where a member is better than the fusion."""
    table = fusion_table(run)
    shown = table[["split", "run", "n"]].assign(clusters=counted(table))
    shown["weight"] = table.weight.round(3)
    if (table.temperature != 1).any():
        shown["temperature"] = table.temperature.round(2)
    for column in ("accuracy", "fusion_gains"):
        shown[column.replace("_", " ")] = with_intervals(table, column)
    where = OUT_OF_FOLD if OUT_OF_FOLD in set(table.split) else "on validation"
    items, sentences = name_items(run.predictions()), []
    for row in table[table.best].itertuples():
        low, high = row.fusion_gains_interval
        gain = percent(row.fusion_gains, low, high, sign="+")
        sentences.append(
            f"{row.split}: {gain} points over {row.run}, the best {where} ({row.n} {items} of"
            f" {row.clusters} {row.unit})"
        )
    if run.settings()["settings"]["weights"] in ("search", "folds"):
        sentences.append(f"weights: those that maximise the likelihood of the labels {where}")
    for split, members in table.groupby("split", sort=False):
        best = members.loc[members.accuracy.idxmax()]
        if best.fusion_gains < 0:
            points = -100 * best.fusion_gains
            sentences.append(f"{split}: the fusion is {points:.1f} points below {best.run} alone")
    return shown, sentences

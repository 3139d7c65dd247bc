"""Comparison of finished runs: the settings that differ, and paired tests on the same items.

Runs that differ only in seed or fold are one variant: the items of its folds count together, and
seeds are repetitions. Items are joined by id; where variants were
trained on several synthetic data sets, items and clusters of different sets are kept apart.

A score is a ratio of sums over items i, ``s = Σ c_i / Σ o_i``: of classified items c_i is 1 where
the prediction is correct and o_i is 1; of the videos of a recogniser, whose score is the pooled F1,
c_i is twice the number of correct segments and o_i that of found and true ones. It is averaged over
items as ``s_i = s + (c_i - s o_i) / mean(o)``, whose mean is s and whose variation is that of the
ratio (delta method); of classified items s_i = c_i.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from imigue_lab.errors import RunError, some
from imigue_lab.results.score_tables import counted, show_p
from imigue_lab.training.recognition.scores import count_segments, of_split, read_truth
from imigue_lab.training.runs import Run, flatten, refuse_other_classes
from imigue_lab.training.scores import clusters_of, correct_of, labelled, truth_of
from imigue_lab.training.statistics import Clusters, Values, interval_of_mean, sign_flip_p, sums_of

SEED_ONLY = ("seed", "joint_run", "bone_run", "pose_run")
Items = dict[tuple[int, int], pd.DataFrame]  # by (data set, seed)
Variants = Mapping[str, Sequence[Run]]


def joined_folds(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs of one variant; those of one seed that differ in their fold are together."""
    together: dict[tuple[int, int], list[Run]] = {}
    known = Counter[tuple[int, int]]()
    for run in runs:
        own = run.settings()["settings"]
        place = own["seed"], own.get("fold", -1)
        together.setdefault((own["seed"], known[place]), []).append(run)
        known[place] += 1
    return list(together.values())


def scored_items(run: Run, split: str = "test") -> pd.DataFrame:
    """The labelled items of a split by id; RunError if none.

    Columns: cluster, unit (`clusters_of`), metric, truth (of a video its true segments), correct
    and of, see above.
    """
    found, own = run.predictions(), run.settings()["settings"]
    if "kept" in found:
        part, true = of_split(read_truth(run), split)
        found = found[found.kept & found.video_id.isin(part.video_id)]
        iou, rule = own["iou"], own["matching"]
        counts = count_segments(found, true, [*part.video_id], iou, rule).set_axis(part.index)
        items = {"metric": f"F1 at IoU {iou}, {rule}", "truth": counts.true}
        items |= {"correct": 2 * counts.correct, "of": counts.found + counts.true}
    else:
        part = labelled(found, split)
        items = {"metric": "accuracy", "truth": truth_of(part).astype(int)}
        items |= {"correct": correct_of(part), "of": 1}
    if part.empty:
        raise RunError(f"{run.folder.name}: no labelled item in {split}; choose another split")
    items["cluster"], items["unit"] = clusters_of(part)
    return pd.DataFrame(items).set_axis(part[part.columns[0]].astype(str), axis=0).sort_index()


def pool(variants: Variants, split: str, across_seeds: bool) -> dict[str, Items]:
    """The items of each variant; data sets are distinguished by the truth of their items."""
    every = [run for runs in variants.values() for run in runs]
    clips = [run for run in every if "label" in run.predictions()]
    for run in clips[1:]:
        pair = f"{clips[0].folder.name} and {run.folder.name}"
        refuse_other_classes(pair, clips[0].vocabulary(), run.vocabulary())
    sets: list[pd.DataFrame] = []
    pooled: dict[str, Items] = {}
    for name, runs in variants.items():
        pooled[name] = {}
        for run, *folds in joined_folds(runs):
            items = pd.concat([scored_items(own, split) for own in (run, *folds)]).sort_index()
            number = next((n for n, known in enumerate(sets) if same(known, items)), len(sets))
            if number == len(sets):
                sets.append(items)
            seed = 0 if across_seeds else int(run.settings()["settings"]["seed"])
            if (number, seed) in pooled[name] or items.index.has_duplicates:
                raise RunError(
                    f"{run.folder.name}: {name} has another run of seed {seed} on these items;"
                    " name one of them"
                )
            own = items.assign(cluster=f"{number}/" + items.cluster, run=f"{number}/{seed}")
            mean, ratio = items.of.mean(), items.correct.sum() / max(1, items.of.sum())
            own["score"] = (items.correct + ratio * (mean - items.of)) / max(mean, 1 / len(items))
            own["correct"] = items.correct / items.of.clip(lower=1)
            pooled[name][number, seed] = own.set_axis(f"{number}/" + items.index, axis=0)
    metrics = {own.metric.iloc[0] for items in pooled.values() for own in items.values()}
    if len(metrics) > 1:
        others = "choose runs of the same iou and matching"
        raise RunError.expected("compare", "runs with one score", some(sorted(metrics)), others)
    return pooled


def same(known: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables share items, and these agree in cluster and truth."""
    shared = known.index.intersection(other.index)
    columns = ["cluster", "truth"]
    return bool(len(shared)) and known.loc[shared, columns].equals(other.loc[shared, columns])


def compare(
    variants: Variants, reference: str = "", split: str = "validation", across_seeds: bool = False
) -> pd.DataFrame:
    """One row per variant, each against the reference on the same items and seeds.

    Seeds do not count as items. The intervals are of other subjects and other seeds together
    (`statistics.variance_of_runs`); with one seed they, and `p` always, are of other subjects with
    these seeds: `p` is of an item's mean over seeds. `sd` is between seeds.

    Args:
        variants: one or more finished runs per name.
        reference: the variant that the others are compared with; empty: the first.
        across_seeds: variants of one run each are paired although their seeds differ.

    Returns:
        Columns: variant, split, seeds, n items, clusters, unit, metric, score (mean over seeds),
        sd, low, high, majority (share of the most frequent class, NaN of F1); difference to the
        reference, difference_low, difference_high, p (sign flips of clusters), p_holm, effect
        (standard deviations between clusters), discordant (items on which the two differ), worse
        and better (predictions that only the reference, and only the variant, got correct; videos
        in which the variant's F1 is lower, and higher).

    Raises RunError if a variant shares neither seed nor item with the reference, has two runs of
    one seed and set, or another metric.
    """
    reference = reference or next(iter(variants))
    pooled = pool(variants, split, across_seeds)
    rows = []
    for name, by_seed in pooled.items():
        row = {"variant": name, "split": split, **score_of(by_seed)}
        if name != reference:
            row |= paired_columns(name, by_seed, reference, pooled[reference])
        rows.append(row)
    table = pd.DataFrame(rows)
    if "p" in table:
        table.insert(table.columns.get_loc("p") + 1, "p_holm", holm(table.p.tolist()))
    return table


def score_of(by_seed: Items) -> dict[str, Any]:
    """The score over seeds and items, with both spreads."""
    each = [float(items.score.mean()) for items in by_seed.values()]
    items = pd.concat(by_seed.values())
    metric = items.metric.iloc[0]
    majority = float(items.truth.value_counts(normalize=True).max())
    ends = interval_of_mean(items.score.to_numpy(float), items.cluster, run=items.run)
    low, high = np.clip(ends, 0, 1).tolist()  # that of seeds and subjects together has no bounds
    return {
        "seeds": len(each),
        "n": items.index.nunique(),
        "clusters": items.cluster.nunique(),
        "unit": items.unit.iloc[0],
        "metric": metric,
        "score": float(np.mean(each)),
        "sd": float(np.std(each, ddof=1)) if len(each) > 1 else np.nan,
        "low": low,
        "high": high,
        "majority": majority if metric == "accuracy" else np.nan,
    }


def paired_columns(name: str, by_seed: Items, reference: str, full: Items) -> dict[str, Any]:
    """The paired statistics of one variant, over the seeds that both have."""
    shared = [key for key in by_seed if key in full]
    if not shared:
        raise RunError(f"{name} and {reference}: no seed in common on the same data; train one")
    pairs = []
    for key in shared:
        ours, theirs = by_seed[key], full[key]
        if set(ours.index) != set(theirs.index):
            alone = sorted(i.split("/", 1)[1] for i in set(ours.index) ^ set(theirs.index))
            raise RunError(
                f"{name} and {reference}: {some(alone)} not in both; compare runs of the same"
                " data and fold"
            )
        pairs.append(ours.join(theirs[["score", "correct"]].add_suffix("_full")))
    both = pd.concat(pairs)
    each = both.score - both.score_full
    ends = interval_of_mean(each.to_numpy(), both.cluster, run=both.run)
    low, high = np.clip(ends, -1, 1).tolist()
    gain, cluster = each.groupby(level=0).mean(), both.cluster.groupby(level=0).first()
    changed = (both.correct - both.correct_full).groupby(level=0).mean()
    return {
        "difference": float(gain.mean()),
        "difference_low": low,
        "difference_high": high,
        "p": sign_flip_p(gain.to_numpy(), cluster),
        "effect": effect_size(gain.to_numpy(), cluster),
        "discordant": int((changed.abs() > 1e-12).sum()),
        "worse": int((both.correct < both.correct_full).sum()),
        "better": int((both.correct > both.correct_full).sum()),
    }


def effect_size(gain: Values, cluster: Clusters) -> float:
    """Mean over clusters of their mean gain, in standard deviations between clusters."""
    sums, sizes = sums_of(gain, cluster)
    means = sums / sizes
    spread = means.std(ddof=1) if len(means) > 1 else 0.0
    return float(means.mean() / spread) if spread > 1e-12 else float("nan")


def holm(p: Sequence[float]) -> list[float]:
    """p values after Holm's step-down correction; NaN stays NaN and is not counted."""
    raw = np.asarray(p, dtype=float)
    order = np.argsort(raw, kind="stable")[: np.isfinite(raw).sum()]  # NaN comes last
    steps = raw[order] * np.arange(len(order), 0, -1)
    adjusted = raw.copy()
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()


def group_runs(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by their settings other than seed and data; the name of a group lists what differs.

    Raises RunError if they are of several tasks, or fewer than two.
    """
    flat = [flatten(run.settings()) for run in runs]
    tasks = {settings["task"] for settings in flat}
    if len(runs) < 2 or len(tasks) > 1:
        got = f"{len(runs)} of {', '.join(sorted(tasks)) or 'none'}"
        raise RunError.expected("compare", "two or more runs of one task", got, "name others")
    names = settings_that_differ(runs).index
    differing = [n for n in names if n not in SEED_ONLY and not n.startswith("data ")]
    grouped: dict[str, list[Run]] = {}
    for run, label, settings in zip(runs, unique_names(runs), flat, strict=True):
        name = ", ".join(f"{name}={settings.get(name, '–')}" for name in differing)
        grouped.setdefault(name or label, []).append(run)
    return grouped


def settings_that_differ(runs: Sequence[Run]) -> pd.DataFrame:
    """One row per setting that differs, one column per run; a dash where a run lacks it."""
    flat = dict(zip(unique_names(runs), (flatten(run.settings()) for run in runs), strict=True))
    names = dict.fromkeys(name for settings in flat.values() for name in settings)
    rows = {name: [settings.get(name, "–") for settings in flat.values()] for name in names}
    differing = {name: row for name, row in rows.items() if any(v != row[0] for v in row)}
    return pd.DataFrame.from_dict(differing, orient="index", columns=list(flat))


def unique_names(runs: Sequence[Run]) -> list[str]:
    """The name of each run's folder; its path where two folders have that name."""
    names = [run.folder.name for run in runs]
    paths = [str(run.folder) for run in runs]
    return [p if names.count(n) > 1 else n for n, p in zip(names, paths, strict=True)]


def show_comparison(table: pd.DataFrame) -> pd.DataFrame:
    """For display: percent and points with their intervals, a dash for missing values."""
    shown = table[["variant", "split", "seeds", "n"]].assign(clusters=counted(table))
    rows = list(table.itertuples())
    scores = [percent(row.score, row.low, row.high, row.sd) for row in rows]
    shown[f"{table.metric.iloc[0]} %"] = scores
    if "p" not in table:
        return shown
    shown["points over the reference"] = [
        percent(row.difference, row.difference_low, row.difference_high, sign="+") for row in rows
    ]
    fixed = " (these seeds)" if (table.seeds > 1).any() else ""  # the intervals are of others too
    for name in ("p", "p_holm"):
        shown[name.replace("_", ", ") + fixed] = [show_p(value) for value in table[name]]
    shown["effect"] = ["–" if pd.isna(value) else f"{value:+.2f}" for value in table.effect]
    for name in ("discordant", "worse", "better"):
        shown[name] = ["–" if pd.isna(value) else str(int(value)) for value in table[name]]
    return shown


def in_words(table: pd.DataFrame) -> list[str]:
    """The result as sentences: the reference, of classes beside the majority, then each variant."""
    full = table.iloc[0]
    verdict = "above" if full.low > full.majority else "not distinguished from"
    beside = f", {verdict} the majority class, {full.majority:.2f}"
    said = [
        f"{full.variant}: {full.metric} {full.score:.2f} (95 % interval {full.low:.2f} to"
        f" {full.high:.2f}) on {full.n} items of {full.split}" + beside * pd.notna(full.majority)
    ]
    for row in table[1:].itertuples():
        low, high = -row.difference_high, -row.difference_low
        verdict = "a gain" if low > 0 else "a decline" if high < 0 else "no certain gain"
        said.append(
            f"{row.variant}: {row.metric} {row.score:.2f}; {full.variant} against it"
            f" {-row.difference:+.2f} ({low:+.2f} to {high:+.2f}), {verdict}"
        )
    return said


def percent(value: float, low: float, high: float, sd: float = np.nan, sign: str = "") -> str:
    """``63.4 ± 1.2 [60.1, 66.0]``; a dash for NaN."""
    if pd.isna(value):
        return "–"
    spread = "" if pd.isna(sd) else f" ± {100 * sd:.1f}"
    interval = "" if pd.isna(low) else f" [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"
    return f"{100 * value:{sign}.1f}{spread}{interval}"

"""The card of a finished run: one page with its settings, data, scores, errors, use and limits.

The page needs no network. It identifies clips and videos by id and contains no picture of a person,
so it may be shared where the data may not.
"""

import tomllib
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from imigue_lab.data.checks.root import check_root
from imigue_lab.data.index import SPLITS
from imigue_lab.data.vocabulary import OWN, builtin
from imigue_lab.data.workspace import workspace
from imigue_lab.errors import LabError
from imigue_lab.results import fuse as fusion
from imigue_lab.results.open import base_of, command_of, explicit_settings, open_index, settings_of
from imigue_lab.results.score_tables import constant_rows, has_interval, show_scores
from imigue_lab.training.recognition.scores import read_truth
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import is_emotion
from imigue_lab.training.session import MIB
from imigue_lab.views.answers import (
    confusion,
    hardest,
    learning_curves,
    read_predictions,
    reliability,
)
from imigue_lab.views.export import as_div, write_page
from imigue_lab.views.style import notes_of

STYLE = Path(__file__).with_name("card.css")
TEXTS = tomllib.loads(Path(__file__).with_name("card.toml").read_text(encoding="utf-8"))
HARDEST = 12
METRICS = {"top1": "top-1 accuracy", "f1_50": "F1 at IoU 0.5"}  # of verdicts, if not accuracy


def write_card(run: Run) -> Path:
    """Writes `card.html` into the folder of a finished run, whether trained or a fusion."""
    task = run.settings()["task"]
    if task != "recognition":
        task = "emotion" if is_emotion(run.predictions()) else "gesture"
    parts = [opening(run, task)]
    for title, own in sections(run, task):
        parts += [f"<h2>{escape(title)}</h2>", *own]
    body = f"<main>{''.join(parts)}</main>"
    return write_page(run.folder / "card.html", run.folder.name, body, STYLE.read_text())


def sections(run: Run, task: str) -> Iterator[tuple[str, list[str]]]:
    """Title and content of each section below the opening, in order."""
    fused, differing = run.settings()["task"] == "fusion", setting_table(run)
    changed = [paragraph("All settings have their default values.")]
    if len(differing):
        reference = differing.columns[2]
        changed = [paragraph(f"Settings that differ from the {reference}:"), table(differing)]
    yield "Settings", changed
    recorded = "Remarks on the training data, recorded by the run:"
    remarks = [paragraph(recorded), bullets(run.provenance()["remarks"] or ["none"])]
    now = "Findings of the data check when this page was written (frames not counted):"
    yield "Data", [table(split_table(run)), *remarks, paragraph(now), bullets(findings_of(run))]
    how = "In brackets: 95 % intervals over draws of the clusters."
    if task == "recognition":
        how += " n: true segments. f1 10, 30, 50: F1 at these percents of IoU, pooled over videos;"
        how += " precision and recall at 50."
    if task == "emotion":
        how += " p: without skill, by sign flips of subjects."
    if not fused:
        how += " The test split was evaluated once, by the weights of the kept epoch."
    yield "Scores", [table(show_scores(run.scores()), "scores"), paragraph(how)]
    if fused:
        shown, sentences = fusion.show_members(run)
        how = "The fusion is the weighted sum of probabilities. In brackets: 95 % intervals."
        yield "Fused runs", [table(shown), bullets(sentences), paragraph(how)]
    else:
        yield "Learning curves", [draw(learning_curves(run))]
    yield from error_sections(run, task)
    yield "Intended use and limitations", use_and_limits(run, task)
    if not fused:
        yield "Cost", [table(cost_table(run))]
    yield "Environment", [table(environment_table(run))]
    yield "How to reproduce it", reproduction(run)


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def table(rows: pd.DataFrame, kind: str = "") -> str:
    html = rows.to_html(index=False, border=0, justify="left", na_rep="–")
    return f'<div class="wide {kind}">{html}</div>'


def draw(figure: go.Figure) -> str:
    return f'<div class="figure">{as_div(figure, config={"displayModeBar": False})}</div>'


def opening(run: Run, task: str) -> str:
    """Name, task, folder, the verdict, and notes on synthetic data or untrained features."""
    kept = run.settings()
    settings = kept["settings"]
    name = f"Emotion: {' or '.join(run.outcomes())}" if task == "emotion" else "Micro-gestures"
    if kept["task"] == "baseline":
        name += f", {settings['model']} of Table 1, {settings['stream']} stream"
    elif task == "recognition":
        name += f" in whole videos, {settings['model']} on inputs of {settings['inputs']}"
    elif kept["task"] == "fusion":
        name += f", fusion of {settings['runs'].count(',') + 1} runs"
    elif task == "gesture":
        name += ", RGB and pose"
    parts = [
        f"<h1>{escape(run.folder.name)}</h1>",
        paragraph(f"{name} · {run.provenance()['time'][:10]}"),
        paragraph(str(run.folder), "where"),
        paragraph(verdict(run.scores()), "verdict"),
        *(paragraph(note[0].upper() + note[1:] + ".", "note") for note in notes_of(run)),
    ]
    return "".join(parts)


def use_and_limits(run: Run, task: str) -> list[str]:
    texts, data = TEXTS[task], run.vocabulary().name
    who = TEXTS["people"].get(data, "The people are those of the training data.")
    limits = texts["limits"].format(who).split("\n\n")
    if task == "emotion" and data == builtin("imigue").name:
        limits.insert(0, TEXTS["of_matches"])
    intended = texts["intended"].format("the training data" if data == OWN else data)
    return [paragraph(intended), bullets(limits), paragraph(TEXTS["not_for"], "note")]


def error_sections(run: Run, task: str) -> Iterator[tuple[str, list[str]]]:
    """Confusion, reliability and hardest items, of the last split with known truth."""
    found = run.scores()
    if found.empty:
        return
    split = found.split.iloc[-1]
    if task == "recognition":
        yield from segment_sections(run, split)
        return
    predictions = read_predictions(run, split)
    grouping = ["class", *["group"] * ("truth_group" in predictions)]
    matrices = [draw(confusion(run, predictions, by)) for by in grouping]
    hard = hardest(predictions, HARDEST)[["item", "truth", "predicted", "p_truth", "p_predicted"]]
    errors = [paragraph("All predictions are correct.")]
    if len(hard):
        which = f"The {len(hard)} incorrect predictions on {split} with the lowest probability of"
        errors = [paragraph(f"{which} the true class."), table(hard.round(3))]
    yield f"Confusion on {split}", matrices
    yield f"Reliability on {split}", [draw(reliability(run, predictions))]
    yield f"Hardest {'interviews' if task == 'emotion' else 'clips'}", errors


def segment_sections(run: Run, split: str) -> Iterator[tuple[str, list[str]]]:
    """Precision and recall with the chosen threshold, and errors by kind."""
    from imigue_lab.views.recognition import errors_by_kind, precision_recall  # for no other card

    yield "Threshold", [draw(precision_recall(run))]
    of = "Segments above the threshold, which is not changed for the test, and true ones missed."
    errors = errors_by_kind(run).rename_axis("kind").reset_index()
    yield f"Errors by kind on {split}", [paragraph(of), table(errors)]


def reproduction(run: Run) -> list[str]:
    everything = pd.DataFrame(settings_of(run).model_dump().items(), columns=["setting", "value"])
    elsewhere = (
        "With another workspace (IMIGUE_LAB_HOME) it trains again, with identical results on the"
        " same device, package versions and number of threads."
    )
    if run.settings()["task"] == "fusion":
        elsewhere = "In another workspace, first reproduce the fused runs as their cards describe."
    return [
        f"<pre>{escape(command_of(run))}</pre>",
        paragraph(f"In the workspace {workspace()} this returns the existing run. {elsewhere}"),
        f"<details><summary>All settings, in case a default changes</summary>{table(everything)}"
        "</details>",
    ]


def verdict(scores: pd.DataFrame) -> str:
    """The model compared with the best constant predictor, on the last split with known truth."""
    if scores.empty:
        return "The truth of validation and test is unknown: there are no scores."
    split = scores.split.iloc[-1]
    metric = next(own for own in ("accuracy", *METRICS) if own in scores)
    part = scores[scores.split == split]
    model = part[part.predictor == "model"].iloc[0]
    constants = constant_rows(part)
    constant = constants.loc[constants[metric].idxmax()]
    if not has_interval(model[f"{metric}_interval"]):
        return f"On {split} all {model.n} items are of one subject or video: there is no interval."
    low, high = model[f"{metric}_interval"]
    if constant[metric] < low:
        result = "below that interval: the model is better"
    elif constant[metric] <= high:
        result = "inside that interval: these data do not separate the two"
    else:
        result = "above that interval: the model is worse"
    which = "better constant" if len(constants) > 1 else "constant"
    return (
        f"On {split} (n = {model.n}) {METRICS.get(metric, metric)} is {model[metric]:.2f}, 95 %"
        f" interval {low:.2f} to {high:.2f}. The {which} predictor, “{constant.predictor}”, has"
        f" {constant[metric]:.2f}, {result}."
    )


def split_table(run: Run) -> pd.DataFrame:
    """Clips, interviews or true segments, those with known truth, videos and subjects by split."""
    predictions = run.predictions()
    item, truth = ("clip", "label") if "clip_id" in predictions else ("interview", "outcome")
    if "kept" in predictions:
        predictions, item, truth = read_truth(run), "segment", "label"
    rows = []
    for split in SPLITS:
        part = predictions[predictions.split == split]
        known = int(part[truth].notna().sum())
        row: dict[str, Any] = {"split": split}  # a row without a segment is a video without any
        row |= {f"{item}s": known if item == "segment" else len(part), "truth known": known}
        row["videos"] = part.video_id.nunique()
        row["subjects"] = part.subject.nunique() if "subject" in part else "–"
        if item == "interview":
            names = enumerate(run.outcomes())
            row |= {name: int((part[truth] == place).sum()) for place, name in names}
        else:
            row["classes"] = part[truth].nunique()
        rows.append(row)
    return pd.DataFrame(rows)


def setting_table(run: Run) -> pd.DataFrame:
    """The settings that differ from the preset or the defaults: value, reference and meaning."""
    settings = settings_of(run)
    start = base_of(settings)
    reference = f"preset {settings.preset}" if settings.preset else "default"
    fields, rows = type(settings).model_fields, []
    for name, value in explicit_settings(settings).items():
        base = fields[name].default if value == getattr(start, name) else getattr(start, name)
        row = {"setting": name, "value": value, reference: base}
        row["description"] = fields[name].description
        rows.append({column: "(empty)" if v == "" else v for column, v in row.items()})
    return pd.DataFrame(rows)


def findings_of(run: Run) -> list[str]:
    """Findings of the data check now, trusting file headers; a sentence if the data are missing."""
    settings = settings_of(run)
    try:
        labels, subjects = (getattr(settings, name, "") for name in ("labels", "subjects"))
        index = open_index(run, settings.data, labels, settings.store, subjects)
        report = check_root(index.root, decode="none", subjects=subjects)
    except LabError as error:
        return [f"the data can no longer be checked: {error}"]
    return [str(finding) for finding in report.findings] or ["no findings"]


def cost_table(run: Run) -> pd.DataFrame:
    """Time, memory and device; a dash for what the run did not record."""
    provenance = run.provenance()
    machine = provenance["machine"]
    cards = f" ({', '.join(machine['cards'])})" if provenance["device"].startswith("cuda") else ""
    gpu = provenance.get("peak_device_memory_mib")
    with run.reading("best.safetensors") as path:
        size = path.stat().st_size / MIB
    rows = {
        "device": provenance["device"] + cards,
        "processes, threads per process": f"{machine['processes']}, {machine['threads']}",
        "time": f"{provenance['seconds']:.0f} s since the last start or resume",
        "epochs": f"{len(run.metrics())}",
        "peak process memory": mebibytes(provenance.get("peak_memory_mib")),
        **({"peak GPU memory": mebibytes(gpu)} if gpu else {}),
        "weights": mebibytes(size),
    }
    return pd.DataFrame(rows.items(), columns=["item", "value"])


def mebibytes(size: int | float | None) -> str:
    """``812 MiB``, ``0.3 MiB``; a dash for None."""
    return "–" if size is None else f"{size:,.0f} MiB" if size >= 10 else f"{size:.1f} MiB"


def environment_table(run: Run) -> pd.DataFrame:
    """Versions, commit and machine of the run."""
    provenance = run.provenance()
    machine, git = provenance["machine"], provenance["git"]
    memory = f"{machine['memory_gb']} GB of memory" if machine["memory_gb"] else "memory unknown"
    rows = {
        "created": provenance["time"],
        "revision": f"{git['revision'] or '–'}{', with local changes' if git['dirty'] else ''}",
        "machine": f"{machine['processor']}, {machine['cores']} cores, {memory}",
        "system": f"{machine['system']}, Python {provenance['python']}",
        "packages": ", ".join(map(" ".join, provenance["packages"].items())),
        "data": ", ".join(f"{name} {value}" for name, value in run.settings()["data"].items()),
    }
    return pd.DataFrame(rows.items(), columns=["item", "value"])

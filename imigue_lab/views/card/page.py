"""The card of a finished run: one page with its settings, data, scores, errors, use and limits.

The page needs no network. It identifies clips and videos by id and contains no picture of a person,
so it may be shared where the data may not.
"""

from collections.abc import Iterable
from html import escape
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from imigue_lab.data.workspace import workspace
from imigue_lab.results import fuse as fusion
from imigue_lab.results.open import command_of, settings_of
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import show_scores
from imigue_lab.views.answers import confusion, hardest, read_predictions, reliability
from imigue_lab.views.card import facts
from imigue_lab.views.export import as_div, write_page
from imigue_lab.views.learning import learning_curves
from imigue_lab.views.style import notes_of

STYLE = Path(__file__).with_name("card.css")
HARDEST = 12


def write_card(run: Run) -> Path:
    """Writes `card.html` into the folder of a finished run, whether trained or a fusion."""
    task = run.settings()["task"]
    fused = task == "fusion"
    limits = [paragraph(facts.INTENDED[task]), bullets(facts.LIMITS[task])]
    sections = [
        opening(run, task),
        *section("Settings", settings_section(run)),
        *section("Data", data_section(run)),
        *section("Scores", score_section(run, task)),
        *(section("Fused runs", member_section(run)) if fused else []),
        *([] if fused else section("Learning curves", [draw(learning_curves(run))])),
        *error_sections(run, task),
        *section("Intended use and limitations", [*limits, paragraph(facts.NOT_FOR, "note")]),
        *([] if fused else section("Cost", [table(facts.cost_table(run))])),
        *section("Environment", [table(facts.environment_table(run))]),
        *section("How to reproduce it", reproduction_section(run)),
    ]
    body = f"<main>{''.join(sections)}</main>"
    return write_page(run.folder / "card.html", run.folder.name, body, STYLE.read_text())


def section(title: str, parts: Iterable[str]) -> list[str]:
    return [f"<h2>{escape(title)}</h2>", *parts]


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
    task_and_date = f"{name_of(run, task)} · {run.provenance()['time'][:10]}"
    return "".join(
        [
            f"<h1>{escape(run.folder.name)}</h1>",
            paragraph(task_and_date),
            paragraph(str(run.folder), "where"),
            paragraph(facts.verdict(run.scores(), task), "verdict"),
            *(paragraph(note[0].upper() + note[1:] + ".", "note") for note in notes_of(run)),
        ]
    )


def name_of(run: Run, task: str) -> str:
    settings = run.settings()["settings"]
    if task == "baseline":
        return f"Micro-gestures, {settings['model']} of Table 1, {settings['stream']} stream"
    if task == "fusion":
        return f"Micro-gestures, fusion of {settings['runs'].count(',') + 1} runs"
    return {"emotion": "Emotion: win or lose", "gesture": "Micro-gestures, RGB and pose"}[task]


def settings_section(run: Run) -> list[str]:
    differing = facts.setting_table(run)
    if differing.empty:
        return [paragraph("All settings have their default values.")]
    reference = differing.columns[2]
    return [paragraph(f"Settings that differ from the {reference}:"), table(differing)]


def data_section(run: Run) -> list[str]:
    return [
        table(facts.split_table(run.predictions())),
        paragraph("Remarks on the training data, recorded by the run:"),
        bullets(run.provenance()["remarks"] or ["none"]),
        paragraph("Findings of the data check when this page was written (frames not counted):"),
        bullets(facts.findings_of(run)),
    ]


def score_section(run: Run, task: str) -> list[str]:
    if task == "emotion":
        how = (
            "In brackets: 95 % intervals, Wilson for accuracy, bootstrap over subjects for balanced"
            " accuracy and AUC; p by permutation of the outcomes."
        )
    else:
        how = "In brackets: 95 % intervals, bootstrap over videos."
    if task != "fusion":
        how += " The test split was evaluated once, at the epoch that was best on validation."
    return [table(show_scores(run.scores()), "scores"), paragraph(how)]


def member_section(run: Run) -> list[str]:
    """The fused runs, their weights, and the gain of the fusion over each."""
    shown, sentences = fusion.show_members(run)
    how = "The fusion is the weighted sum of probabilities. In brackets: 95 % intervals, by video."
    return [table(shown), bullets(sentences), paragraph(how)]


def error_sections(run: Run, task: str) -> list[str]:
    """Confusion, reliability and hardest items, of the last split with known truth."""
    found = run.scores()
    if found.empty:
        return []
    split = found.split.iloc[-1]
    predictions = read_predictions(run, split)
    groups = [] if task == "emotion" else [draw(confusion(run, predictions, by="group"))]
    hard = hardest(predictions, HARDEST)[["item", "truth", "predicted", "p_truth", "p_predicted"]]
    errors = [paragraph("All predictions are correct.")]
    if len(hard):
        sentence = (
            f"The {len(hard)} incorrect predictions on {split} with the lowest probability of the"
            " true class."
        )
        errors = [paragraph(sentence), table(hard.round({"p_truth": 3, "p_predicted": 3}))]
    return [
        *section(f"Confusion on {split}", [draw(confusion(run, predictions)), *groups]),
        *section(f"Reliability on {split}", [draw(reliability(run, predictions))]),
        *section(f"Hardest {'interviews' if task == 'emotion' else 'clips'}", errors),
    ]


def reproduction_section(run: Run) -> list[str]:
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

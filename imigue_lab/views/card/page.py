"""A finished run on one page that needs no network: what it was, what it found, what it is not for.

The page names clips and videos by id and shows no picture of anyone: it may be handed on where the
data may not.
"""

from collections.abc import Iterable
from html import escape
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from imigue_lab.data.workspace import workspace, write_atomically
from imigue_lab.results import fuse as fusion
from imigue_lab.results.open import command_of, settings_of
from imigue_lab.training.runs import Run
from imigue_lab.training.scores import show_scores
from imigue_lab.views.answers import confidence, confusion, hardest, read_answers
from imigue_lab.views.card import facts
from imigue_lab.views.card.facts import INTENDED, LIMITS, NOT_FOR
from imigue_lab.views.export import height_of
from imigue_lab.views.learning import gesture_curves, learning_curves, notes_of, reliability

STYLE = Path(__file__).with_name("card.css")
HARDEST = 12


def write_card(run: Run) -> Path:
    """Writes `card.html` into the folder of a finished run, be it trained or a fusion of others."""
    task = run.settings()["task"]
    fused = task == "fusion"
    sections = [
        opening(run, task),
        *section("What was asked for", settings_words(run)),
        *section("Data", data_words(run)),
        *section("Scores", score_words(run, task)),
        *(section("Who decides", member_words(run)) if fused else []),
        *([] if fused else section("Learning curves", [draw(curves(run, task))])),
        *answer_sections(run, task),
        *section("What it is for, and what it does not say", limit_words(task)),
        *([] if fused else section("Cost", [table(facts.cost_table(run))])),
        *section("Environment", [table(facts.environment_table(run))]),
        *section("How to run it again", again_words(run)),
    ]
    head = (
        f'<meta charset="utf-8"><title>{escape(run.folder.name)}</title>'
        f"<style>{STYLE.read_text()}</style><script>{get_plotlyjs()}</script>"
    )
    body = f"<body><main>{''.join(sections)}</main></body>"
    target = run.folder / "card.html"
    write_atomically(target, f'<!doctype html><html lang="en"><head>{head}</head>{body}</html>')
    return target


def section(title: str, parts: Iterable[str]) -> list[str]:
    return [f"<h2>{escape(title)}</h2>", *parts]


def says(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def table(rows: pd.DataFrame, kind: str = "") -> str:
    html = rows.to_html(index=False, border=0, justify="left", na_rep="–")
    return f'<div class="wide {kind}">{html}</div>'


def draw(figure: go.Figure) -> str:
    div = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        default_height=f"{height_of(figure)}px",
        config={"displayModeBar": False},
    )
    return f'<div class="figure">{div}</div>'


def opening(run: Run, task: str) -> str:
    """What it is, where it lies, the verdict, and what makes its numbers unreal."""
    provenance = run.provenance()
    return "".join(
        [
            f"<h1>{escape(run.folder.name)}</h1>",
            says(f"{name_of(run, task)} · {provenance['time'][:10]}"),
            says(str(run.folder), "where"),
            says(facts.verdict(run.scores(), task), "verdict"),
            *(says(note[0].upper() + note[1:] + ".", "note") for note in notes_of(run)),
        ]
    )


def name_of(run: Run, task: str) -> str:
    if task == "baseline":
        asked = run.settings()["settings"]
        return f"Micro-gestures, {asked['model']} of Table 1, {asked['stream']} stream"
    if task == "fusion":
        return f"Micro-gestures, {run.settings()['settings']['runs'].count(',') + 1} runs together"
    return {"emotion": "Emotion: win or lose", "gesture": "Micro-gestures, RGB and pose"}[task]


def settings_words(run: Run) -> list[str]:
    differing = facts.setting_table(run)
    if differing.empty:
        return [says("Nothing but the defaults.")]
    return [says("Everything not listed is as the column in the middle has it."), table(differing)]


def data_words(run: Run) -> list[str]:
    remarks = run.provenance()["remarks"] or ["none"]
    return [
        table(facts.part_table(run.predictions())),
        says("Remarks of the run, from the data it was trained on:"),
        bullets(remarks),
        says("The data check, made when this page was (frames were not counted):"),
        bullets(facts.findings_of(run)),
    ]


def score_words(run: Run, task: str) -> list[str]:
    if task == "emotion":
        how = (
            "In brackets 95 % intervals: Wilson for accuracy, bootstrap over subjects for balanced"
            " accuracy and AUC; p from shuffled outcomes. Test was read once, by the epoch that"
            " was best on validation."
        )
    else:
        how = "In brackets 95 % intervals, bootstrap over whole videos."
        if task != "fusion":
            how += " Test was read once, by the epoch that was best on validation."
    return [table(show_scores(run.scores()), "scores"), says(how)]


def member_words(run: Run) -> list[str]:
    """The fused runs, their weights, and what the fusion gains over each."""
    shown, sentences = fusion.show_members(run)
    how = "Probabilities are added with these weights. In brackets 95 % intervals over videos."
    return [table(shown), bullets(sentences), says(how)]


def curves(run: Run, task: str) -> go.Figure:
    return learning_curves(run) if task == "emotion" else gesture_curves(run)


def answer_sections(run: Run, task: str) -> list[str]:
    """Confusion, reliability and the hardest, of the last part whose truth is known."""
    found = run.scores()
    if found.empty:
        return []
    split = found.split.iloc[-1]
    answers = read_answers(run, split)
    emotion = task == "emotion"
    sure = reliability(run, split) if emotion else confidence(run, answers)
    groups = [] if emotion else [draw(confusion(run, answers, by="group"))]
    hard = hardest(answers, HARDEST)[["item", "truth", "predicted", "p_truth", "p_said"]]
    hard = hard.round({"p_truth": 3, "p_said": 3})
    what = "interviews" if emotion else "clips"
    told = f"The {len(hard)} wrong answers on {split} that gave the truth the least probability."
    return [
        *section(f"Confusion on {split}", [draw(confusion(run, answers)), *groups]),
        *section(f"Reliability on {split}", [draw(sure)]),
        *section(
            f"Hardest {what}", [says(told), table(hard)] if len(hard) else [says("All were right.")]
        ),
    ]


def limit_words(task: str) -> list[str]:
    return [says(INTENDED[task]), bullets(LIMITS[task]), says(NOT_FOR, "note")]


def again_words(run: Run) -> list[str]:
    everything = pd.DataFrame(settings_of(run).model_dump().items(), columns=["setting", "value"])
    elsewhere = (
        "With another (IMIGUE_LAB_HOME) it trains again, and ends with the same numbers on the same"
        " device, versions and number of threads."
    )
    if run.settings()["task"] == "fusion":
        elsewhere = "Elsewhere the runs that it names come first: their cards say how."
    return [
        f"<pre>{escape(command_of(run))}</pre>",
        says(
            f"With the workspace {workspace()} this run is found and returned at once. {elsewhere}"
        ),
        f"<details><summary>All settings, should a default change</summary>{table(everything)}"
        "</details>",
    ]

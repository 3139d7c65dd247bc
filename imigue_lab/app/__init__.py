"""The command line: long or distributed work, with the same settings as the notebooks.

Exit status: 0 done; 1 the data or a run has a problem, described in one sentence; 2 usage error.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from imigue_lab.app.study_commands import add_settings, add_study_commands, given_settings, positive
from imigue_lab.errors import LabError, SettingsError

if TYPE_CHECKING:
    import pandas as pd


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits with its status."""
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except LabError as error:
        print(f"imigue-lab: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError) else 1)


def build_parser() -> argparse.ArgumentParser:
    from imigue_lab.training.baselines.settings import BaselineSettings
    from imigue_lab.training.emotion.settings import EmotionSettings
    from imigue_lab.training.gestures.settings import GestureSettings
    from imigue_lab.training.prepare import ExtractSettings

    parser = argparse.ArgumentParser(
        prog="imigue-lab",
        description="Micro-gestures and emotion on iMiGUE: everything that takes long.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    make = commands.add_parser("make-data", help="write a synthetic data set in any iMiGUE layout")
    make.add_argument("root", type=Path, help="folder to create")
    make.add_argument(
        "--layout",
        choices=["full", "miga2023", "miga2024", "miga2026", "plain"],
        default="miga2024",
        help="layout of the files (default: miga2024)",
    )
    make.add_argument(
        "--size",
        choices=["demo", "long", "full"],
        default="demo",
        help="long: longer gestures with pauses in between; full: 359 videos and 18,232 clips"
        " with tiny frames (default: demo)",
    )
    make.add_argument(
        "--videos", type=positive, help="number of interviews (default: 120; long: 24; full: 359)"
    )
    make.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    make.add_argument(
        "--signal",
        choices=["joint", "none"],
        default="joint",
        help="simulated signal: joint, across both modalities; none, noise only (default: joint)",
    )
    make.add_argument(
        "--store", default="", help="feature store (default: features/ of the workspace)"
    )
    make.add_argument("--no-pictures", action="store_true", help="write keypoints and labels only")
    make.add_argument(
        "--all-win-validation",
        action="store_true",
        help="validation split without a loss, as in the real data",
    )
    make.add_argument(
        "--leak-subject", action="store_true", help="put one subject into both train and test"
    )
    make.set_defaults(run=make_data)

    check = commands.add_parser("check", help="validate a copy of the data")
    check.add_argument("root", type=Path, help="root folder of the data")
    check.add_argument(
        "--decode",
        choices=["all", "sample", "none"],
        default="sample",
        help="all: decode every frame; sample: count frames and check some for faces; none: read"
        " headers only (default: sample)",
    )
    check.add_argument("--json", type=Path, metavar="FILE", help="also write the findings to FILE")
    check.set_defaults(run=check_data)

    extract = commands.add_parser(
        "extract", help="extract features of videos and clips with frozen encoders (notebook 00)"
    )
    add_settings(extract, ExtractSettings)
    extract.add_argument(
        "--trial", action="store_true", help="extract two windows only, to estimate the duration"
    )
    extract.set_defaults(run=extract_features)

    train = commands.add_parser("train", help="train a model as its notebook does (01, 02, 04)")
    tasks = train.add_subparsers(required=True, metavar="TASK")
    emotion = tasks.add_parser("emotion", help="win or lose from context and face (02)")
    add_settings(emotion, EmotionSettings)
    emotion.set_defaults(run=train_model, task="emotion")
    gesture = tasks.add_parser("gesture", help="micro-gestures from RGB and pose, with memory (01)")
    add_settings(gesture, GestureSettings)
    gesture.set_defaults(run=train_model, task="gesture")
    baseline = tasks.add_parser("baseline", help="a baseline network of Table 1, one stream (04)")
    add_settings(baseline, BaselineSettings)
    baseline.set_defaults(run=train_model, task="baseline")

    fusion = commands.add_parser("fuse", help="combine the predictions of finished runs")
    fusion.add_argument("runs", nargs="+", metavar="RUN", help="name or path of a finished run")
    fusion.add_argument(
        "--weights",
        default="uniform",
        help="uniform, search (on validation), or one for each run: 2:2:1:1 (default: uniform)",
    )
    fusion.add_argument(
        "--name", default="", help="name of the new run (default: derived from the runs)"
    )
    fusion.add_argument(
        "--seed", type=int, default=0, help="random seed of the intervals (default: 0)"
    )
    fusion.set_defaults(run=fuse_runs)

    table = commands.add_parser(
        "table", help="print Table 1: published scores and those of your runs"
    )
    table.add_argument("runs", nargs="*", metavar="RUN", help="finished runs (default: all)")
    table.add_argument(
        "--split", choices=["validation", "test"], default="test", help="default: test"
    )
    table.set_defaults(run=print_table)

    add_study_commands(commands)

    card = commands.add_parser("card", help="write a finished run on one page, for a reviewer")
    card.add_argument("run_name", metavar="RUN", help="name or path of a finished run")
    card.set_defaults(run=print_card)

    submission = commands.add_parser(
        "submit", help="write the zip file of a finished run for a challenge"
    )
    submission.add_argument("name", metavar="RUN", help="name or path of a finished run")
    submission.add_argument(
        "--track", type=int, choices=[1, 3], required=True, help="of the MiGA challenge"
    )
    submission.add_argument(
        "--format",
        choices=["2023", "2025"],
        default="2025",
        help="2023: Submission.csv without a header (default: 2025)",
    )
    submission.add_argument(
        "--header",
        default="",
        help="two column names, comma-separated (default: those of the track)",
    )
    submission.add_argument(
        "--numbering",
        choices=["zero", "csv"],
        default="zero",
        help="class numbers of track 1: zero, 0 to 31; csv, 1 to 31 and 99 (default: zero)",
    )
    submission.add_argument(
        "--data", default="", help="root with the test split (default: that of the run)"
    )
    submission.add_argument(
        "--out", type=Path, help="output folder (default: submissions/ of the run)"
    )
    submission.set_defaults(run=submit_run)

    html = commands.add_parser(
        "html", help="convert an executed notebook to HTML that works offline"
    )
    html.add_argument("notebook", type=Path, help="executed .ipynb file")
    html.set_defaults(run=export_html)
    return parser


def make_data(options: argparse.Namespace) -> None:
    from imigue_lab.data.synthetic.story import FULL_VIDEOS, SyntheticSpec
    from imigue_lab.data.synthetic.tree import make_data

    spec = SyntheticSpec(
        videos=options.videos or {"demo": 120, "long": 24, "full": FULL_VIDEOS}[options.size],
        seed=options.seed,
        signal=options.signal,
        pictures=not options.no_pictures,
        all_win_validation=options.all_win_validation,
        leak_subject=options.leak_subject,
        size=options.size,
        layout=options.layout,
    )
    index = make_data(options.root, spec, options.store)
    print(f"{len(index.videos)} synthetic interviews with {len(index.clips)} clips in {index.root}")


def check_data(options: argparse.Namespace) -> None:
    from imigue_lab.data.checks.root import check_root
    from imigue_lab.data.workspace import write_atomically

    report = check_root(options.root, options.decode)
    print(report)
    if options.json:
        write_atomically(options.json, json.dumps(report.as_json(), indent=2))
    if not report.usable:
        sys.exit(1)


def extract_features(options: argparse.Namespace) -> None:
    from imigue_lab.data.source import survey_data
    from imigue_lab.training.prepare import ExtractSettings, extract_features, try_features

    settings = given_settings(ExtractSettings, options)
    index, problems = survey_data(settings.data, settings.store)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    if options.trial:
        print(try_features(settings, index))
        return
    report = extract_features(settings, index)
    if report.extracted or report.failed:
        print(report)
    if report.failed:
        sys.exit(1)


def print_scores(scores: "pd.DataFrame") -> None:
    """Prints in the first process only, where several have trained together."""
    if os.environ.get("RANK", "0") == "0":
        print(scores.to_string(index=False))


def train_model(options: argparse.Namespace) -> None:
    from imigue_lab.training.scores import show_scores
    from imigue_lab.training.tasks import TASKS

    task = TASKS[options.task]
    run = task.train(given_settings(task.settings, options))
    print_scores(show_scores(run.scores()))


def fuse_runs(options: argparse.Namespace) -> None:
    from imigue_lab.results.fuse import fuse, show_members
    from imigue_lab.training.scores import show_scores

    run = fuse(options.runs, options.weights, options.name, options.seed)
    print(show_scores(run.scores()).to_string(index=False))
    shown, sentences = show_members(run)
    print(shown.to_string(index=False), *sentences, sep="\n")


def print_table(options: argparse.Namespace) -> None:
    from imigue_lab.results.published_tables import show_table, table_one
    from imigue_lab.training.runs import find_run

    runs = [find_run(name) for name in options.runs] or None
    print(show_table(table_one(runs, options.split)).to_string(index=False))


def print_card(options: argparse.Namespace) -> None:
    from imigue_lab.training.runs import find_run
    from imigue_lab.views.card import write_card

    print(write_card(find_run(options.run_name)))


def submit_run(options: argparse.Namespace) -> None:
    from imigue_lab.results.submit import submit
    from imigue_lab.training.runs import find_run

    run = find_run(options.name)
    form, numbering = options.format, options.numbering
    print(submit(run, options.track, form, options.header, numbering, options.data, options.out))


def export_html(options: argparse.Namespace) -> None:
    from imigue_lab.views.export import export_html

    print(export_html(options.notebook))

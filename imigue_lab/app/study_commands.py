"""Options from a notebook's settings, and commands on many runs, or on the work of people."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from imigue_lab.training.settings import Settings


RUN = "name or path of a finished run"
SPLITS = ["validation", "test"]
VALUES: dict[Any, str] = {int: "N", float: "X", str: "TEXT", bool: "{true,false}"}
LONG = 70  # characters of a line


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def add_option(
    parser: argparse.ArgumentParser, option: str, text: str, default: Any = "", **rules: Any
) -> None:
    """An option whose help names its default, unless that is empty."""
    shown = text if default == "" else f"{text} (default: {default})"
    parser.add_argument(option, default=default, help=shown, **rules)


def add_settings(
    parser: argparse.ArgumentParser, cls: "type[Settings]", positional: str = ""
) -> None:
    """One option for each setting, with its values, help and default; the settings validate the
    values. If they are too many for a line, the help ends with them."""
    parser.usage = f"%(prog)s {positional.upper()} [--OPTION VALUE ...]".replace("  ", " ")
    for name, field in cls.model_fields.items():
        if name == positional:
            continue
        default = "empty" if field.default == "" else str(field.default)
        default = default.lower() if field.annotation is bool else default
        help_text = f"{field.description} (default: {default})".replace("%", "%%")
        option, unset = f"--{name.replace('_', '-')}", argparse.SUPPRESS
        names = get_args(field.annotation) or known_names(cls, name)
        values = VALUES.get(field.annotation) or f"{{{','.join(names)}}}"
        if names and (values == "TEXT" or len(values) > LONG):
            help_text, values = f"{help_text}: {', '.join(names)}", "NAME"
        parser.add_argument(option, dest=name, default=unset, metavar=values, help=help_text)


def known_names(cls: "type[Settings]", name: str) -> list[str]:
    """What a setting of text may name, beside other things; of variants by task."""
    from imigue_lab.data.skeletons.keypoints import LAYOUTS
    from imigue_lab.features import CATALOGUE
    from imigue_lab.studies.variants import VARIANTS

    lists = {"encoders": [*CATALOGUE], "keypoints": [*LAYOUTS], "preset": [*cls.presets]}
    lists["variants"] = [f"of {task} {', '.join(own)}" for task, own in VARIANTS.items()]
    return lists.get(name) or [known for known in CATALOGUE if known.startswith(f"{name}-")]


def add_training(
    parser: argparse.ArgumentParser, task: str, cls: "type[Settings]", positional: str = ""
) -> None:
    """The settings of a task, and the options of a training that are none."""
    add_settings(parser, cls, positional)
    trial = "only estimate time and memory from a few steps; leaves no run"
    parser.add_argument("--trial", action="store_true", help=trial)
    curves = "live curves, beside metrics.csv: pip install 'imigue_lab[tensorboard]', or [wandb]"
    add_option(parser, "--logger", curves, choices=["tensorboard", "wandb"])
    parser.set_defaults(task=task)


def given_settings(cls: "type[Settings]", options: argparse.Namespace) -> Any:
    return cls.from_arguments({k: v for k, v in vars(options).items() if k in cls.model_fields})


def add_study_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Adds ablate, search, compare, agree and merge; `command` takes name, function and effect."""
    from imigue_lab.studies.trials import AblationSettings, SearchSettings

    ablate = "train variants of a model, several seeds each (03)"
    search = "search the paper's hyperparameter space with Optuna (08)"
    for name, effect, settings, run in (
        ("ablate", ablate, AblationSettings, run_ablation),
        ("search", search, SearchSettings, run_search),
    ):
        study = command(name, run, effect)
        add_settings(study, settings)
        add_option(study, "--workers", "number of processes on this host", 1, type=positive)

    effect = "compare finished runs: settings that differ, paired tests against the first"
    compare = command("compare", compare_runs, effect)
    compare.add_argument("runs", nargs="+", metavar="RUN", help=RUN)
    compare.add_argument("--split", choices=SPLITS, default=SPLITS[0], help="default: validation")

    effect = "compare the segments, or corrections, of two people, or of a person and a model"
    agreement = command("agree", compare_segments, effect)
    for side in "ab":
        sides = "ELAN file, segment CSV, or finished run of 11 beside a file named after its video;"
        sides += " or corrections.csv (:NAME of one person in it), or the run that they are of"
        agreement.add_argument(side, metavar=side.upper(), help=sides)
    film = "its frames count for kappa (default: 25 a second up to the last segment)"
    agreement.add_argument("--video", type=Path, metavar="FILE", help=film)

    effect = "join corrected folders of notebook 09, or other plain roots, into one training root"
    merge = command("merge", merge_folders, effect)
    merge.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="with a clips.csv")
    out = "new root, of links: all videos are of train until you edit its videos.csv"
    merge.add_argument("--out", type=Path, required=True, metavar="ROOT", help=out)


def run_ablation(options: argparse.Namespace) -> None:
    from imigue_lab.results.compare import compare, in_words, show_comparison
    from imigue_lab.studies.ablations import ablate
    from imigue_lab.studies.trials import AblationSettings, share_among

    settings = given_settings(AblationSettings, options)
    if options.workers > 1:
        share_among(options.workers, ablate, settings)
    table = compare(ablate(settings), split=settings.split)
    print(show_comparison(table).to_string(index=False), *in_words(table), sep="\n")


def run_search(options: argparse.Namespace) -> None:
    from imigue_lab.studies.search import describe_best, keep_best, search, show_trials
    from imigue_lab.studies.trials import SearchSettings, share_among
    from imigue_lab.views.style import headlines

    settings = given_settings(SearchSettings, options)
    if options.workers > 1:
        share_among(options.workers, search, settings)
    study = search(settings)
    print(show_trials(study).to_string(index=False))
    for note in headlines(study.user_attrs["remarks"]):
        print(f"note: {note}")
    print(f"best settings: --preset {keep_best(study, settings)}")
    print(describe_best(study, settings))


def compare_runs(options: argparse.Namespace) -> None:
    from imigue_lab.results import compare
    from imigue_lab.training.runs import find_run

    runs = [find_run(name) for name in options.runs]
    grouped = compare.group_runs(runs)
    print(compare.settings_that_differ(runs).to_string(), end="\n\n")
    # runs that differ in the seed alone are groups of their own
    seeds_alone = list(grouped) == compare.unique_names(runs)
    table = compare.compare(grouped, split=options.split, across_seeds=seeds_alone)
    print(compare.show_comparison(table).to_string(index=False))


def compare_segments(options: argparse.Namespace) -> None:
    from imigue_lab.results.agree import agree, agree_on_clips, find_person

    if find_person(options.a) or find_person(options.b):
        table, remarks = agree_on_clips(options.a, options.b)
        print(table.round(3).to_string(index=False), *remarks, sep="\n")
        return
    found = agree(options.a, options.b, options.video)
    print(found.table.round(3).to_string(index=False, na_rep="–"))
    why = "background is a class, of overlapping segments the shortest counts"
    if undefined := math.isnan(found.kappa):
        why = "both sides have one and the same class throughout"
    print(f"Cohen's kappa per frame: {'undefined' if undefined else f'{found.kappa:.3f}'} ({why})")
    print(*(f"note: {remark}" for remark in found.remarks), sep="\n")


def merge_folders(options: argparse.Namespace) -> None:
    from imigue_lab.data.corrections import merge_roots

    index = merge_roots(options.folders, options.out)
    print(f"{len(index.videos)} videos with {len(index.clips)} clips in {index.root}")

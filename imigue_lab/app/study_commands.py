"""What the options of a command are made from: the settings of its notebook.

Commands over many runs: ablations, searches, and finished runs side by side.
"""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imigue_lab.training.settings import Settings


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def add_settings(parser: argparse.ArgumentParser, cls: "type[Settings]") -> None:
    """One option a setting, with its help and default; values are checked by the settings."""
    for name, field in cls.model_fields.items():
        default = "empty" if field.default == "" else field.default
        help_text = f"{field.description} (default: {default})".replace("%", "%%")
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(
            option, dest=name, default=argparse.SUPPRESS, metavar="", help=help_text
        )


def given_settings(cls: "type[Settings]", options: argparse.Namespace) -> Any:
    return cls.from_arguments({k: v for k, v in vars(options).items() if k in cls.model_fields})


def add_study_commands(commands: Any) -> None:
    """Adds them to the subparsers of the command line."""
    from imigue_lab.studies.settings import AblationSettings, SearchSettings

    ablate = commands.add_parser("ablate", help="variants of a model, several seeds each (03)")
    add_settings(ablate, AblationSettings)
    add_workers(ablate)
    ablate.set_defaults(run=run_ablation)

    search = commands.add_parser("search", help="the paper's search space by Optuna (08)")
    add_settings(search, SearchSettings)
    add_workers(search)
    search.set_defaults(run=run_search)

    compare = commands.add_parser(
        "compare", help="finished runs: settings that differ, paired tests against the first"
    )
    compare.add_argument("runs", nargs="+", metavar="RUN", help="name or path of a finished run")
    compare.add_argument("--split", choices=["validation", "test"], default="test")
    compare.set_defaults(run=compare_runs)


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=positive, default=1, help="processes on this host (default: 1)"
    )


def run_ablation(options: argparse.Namespace) -> None:
    from imigue_lab.results.compare import show_comparison
    from imigue_lab.studies.ablations import ablate, ablation_table
    from imigue_lab.studies.settings import AblationSettings
    from imigue_lab.studies.trials import share_among

    settings = given_settings(AblationSettings, options)
    if options.workers > 1:
        share_among(options.workers, ablate, settings)
    print(show_comparison(ablation_table(ablate(settings))).to_string(index=False))


def run_search(options: argparse.Namespace) -> None:
    from imigue_lab.studies.search import keep_best, search, show_trials
    from imigue_lab.studies.settings import SearchSettings
    from imigue_lab.studies.trials import share_among

    settings = given_settings(SearchSettings, options)
    if options.workers > 1:
        share_among(options.workers, search, settings)
    study = search(settings)
    print(show_trials(study).to_string(index=False))
    print(f"the best settings: --preset {keep_best(study, settings)}")


def compare_runs(options: argparse.Namespace) -> None:
    from imigue_lab.results.compare import (
        compare,
        group_runs,
        settings_that_differ,
        show_comparison,
    )
    from imigue_lab.training.runs import find_run

    runs = [find_run(name) for name in options.runs]
    grouped = group_runs(runs)
    print(settings_that_differ(runs).to_string())
    print()
    print(show_comparison(compare(grouped, split=options.split)).to_string(index=False))

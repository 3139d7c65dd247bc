"""Commands in separate processes that can be killed, forked from one with torch and the trainers.

Importing them takes seconds; the fork server does it once.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.context import ForkServerProcess

from imigue_lab.app import main

TASKS = ("emotion", "gestures", "pretraining", "recognition")
PRELOADED = ["torch._dynamo", "imigue_lab.studies.ablations"]  # the first by any optimiser
PRELOADED += [f"imigue_lab.training.{task}.train" for task in TASKS]
PRELOADED += ["imigue_lab.features.catalogue", "imigue_lab.features.extraction", "onnxruntime"]


def start(
    arguments: Sequence[str], before: Callable[[], object] = int, **environment: str
) -> ForkServerProcess:
    """Starts a command of `imigue-lab`, such as `train emotion`, without its output.

    Args:
        before: called first in the process; must be a module-level function.
        environment: variables that differ from those of the first process started.
    """
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    process = server.Process(target=command, args=(arguments, before, environment))
    process.start()
    return process


def command(
    arguments: Sequence[str], before: Callable[[], object], environment: dict[str, str]
) -> None:
    os.environ |= environment
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        before()
        main(arguments)

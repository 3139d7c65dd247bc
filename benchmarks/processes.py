"""Commands in separate processes that can be killed, forked from one that has imported torch.

Importing torch takes seconds; the fork server does it once.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.context import ForkServerProcess

from imigue_lab.app import main

PRELOADED = ["imigue_lab.training.emotion.train", "imigue_lab.studies.ablations"]


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

"""Commands in processes of their own, to be killed: forked from one that has imported torch.

Python takes seconds to import torch; the server that they are forked from does it once.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.context import ForkServerProcess

from imigue_lab.app import main

PRELOADED = ["imigue_lab.training.emotion.train", "imigue_lab.studies.ablations"]


def start(
    words: Sequence[str], before: Callable[[], object] = int, **environment: str
) -> ForkServerProcess:
    """A command of `imigue-lab`, such as `train emotion`, that prints nothing.

    Args:
        before: called first over there; a function of a module, not of a test.
        environment: variables that are other than those of the first process started.
    """
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    process = server.Process(target=command, args=(words, before, environment))
    process.start()
    return process


def command(
    words: Sequence[str], before: Callable[[], object], environment: dict[str, str]
) -> None:
    os.environ |= environment
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        before()
        main(words)

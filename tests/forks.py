"""Python forked from a process that has torch and the package imported, which takes six seconds.

Kernels of notebooks are forked, too; those of JupyterLab (tests/browser) and of papermill as a
command start anew.
"""

import multiprocessing
import os
import runpy
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from jupyter_client.provisioning import local_provisioner

from benchmarks.processes import PRELOADED

ALSO = ["ipykernel.kernelapp", "ipywidgets", "plotly.graph_objects", "nbformat", "torchvision"]
ALSO += ["imigue_lab.data.checks.root", "imigue_lab.results.open", "imigue_lab.views.export"]


class ForkedPython:
    """The part of `subprocess.Popen` that Jupyter and the tests use."""

    stdin = stdout = stderr = None

    def __init__(self, process: ForkServerProcess) -> None:
        self.process, self.pid = process, process.pid
        self.kill, self.terminate = process.kill, process.terminate

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self.process.join(timeout)
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def start_python(
    words: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    output: Path | None = None,
) -> ForkedPython:
    """Does what `python WORDS` does, words as `-m MODULE`, `-c CODE` or a script.

    Args:
        output: file of all that it prints.
    """
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([*PRELOADED, *ALSO])
    given = (list(words), dict(os.environ if env is None else env), cwd or os.getcwd(), output)
    process = server.Process(target=run, args=given)
    process.start()
    while process.is_alive() and os.getpgid(process.pid) != process.pid:
        time.sleep(0.001)  # Jupyter kills the group that the process is in
    return ForkedPython(process)


def run(words: list[str], env: dict[str, str], folder: str, output: Path | None) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    if output:
        with output.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    if "PYTHONWARNINGS" in env:
        warnings.simplefilter(env["PYTHONWARNINGS"])
    match words:
        case "-m", module, *_:
            sys.argv = words[1:]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case "-c", code, *_:
            sys.argv = ["-c", *words[2:]]
            exec(code, {"__name__": "__main__"})
        case script, *_:
            sys.argv = words
            runpy.run_path(script, run_name="__main__")


def fork_kernels() -> None:
    """Kernels that this process starts from now on are forked."""

    def launch(command, env=None, cwd=None, **_):
        return start_python(command[command.index("-m") :], env, cwd)

    local_provisioner.launch_kernel = launch

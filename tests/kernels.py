"""Kernels of notebooks, forked from the process that has torch and the package imported.

A kernel that starts anew imports for six seconds. Kernels of JupyterLab (tests/browser) and of
papermill as a command do start anew.
"""

import multiprocessing
import os
import runpy
import sys
import time
import warnings
from multiprocessing.context import ForkServerProcess

from jupyter_client.provisioning import local_provisioner

from benchmarks.processes import PRELOADED

NEEDED = ["ipykernel.kernelapp", "ipywidgets", "plotly.graph_objects", "nbformat", "torchvision"]
NEEDED += ["imigue_lab.data.checks.root", "imigue_lab.results.open", "imigue_lab.views.export"]


class ForkedKernel:
    """The part of `subprocess.Popen` that Jupyter uses."""

    stdin = stdout = stderr = None

    def __init__(self, process: ForkServerProcess) -> None:
        self.process, self.pid = process, process.pid
        self.kill, self.terminate = process.kill, process.terminate

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self) -> int | None:
        self.process.join()
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def fork_kernels() -> None:
    """Kernels that this process starts from now on are forked."""
    local_provisioner.launch_kernel = fork_kernel


def fork_kernel(
    command: list[str], env: dict[str, str], cwd: str | None = None, **_: object
) -> ForkedKernel:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([*PRELOADED, *NEEDED])
    process = server.Process(target=run_kernel, args=(command, env, cwd or os.getcwd()))
    process.start()
    while process.is_alive() and os.getpgid(process.pid) != process.pid:
        time.sleep(0.001)  # Jupyter kills the group that the process is in
    return ForkedKernel(process)


def run_kernel(command: list[str], env: dict[str, str], folder: str) -> None:
    """Does what `python -m ipykernel_launcher -f FILE` does; the process leads its group."""
    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    if "PYTHONWARNINGS" in env:
        warnings.simplefilter(env["PYTHONWARNINGS"])
    sys.argv = command[command.index("-m") + 1 :]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

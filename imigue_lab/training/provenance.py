"""Provenance of a run: its cost, and the code revision, packages and machine that produced it."""

import os
import platform
import re
import resource
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import torch

from imigue_lab.errors import without_password

MIB = 2**20
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes per unit of getrusage
CHECKOUT = Path(__file__).resolve().parents[2]


def cost_of(device: torch.device, seconds: float) -> dict[str, Any]:
    """Time and peak memory of this process; of a resumed run since its last start.

    Returns:
        device, seconds, peak_memory_mib (of the whole process, including other notebook cells)
        and, on a GPU, peak_device_memory_mib.
    """
    cost = {
        "device": str(device),
        "seconds": round(seconds, 1),
        "peak_memory_mib": round(peak_memory() / MIB),
    }
    if device.type == "cuda":
        cost["peak_device_memory_mib"] = round(torch.cuda.max_memory_allocated(device) / MIB)
    return cost


def peak_memory() -> int:
    """Bytes of this process; from /proc on Linux, as getrusage inherits the parent's peak."""
    status = Path("/proc/self/status")
    peak = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.M) if status.exists() else None
    if peak:
        return int(peak[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def describe_environment(processes: int = 1) -> dict[str, Any]:
    """Time, command, code revision, packages, and machine with the processes that trained."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": [without_password(word) for word in sys.argv],
        "git": revision(CHECKOUT),
        "python": platform.python_version(),
        "packages": packages(),
        "machine": machine() | {"processes": processes},
    }


def revision(checkout: Path) -> dict[str, Any]:
    """The commit, and whether files differ from it; both null outside a checkout."""
    # without this file, the repository is that of the environment
    if not (checkout / "pyproject.toml").exists():
        return {"revision": None, "dirty": None}
    head, changes = git(checkout, "rev-parse", "HEAD"), git(checkout, "status", "--porcelain")
    return {"revision": head or None, "dirty": None if changes is None else bool(changes)}


def git(checkout: Path, *words: str) -> str | None:
    """The output of git; None without git or a repository."""
    command = ["git", "-C", str(checkout), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def packages() -> dict[str, str]:
    """Installed versions of this package and its dependencies."""
    try:
        lines = [line for line in requires("imigue_lab") or [] if "extra ==" not in line]
        names = ["imigue_lab", *(re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines)]
        return {name: version(name) for name in names}
    except PackageNotFoundError as error:
        return {"torch": torch.__version__, "note": f"run without installing ({error})"}


def machine() -> dict[str, Any]:
    cards = range(torch.cuda.device_count())
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": memory_gb(),
        "cards": [torch.cuda.get_device_name(number) for number in cards],
    }


def processor() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def memory_gb() -> float | None:
    """Of the machine; None if unknown."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None

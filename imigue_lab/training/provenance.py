"""What a run took: time, and memory at its peak, for its provenance.

What a run was made with: revision of the code, packages, processor, memory, graphics cards.
"""

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

MIB = 2**20
UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in which getrusage counts memory


def cost_of(device: torch.device, seconds: float) -> dict[str, Any]:
    """What this process took until now; of a run that was resumed, since its last start.

    Returns:
        device, seconds, peak_memory_mib (of the whole process, a notebook's other cells included)
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
    """Bytes of this process.

    By Linux's count of its memory where there is one: getrusage begins at the peak of the process
    that started it.
    """
    status = Path("/proc/self/status")
    told = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.M) if status.exists() else None
    if told:
        return int(told[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


CHECKOUT = Path(__file__).resolve().parents[2]


def describe_environment(processes: int = 1) -> dict[str, Any]:
    """For a run's provenance.

    Args:
        processes: that trained together.
    """
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": [without_password(word) for word in sys.argv],
        "git": revision(CHECKOUT),
        "python": platform.python_version(),
        "packages": packages(),
        "machine": machine() | {"processes": processes},
    }


def without_password(text: str) -> str:
    """The same with the password of a database's URL taken out, for what others will read."""
    return re.sub(r"(://[^:/@\s]*):\S*@", r"\1:***@", text)


def revision(checkout: Path) -> dict[str, Any]:
    """The commit, and whether files differ from it; both null outside a checkout."""
    if not (checkout / "pyproject.toml").exists():  # else it would be of whoever holds the packages
        return {"revision": None, "dirty": None}
    head, changes = git(checkout, "rev-parse", "HEAD"), git(checkout, "status", "--porcelain")
    return {"revision": head or None, "dirty": None if changes is None else bool(changes)}


def git(checkout: Path, *words: str) -> str | None:
    """What git says; None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(checkout), *words], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def packages() -> dict[str, str]:
    """Versions of this package and of all that it asks for, as they are installed."""
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
    told = Path("/proc/cpuinfo")
    if told.exists():
        found = re.search(r"^model name\s*: (.+)$", told.read_text(), re.MULTILINE)
        if found:
            return found[1]
    return platform.processor() or platform.machine()


def memory_gb() -> float | None:
    """Of the machine; None where the system does not say."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None

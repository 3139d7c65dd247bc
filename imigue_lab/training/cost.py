"""What a run took: time, and memory at its peak, for its provenance."""

import re
import resource
import sys
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

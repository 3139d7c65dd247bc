"""The cost of a run is measured."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from imigue_lab.training.session import MIB, cost_of, peak_memory


def test_peak_memory_is_between_current_and_total_memory():
    cost = cost_of(torch.device("cpu"), 1.26)
    held = psutil.Process().memory_info().rss / MIB
    assert 0.9 * held <= cost["peak_memory_mib"] < psutil.virtual_memory().total / MIB
    assert (cost["seconds"], cost["device"]) == (1.3, "cpu")
    assert "peak_device_memory_mib" not in cost


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux alone counts it so")
def test_the_peak_is_not_that_of_the_process_that_started_it():
    held = b"x" * (300 * MIB)
    words = "from imigue_lab.training.session import peak_memory; print(peak_memory())"
    output = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True
    )
    assert 20 * MIB < int(output.stdout) < peak_memory() - len(held) / 2


def test_a_run_records_its_cost(trained):
    provenance = trained[0].provenance()
    assert provenance["seconds"] > 0
    assert provenance["peak_memory_mib"] > 100

"""What a run took is measured, not guessed."""

import psutil
import torch

from imigue_lab.training.cost import MIB, cost_of


def test_peak_memory_lies_between_what_is_held_now_and_what_the_machine_has():
    cost = cost_of(torch.device("cpu"), 1.26)
    held = psutil.Process().memory_info().rss / MIB
    assert 0.9 * held <= cost["peak_memory_mib"] < psutil.virtual_memory().total / MIB
    assert (cost["seconds"], cost["device"]) == (1.3, "cpu")
    assert "peak_device_memory_mib" not in cost


def test_a_run_says_what_it_took(trained):
    provenance = trained[0].provenance()
    assert provenance["seconds"] > 0
    assert provenance["peak_memory_mib"] > 100

"""What `make gpu` measures, on the CPU against the CPU at small size."""

import subprocess
import sys

import pytest
import torch

from benchmarks import gpu
from imigue_lab.models.baselines import TABLE

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def small():
    return {case.name: case for case in gpu.cases("small")}


def test_every_network_agrees_with_itself_and_a_changed_one_does_not(small):
    assert set(small) == {row.name for row in TABLE} | {"emotion", "gesture"}
    for case in small.values():
        name, exact, rounded, near = gpu.compare_network(case, CPU)
        assert exact.startswith("0.0e+00 (") and not rounded.startswith("0.0e+00"), name
        assert near == "yes" and name.startswith(case.name), (name, rounded)


def test_outputs_that_differ_are_reported(small, monkeypatch):
    case = small["ctr-gcn"]

    class Wrong(torch.nn.Module):
        calls = 0

        def forward(self, *inputs):
            self.calls += 1
            return case.model(*inputs) + (self.calls > 1) * torch.arange(32)

    assert gpu.compare_network(gpu.Case("wrong", Wrong(), case.inputs), CPU)[-1] == "NO"


def test_merging_compilation_and_one_process_are_as_expected_on_the_cpu():
    assert gpu.merging(CPU, 48, 6)[-1] == "yes"
    case = gpu.Case("line", torch.nn.Linear(4, 3), (torch.randn(2, 4),))
    name, _, distance, near = gpu.compiled(case, CPU, backend="eager")
    assert name.endswith("line") and distance == "deviates by 0.0e+00" and near == "yes"
    assert gpu.one_process(CPU)[2:] == ("differ by 0.0e+00", "yes")


def test_an_epoch_counts_items_and_the_time_that_the_trainer_waits(synthetic):
    given = {"data": str(synthetic), "batch_size": 8, "frames": 8, "name": "gpu-epoch"}
    name, rate, share, _ = gpu.epoch_of("baseline", CPU, model="2s-agcn", **given)
    assert name == "epoch of baseline, 2s-agcn"
    assert int(rate.split()[0]) > 0 and 0 <= int(share.split()[0]) < 100
    given |= {"name": "gpu-motion", "kind": "motion", "probe": False}
    name, rate, *_ = gpu.epoch_of("pretraining", CPU, **given)
    assert name == "epoch of pretraining, motion" and int(rate.split()[0]) > 0


def test_extraction_is_compared_with_its_network(tmp_path):
    _, rate, share, near = gpu.extraction(CPU, "context-tiny", tmp_path)
    assert float(rate.split()[0]) > 0 and 0 < float(share.split()[0]) < 1.2 and near == "yes"


def test_without_a_gpu_the_script_says_so_and_ends():
    code = [sys.executable, "-m", "benchmarks.gpu"]
    done = subprocess.run(
        code, capture_output=True, text=True, env={"CUDA_VISIBLE_DEVICES": "", "PATH": ""}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "make gpu: no CUDA device was found, so there is nothing to measure\n"

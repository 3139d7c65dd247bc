"""Step time of 2s-AGCN: ours against a direct transcription of the published equations.

python -m benchmarks.agcn_step        about 2 minutes on two cores

N = 8 clips of one person, 64 frames of 25 joints, two threads. The transcription has one operator
for each equation and no copies; a test compares both with the same recorded outputs.
"""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.steady import keep_freed_memory
from imigue_lab.data.skeletons.graphs import spatial
from imigue_lab.data.skeletons.keypoints import LAYOUTS
from imigue_lab.models.checkpoints.registry import load_published

CLIPS, FRAMES, CLASSES, ROUNDS = 8, 64, 60, 10


class GraphConvolution(nn.Module):
    """``ReLU(BN(Σ_k W_k x (A_k + B_k + C_k)) + skip(x))``, features (N, C, T, V)."""

    def __init__(self, graph: Tensor, in_width: int, width: int):
        super().__init__()
        self.embedding = width // 4
        self.register_buffer("A", graph, persistent=False)
        self.PA = nn.Parameter(torch.full_like(graph, 1e-6))
        self.conv_a = nn.ModuleList(nn.Conv2d(in_width, self.embedding, 1) for _ in graph)
        self.conv_b = nn.ModuleList(nn.Conv2d(in_width, self.embedding, 1) for _ in graph)
        self.conv_d = nn.ModuleList(nn.Conv2d(in_width, width, 1) for _ in graph)
        self.bn = nn.BatchNorm2d(width)
        self.down = nn.Identity()
        if in_width != width:
            self.down = nn.Sequential(nn.Conv2d(in_width, width, 1), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        n, c, t, v = x.shape
        y = 0
        for k in range(3):
            a, b = self.conv_a[k](x), self.conv_b[k](x)
            similarity = a.view(n, -1, v).transpose(1, 2) @ b.view(n, -1, v)
            graph = self.A[k] + self.PA[k] + (similarity / (self.embedding * t)).softmax(dim=-2)
            y = y + self.conv_d[k]((x.view(n, c * t, v) @ graph).view(n, c, t, v))
        return F.relu(self.bn(y) + self.down(x))


class OverTime(nn.Module):
    """``BN(conv(x))`` over frames."""

    def __init__(self, in_width: int, width: int, kernel: int, stride: int):
        super().__init__()
        padding = (kernel // 2, 0)
        self.conv = nn.Conv2d(in_width, width, (kernel, 1), (stride, 1), padding)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class Block(nn.Module):
    """``ReLU(tcn(gcn(x)) + residual(x))``."""

    def __init__(self, graph: Tensor, in_width: int, width: int, stride: int, first: bool):
        super().__init__()
        self.gcn1 = GraphConvolution(graph, in_width, width)
        self.tcn1 = OverTime(width, width, 9, stride)
        self.first = first
        same = in_width == width and stride == 1
        self.residual = nn.Identity() if same or first else OverTime(in_width, width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.tcn1(self.gcn1(x))
        return F.relu(y if self.first else y + self.residual(x))


class Transcription(nn.Module):
    """The whole network on (N, C, T, V, M), with the published names of its parameters."""

    def __init__(self, graph: Tensor, classes: int, persons: int, channels: int = 3):
        super().__init__()
        self.data_bn = nn.BatchNorm1d(persons * channels * graph.shape[-1])
        widths = [channels, 64, 64, 64, 64, 128, 128, 128, 256, 256, 256]
        for number in range(1, 11):
            stride = 2 if number in (5, 8) else 1
            block = Block(graph, widths[number - 1], widths[number], stride, number == 1)
            self.add_module(f"l{number}", block)
        self.fc = nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        n, c, t, v, m = x.shape
        x = self.data_bn(x.permute(0, 4, 3, 1, 2).reshape(n, m * v * c, t))
        x = x.view(n, m, v, c, t).permute(0, 1, 3, 4, 2).reshape(n * m, c, t, v)
        for number in range(1, 11):
            x = self.get_submodule(f"l{number}")(x)
        return self.fc(x.view(n, m, 256, -1).mean(dim=3).mean(dim=1))


def networks() -> tuple[Transcription, nn.Module, Tensor]:
    """Both with the same weights, perturbed so that every term contributes, and one batch."""
    torch.manual_seed(0)
    graph = torch.tensor(spatial(LAYOUTS["ntu25"]), dtype=torch.float32)
    direct = Transcription(graph, CLASSES, persons=1)
    for name, value in direct.named_parameters():
        if name.endswith(("gcn1.bn.weight", "PA")):
            value.data += 0.05 * torch.randn_like(value) + name.endswith("weight")
    ours = load_published(direct.state_dict(), "2s-agcn", keypoints="ntu25")
    return direct, ours, torch.randn(CLIPS, 1, FRAMES, 25, 3)


def step_of(model: nn.Module, batch: Tensor, train: bool, half: bool) -> Callable[[], Tensor]:
    """A function that runs one step and returns the logits."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
    labels = torch.arange(CLIPS)

    def step() -> Tensor:
        model.train(train)
        optimizer.zero_grad()
        with torch.set_grad_enabled(train), torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = model(batch).float()
            loss = F.cross_entropy(logits, labels)
        if train:
            loss.backward()
            optimizer.step()
        return logits.detach()

    return step


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(2)
    direct, ours, skeletons = networks()
    published = skeletons.permute(0, 4, 2, 3, 1).contiguous()  # (N, C, T, V, M)
    halves = [False, True] if has_bfloat16() else [False]
    for train in (False, True):
        steps = {
            (name, half): step_of(model, batch, train, half)
            for name, model, batch in (("direct", direct, published), ("ours", ours, skeletons))
            for half in halves
        }
        logits = {key: step() for key, step in steps.items()}
        seconds: dict[tuple[str, bool], list[float]] = {key: [] for key in steps}
        for _ in range(ROUNDS):  # interleaved, so that other load affects all equally
            for key, step in steps.items():
                start = time.perf_counter()
                step()
                seconds[key].append(time.perf_counter() - start)
        report("train" if train else "eval", seconds, logits)


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively, not by emulation."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def report(what: str, seconds: dict, logits: dict) -> None:
    best = {key: min(times) for key, times in seconds.items()}
    exact = logits["direct", False]
    for (name, half), time_ in best.items():
        ratio = best["direct", False] / time_
        same = f", {best['direct', True] / time_:.2f} times that in bfloat16" if half else ""
        apart = (logits[name, half] - exact).abs().max() / exact.std()
        print(
            f"{what:5} {name:6} {'bfloat16' if half else 'float32 '} {1000 * time_:5.0f} ms,"
            f" {ratio:.2f} times the speed of the transcription in float32{same};"
            f" deviation of the logits {apart:.1e} of their standard deviation"
        )


if __name__ == "__main__":
    main()

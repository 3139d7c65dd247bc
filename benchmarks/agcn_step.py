"""2s-AGCN's step: ours against a direct transcription of the published equations, in one run.

python -m benchmarks.agcn_step        about 2 minutes on two cores

N = 8 clips of one person, 64 frames of 25 joints, two threads. The transcription has one operator
an equation and no copies; a test holds both to the same recorded outputs.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
            alike = a.view(n, -1, v).transpose(1, 2) @ b.view(n, -1, v)
            graph = self.A[k] + self.PA[k] + (alike / (self.embedding * t)).softmax(dim=-2)
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

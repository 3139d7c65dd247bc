"""EfficientNet-Lite0: a network of frames (Tan and Le, ICML 2019, arXiv 1905.11946; Lite: 2020).

Lite0 omits squeeze-and-excitation and has ReLU6 in place of swish. The published weights (ImageNet)
are TensorFlow's: convolutions of stride 2 pad more after a picture than before it.

Letters in shapes: B pictures, S side in pixels, c h w of a map that varies by layer.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Map = Float[Tensor, "B _c _h _w"]

# expansion, channels, blocks, stride of the first block, kernel
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
SIDE, DIM, CLASSES = 224, 1280, 1000


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's padding "same": ⌈h / stride⌉ rows, ⌈w / stride⌉ columns."""

    def forward(self, x: Map) -> Map:
        stride, kernel = self.stride[0], self.kernel_size[0]
        before_after: list[int] = []
        for side in (x.shape[3], x.shape[2]):
            missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            before_after += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x, before_after))


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """Inverted bottleneck: expand, filter each channel, project; added to its input if it fits."""

    def __init__(self, width: int, out: int, expansion: int, stride: int, kernel: int):
        super().__init__()
        inner = width * expansion
        self.adds = stride == 1 and width == out
        if expansion > 1:
            self.expand_conv = nn.Conv2d(width, inner, 1, bias=False)
            self.bn0 = norm(inner)
        self.depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner, bias=False)
        self.bn1 = norm(inner)
        self.project_conv = nn.Conv2d(inner, out, 1, bias=False)
        self.bn2 = norm(out)

    def forward(self, x: Map) -> Map:
        inner = F.relu6(self.bn0(self.expand_conv(x))) if hasattr(self, "expand_conv") else x
        inner = F.relu6(self.bn1(self.depthwise_conv(inner)))
        out = self.bn2(self.project_conv(inner))
        return x + out if self.adds else out


class EfficientNetLite0(nn.Module):
    """`features` of (B, 3, S, S) pictures, (x - 127) / 128; `forward` scores ImageNet's classes."""

    dim = DIM

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SameConv(3, 32, 3, 2, bias=False)
        self.bn0 = norm(32)
        blocks, width = [], 32
        for expansion, out, count, stride, kernel in STAGES:
            for number in range(count):
                blocks.append(Block(width, out, expansion, 1 if number else stride, kernel))
                width = out
        self.blocks = nn.Sequential(*blocks)
        self.conv_head = nn.Conv2d(width, DIM, 1, bias=False)
        self.bn1 = norm(DIM)
        self.fc = nn.Linear(DIM, CLASSES)

    def features(self, x: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B {self.dim}"]:
        """The mean of the last feature map over the picture."""
        x = self.blocks(F.relu6(self.bn0(self.conv_stem(x))))
        return F.relu6(self.bn1(self.conv_head(x))).mean(dim=(2, 3))

    def forward(self, x: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 1000"]:
        return self.fc(self.features(x))

"""Shortcuts where the map shrinks or gets more channels: ``(N, C, H, W)`` to ``(N, O, H / s, W / s)``.

``s`` is the stride, 1 or 2. In integer mode they take and give words. A map whose sides the stride does not divide has
no average pool; the models see to it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn import functional

from sw.nn.activations import ActivationBinarizer, PlainActivation
from sw.nn.conv_norm import ConvNorm
from sw.nn.fixed import FixedModule, round_half_up
from sw.nn.layers import BinaryConv2d, MultiBitConv2d
from sw.nn.weights import WeightBinarizer

__all__ = [
    "SHORTCUTS", "AveragePool", "BinaryProjection", "ChannelMap", "Duplicate", "Pad", "Projection", "Shortcut",
    "Subsample",
]


class AveragePool(FixedModule):
    """Mean of 2 x 2 windows; in integer mode ``(sum + 2) >> 2``."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y = functional.avg_pool2d(x, 2)
        # A mean of four integers is exact in float64.
        return y if self.fixed is None else round_half_up(y)


class Subsample(nn.Module):
    """Every second row and column, the first among them."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x[:, :, ::2, ::2]


class ChannelMap(nn.Module, ABC):
    """Channels by number: ``channels()`` lists for each of the result the one it is of ``x``, -1 for zeros.

    Raises ``ValueError`` for fewer output channels than input channels.
    """

    def __init__(self, in_channels: int, out_channels: int):
        if out_channels < in_channels:
            raise ValueError(f"{type(self).__name__} cannot make {out_channels} channels of {in_channels}")
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels

    def repeated(self, beta: int) -> "ChannelMap":
        """The RepTran form, of ``beta`` times the channels."""
        return type(self)(self.in_channels * beta, self.out_channels * beta)

    @abstractmethod
    def channels(self) -> list[int]:
        """See the class."""

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.in_channels}, {self.out_channels}"


class Pad(ChannelMap):
    """Channels of zeros, as many before as behind (of an odd number one more behind)."""

    def channels(self) -> list[int]:
        """See ``ChannelMap``."""
        more = self.out_channels - self.in_channels
        return [-1] * (more // 2) + list(range(self.in_channels)) + [-1] * (more - more // 2)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        more = self.out_channels - self.in_channels
        return functional.pad(x, [0, 0, 0, 0, more // 2, more - more // 2])


class Duplicate(ChannelMap):
    """All channels over again, as blocks, until there are enough."""

    def channels(self) -> list[int]:
        """See ``ChannelMap``."""
        return [index % self.in_channels for index in range(self.out_channels)]

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x.repeat(1, -(-self.out_channels // self.in_channels), 1, 1)[:, :self.out_channels]


class BinaryProjection(nn.Module):
    """Average pool where it shrinks, then binary 1 x 1 convolutions with batch norm: FTBNN's binary down-sampling.

    ``binarize`` makes the bits; Su et al., "FTBNN" (2020).
    """

    def __init__(self, binarize: ActivationBinarizer, conv: ConvNorm, stride: int):
        super().__init__()
        self.pool = AveragePool() if stride == 2 else nn.Identity()
        self.binarize = binarize
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.conv(self.binarize(self.pool(x)), self.binarize.scale())


class Projection(nn.Module):
    """1 x 1 convolution of the words themselves with weights of 8 bits, and batch norm.

    Where the papers use a real one: behind ``pool``, an ``AveragePool`` (ReActNet, SD-BNN) or ``Subsample`` (IR-Net).
    """

    def __init__(self, pool: nn.Module, conv: ConvNorm):
        super().__init__()
        self.pool = pool
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.conv(self.pool(x))


#: Makes the shortcut of ``(in_channels, out_channels, stride, binarizer)``.
Shortcut = Callable[[int, int, int, WeightBinarizer], nn.Module]


def _pool(stride: int) -> list[nn.Module]:
    return [AveragePool()] if stride == 2 else []


def option_a(in_channels: int, out_channels: int, stride: int, binarizer: WeightBinarizer) -> nn.Module:
    """Every second pixel, channels padded with zeros: option A of He et al. (CVPR 2016), as in IR-Net."""
    return nn.Sequential(*[Subsample()] * (stride == 2), Pad(in_channels, out_channels))


def average_pad(in_channels: int, out_channels: int, stride: int, binarizer: WeightBinarizer) -> nn.Module:
    """Average pool, channels padded with zeros, as in ReCU."""
    return nn.Sequential(*_pool(stride), Pad(in_channels, out_channels))


def average_duplicate(in_channels: int, out_channels: int, stride: int, binarizer: WeightBinarizer) -> nn.Module:
    """Average pool, channels repeated, as in ReActNet-A."""
    return nn.Sequential(*_pool(stride), Duplicate(in_channels, out_channels))


def binary(in_channels: int, out_channels: int, stride: int, binarizer: WeightBinarizer) -> nn.Module:
    """Average pool and a binary 1 x 1 convolution, as in FTBNN."""
    return BinaryProjection(PlainActivation(in_channels),
                            ConvNorm(BinaryConv2d(in_channels, out_channels, 1, binarizer=binarizer)), stride)


def real(in_channels: int, out_channels: int, stride: int, binarizer: WeightBinarizer) -> nn.Module:
    """Average pool and a 1 x 1 convolution of 8-bit weights, as in ReActNet-ResNet-18."""
    conv = ConvNorm(MultiBitConv2d(in_channels, out_channels, 1), takes_words=True)
    return Projection(AveragePool() if stride == 2 else nn.Identity(), conv)


def real_strided(in_channels: int, out_channels: int, stride: int, binarizer: WeightBinarizer) -> nn.Module:
    """Every second pixel and a 1 x 1 convolution of 8-bit weights, as in IR-Net's ResNet-18."""
    conv = ConvNorm(MultiBitConv2d(in_channels, out_channels, 1), takes_words=True)
    return Projection(Subsample() if stride == 2 else nn.Identity(), conv)


SHORTCUTS: Mapping[str, Shortcut] = {
    "option-a": option_a,
    "average-pad": average_pad,
    "average-duplicate": average_duplicate,
    "binary": binary,
    "real": real,
    "real-strided": real_strided,
}
"""How a shortcut changes shape, by name: each takes ``(in_channels, out_channels, stride, binarizer)``.

``binarizer`` is the weight binarizer of ``out_channels`` for a convolution in it.
"""

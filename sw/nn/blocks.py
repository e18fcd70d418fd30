"""Blocks of residual binary networks. All take and give ``(N, C, H, W)``, reals or in integer mode words.

Every block is ``x -> f(conv(binarize(x)) + shortcut(x))`` or the like; sums saturate to words in integer mode.
"""

import torch
from torch import Tensor, nn

from sw.nn.activations import ActivationBinarizer
from sw.nn.conv_norm import ConvNorm
from sw.nn.fixed import FixedModule
from sw.nn.nonlinear import Nonlinearity
from sw.nn.shortcuts import ChannelMap

__all__ = ["ChannelShuffle", "DoublingUnit", "PairUnit", "PlainUnit", "ResidualUnit"]


class ChannelShuffle(ChannelMap):
    """Channel ``g * (C / groups) + i`` goes to ``i * groups + g``, so that the next groups mix these.

    Zhang et al., "ShuffleNet" (CVPR 2018). Raises ``ValueError`` for groups that do not divide the channels.
    """

    def __init__(self, channels: int, groups: int):
        if groups < 1 or channels % groups:
            raise ValueError(f"ChannelShuffle groups must divide the {channels} channels, not {groups!r}")
        super().__init__(channels, channels)
        self.groups = groups

    def repeated(self, beta: int) -> "ChannelShuffle":
        """See ``ChannelMap``."""
        return ChannelShuffle(self.in_channels * beta, self.groups)

    def channels(self) -> list[int]:
        """See ``ChannelMap``."""
        width = self.in_channels // self.groups
        return [index % self.groups * width + index // self.groups for index in range(self.in_channels)]

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class PlainUnit(FixedModule):
    """``conv(shuffle(binarize(x)))``, a layer without a shortcut; the non-linearity may be left out (``Linear``)."""

    def __init__(self, binarize: ActivationBinarizer, conv: ConvNorm, nonlinearity: Nonlinearity,
                 shuffle: ChannelShuffle | None = None):
        super().__init__()
        self.binarize = binarize
        self.shuffle = shuffle
        self.conv = conv
        self.nonlinearity = nonlinearity

    def branch(self, x: Tensor) -> Tensor:
        """Before the non-linearity."""
        bits = self.binarize(x)
        return self.conv(bits if self.shuffle is None else self.shuffle(bits), self.binarize.scale())

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.nonlinearity(self.branch(x))


class ResidualUnit(PlainUnit):
    """One binary convolution and a shortcut around it, the double shortcut of Bi-Real-Net (Liu et al., ECCV 2018).

    The non-linearity stands behind the sum, ``f(conv + shortcut)``, or with ``before`` in the branch,
    ``f(conv) + shortcut``: the placements that FTBNN compares.
    """

    def __init__(self, binarize: ActivationBinarizer, conv: ConvNorm, nonlinearity: Nonlinearity, shortcut: nn.Module,
                 before: bool = False, shuffle: ChannelShuffle | None = None):
        super().__init__(binarize, conv, nonlinearity, shuffle)
        self.shortcut = shortcut
        self.before = before

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y = self.branch(x)
        if self.before:
            y = self.nonlinearity(y)
        y = y + self.shortcut(x)
        if self.fixed is not None:
            y = self.fixed.saturate(y)
        return y if self.before else self.nonlinearity(y)


class PairUnit(FixedModule):
    """Two ``PlainUnit`` and one shortcut around both: the single shortcut of He et al. (CVPR 2016).

    The non-linearity of ``second`` stands behind the sum, or with ``before`` ahead of it.
    """

    def __init__(self, first: PlainUnit, second: PlainUnit, shortcut: nn.Module, before: bool = False):
        super().__init__()
        self.first = first
        self.second = second
        self.shortcut = shortcut
        self.before = before

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y = self.second.branch(self.first(x))
        if self.before:
            y = self.second.nonlinearity(y)
        y = y + self.shortcut(x)
        if self.fixed is not None:
            y = self.fixed.saturate(y)
        return y if self.before else self.second.nonlinearity(y)


class DoublingUnit(FixedModule):
    """Twice the channels without a real convolution: ``f(concat(left(b), right(b)) + concat(x, x))``.

    ``b = shuffle(binarize(x))``, and ``before`` is as in ``ResidualUnit``. Liu et al., "ReActNet" (ECCV 2020).
    """

    def __init__(self, binarize: ActivationBinarizer, left: ConvNorm, right: ConvNorm, nonlinearity: Nonlinearity,
                 before: bool = False, shuffle: ChannelShuffle | None = None):
        super().__init__()
        self.binarize = binarize
        self.shuffle = shuffle
        self.left = left
        self.right = right
        self.nonlinearity = nonlinearity
        self.before = before

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        bits, scale = self.binarize(x), self.binarize.scale()
        if self.shuffle is not None:
            bits = self.shuffle(bits)
        y = torch.cat([conv(bits, scale) for conv in (self.left, self.right)], 1)
        if self.before:
            y = self.nonlinearity(y)
        y = y + x.repeat(1, 2, 1, 1)
        if self.fixed is not None:
            y = self.fixed.saturate(y)
        return y if self.before else self.nonlinearity(y)

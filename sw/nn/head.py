"""The last layer of a network: class scores."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.nn.conv_norm import norm_affine
from sw.nn.fixed import FixedModule, round_half_up
from sw.nn.functional import round_straight_through
from sw.nn.layers import initial_weight, score_scale
from sw.nn.multi_bit import odd_integers
from sw.nn.weights import PlainSign

__all__ = ["BinaryHead", "Head", "MultiBitHead", "PooledHead"]

# Scores have 32 bits, signed.
_SCORE_BITS = 31


class Head(FixedModule, ABC):
    """What all have in common: a fully connected layer of ``side x side`` maps to ``classes`` scores.

    ``weight`` is ``(classes, C, side, side)``. The result is ``(N, classes)``: logits, or in integer mode the integer
    scores, ``float64``, whose order is theirs. In training such a score is multiplied by its ``unit``, a logit again.
    """

    weight_bits = 8

    def __init__(self, channels: int, classes: int, side: int):
        super().__init__()
        self.channels = channels
        self.classes = classes
        self.side = side
        self.weight = nn.Parameter(initial_weight(classes, channels, side, side))

    def repeated(self, beta: int) -> "Head":
        """The RepTran form: a new one for ``beta`` times the channels."""
        return type(self)(self.channels * beta, self.classes, self.side)

    @abstractmethod
    def integers(self) -> tuple[Tensor, Tensor]:
        """Integer weights in the shape of ``weight`` and offsets ``(classes,)``, ``float64``, for integer mode."""

    @abstractmethod
    def unit(self) -> float:
        """The logit that an integer score of 1 stands for."""

    def _result(self, scores: Tensor) -> Tensor:
        """Of integer mode, from integer scores."""
        return scores * self.unit() if self.training else scores

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.channels}, {self.classes}, side={self.side}"


class BinaryHead(Head):
    """Binary weights on bits: ``(sum + round(offset)) * score_scale``, ``offset`` a parameter in units of the sums."""

    weight_bits = 1

    def __init__(self, channels: int, classes: int, side: int):
        super().__init__(channels, classes, side)
        self.scale = score_scale(channels * side * side)
        self.binarizer = PlainSign(classes)
        self.offset = nn.Parameter(torch.zeros(classes))

    def integers(self) -> tuple[Tensor, Tensor]:
        """See ``Head``."""
        return self.binarizer.signs(self.weight).double(), round_straight_through(self.offset).double()

    def unit(self) -> float:
        """See ``Head``."""
        return self.scale

    def forward(self, x: Tensor) -> Tensor:
        """See ``Head``."""
        sums = functional.conv2d(x.to(self.weight.dtype), self.binarizer.signs(self.weight)).flatten(1)
        if self.fixed is not None:
            return self._result(sums.double() + self.integers()[1])
        return (sums + round_straight_through(self.offset)) * self.scale


class MultiBitHead(Head):
    """Real weights on bits, with a bias a class; in integer mode weights are odd integers of 8 bits."""

    def __init__(self, channels: int, classes: int, side: int):
        super().__init__(channels, classes, side)
        self.bias = nn.Parameter(torch.zeros(classes))

    def integers(self) -> tuple[Tensor, Tensor]:
        """See ``Head``."""
        weight, unit = odd_integers(self.weight, self.weight_bits)
        return weight, round_half_up(self.bias.double() / unit)

    def unit(self) -> float:
        """See ``Head``."""
        return odd_integers(self.weight.detach(), self.weight_bits)[1]

    def forward(self, x: Tensor) -> Tensor:
        """See ``Head``."""
        if self.fixed is None:
            return functional.conv2d(x, self.weight.to(x.dtype)).flatten(1).float() + self.bias
        weight, offset = self.integers()
        return self._result(functional.conv2d(x.double(), weight).flatten(1) + offset)


class PooledHead(Head):
    """Global average pool, with ``norm`` a batch norm, and real weights with a bias a class.

    ``side`` is that of the map pooled, and ``weight`` has 1 x 1. In integer mode words are summed, not averaged, sums
    that would let scores exceed 32 bits are shifted right by ``reduce``, the norm is part of the weights, and these
    are odd integers of 8 bits.
    """

    def __init__(self, channels: int, classes: int, side: int, norm: bool = False):
        super().__init__(channels, classes, 1)
        self.side = side
        self.norm = nn.BatchNorm1d(channels) if norm else None
        self.bias = nn.Parameter(torch.zeros(classes))

    def repeated(self, beta: int) -> "PooledHead":
        """See ``Head``."""
        return PooledHead(self.channels * beta, self.classes, self.side, self.norm is not None)

    @property
    def reduce(self) -> int:
        """Bits by which the sums of words are shifted right in integer mode, with round half up."""
        assert self.fixed is not None
        bits = self.fixed.bits - 1 + math.log2(self.side ** 2 * self.channels) + self.weight_bits
        return max(0, math.ceil(bits) + 1 - _SCORE_BITS)

    def _affine(self) -> tuple[Tensor, Tensor]:
        """Weights and bias of the mean, the norm in them."""
        weight, bias = self.weight.double(), self.bias.double()
        if self.norm is not None:
            gain, offset = norm_affine(self.norm)
            bias = bias + weight.flatten(1) @ offset
            weight = weight * gain[:, None, None]
        return weight, bias

    def integers(self) -> tuple[Tensor, Tensor]:
        """See ``Head``."""
        weight, bias = self._affine()
        return odd_integers(weight, self.weight_bits)[0], round_half_up(bias / self.unit())

    def unit(self) -> float:
        """See ``Head``."""
        assert self.fixed is not None
        unit = odd_integers(self._affine()[0].detach(), self.weight_bits)[1]
        return unit * 2 ** self.reduce / (self.fixed.one * self.side ** 2)

    def forward(self, x: Tensor) -> Tensor:
        """See ``Head``."""
        if self.fixed is None:
            mean = x.float().mean((2, 3))
            mean = mean if self.norm is None else self.norm(mean)
            return functional.linear(mean, self.weight.flatten(1), self.bias)
        weight, offset = self.integers()
        sums = round_half_up(x.sum((2, 3)) / 2.0 ** self.reduce)
        return self._result(functional.linear(sums, weight.flatten(1)) + offset)

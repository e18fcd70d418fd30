"""What the hardware can learn of an image at run time: a channel's third moment, and what follows from it."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.errors import CompileError
from sw.nn.fixed import AffineConstants, FixedModule, affine_constants, round_half_up
from sw.nn.multi_bit import odd_integers

__all__ = ["TABLE_ENTRIES", "InstanceBias", "SqueezeConstants", "SqueezeExcite"]

#: Entries of a table of sigmoid or tanh, and the part of their argument that they cover, from minus it on.
TABLE_ENTRIES = 256
TABLE_REACH = 8.0

_WEIGHT_BITS = 8

# Sums over a map are cut to this width before the fully connected layers: their result then fits 62 bits.
_VECTOR_BITS = 18

# The factor of a table's index is below this: it needs no more bits than the index, and the product fits 62.
_MOST_FACTOR = 1 << 9

# A normalised value in integer mode: 8 bits, of which 5 behind the point, so from -4 to just below 4.
_NORM_FRACTION, _NORM_BITS = 5, 8


class SqueezeConstants(NamedTuple):
    """Integers of a ``SqueezeExcite``: both layers' odd weights, and the table with how its index is made.

    The vector is first shifted right by ``reduce``, with round half up.
    """

    reduce: int
    squeeze: Tensor
    excite: Tensor
    table: Tensor
    multiplier: int
    shift: int


class SqueezeExcite(FixedModule):
    """A value a channel of an image, ``(N, C)``, through FC(C, C // r), ReLU, FC(C // r, C) and ``function``.

    Neither layer has a bias, and ``C // r`` is at least 1. From Hu et al., "Squeeze-and-Excitation Networks" (CVPR
    2018). In integer mode weights are odd integers of 8 bits, and the function is a table of 256 words.

    Raises ``ValueError`` for another function than "sigmoid" and "tanh".
    """

    trainable = False

    def __init__(self, channels: int, reduction: int, function: str):
        if function not in ("sigmoid", "tanh"):
            raise ValueError(f"SqueezeExcite function must be sigmoid or tanh, not {function!r}")
        super().__init__()
        self.channels = channels
        self.reduction = reduction
        self.function = function
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden, bias=False)
        self.excite = nn.Linear(hidden, channels, bias=False)

    def constants(self, unit: float, bits: int) -> SqueezeConstants:
        """Of the integer mode, for integers of ``bits`` bits that count ``unit``; the table gives words.

        Raises ``CompileError`` for weights that are no numbers.
        """
        assert self.fixed is not None
        reduce = max(0, bits - _VECTOR_BITS)
        unit *= 1 << reduce
        squeeze, first = odd_integers(self.squeeze.weight, _WEIGHT_BITS)
        excite, second = odd_integers(self.excite.weight, _WEIGHT_BITS)
        step = TABLE_REACH / (TABLE_ENTRIES // 2)
        middle = (torch.arange(TABLE_ENTRIES, dtype=torch.float64) - TABLE_ENTRIES // 2 + 0.5) * step
        table = round_half_up(getattr(torch, self.function)(middle) * self.fixed.one)
        factor = unit * first * second / step
        if not 0 < factor < math.inf:
            raise CompileError("weights of a squeeze-excite branch are no finite numbers; train again with a lower "
                               "learning rate")
        shift = min(61, max(0, math.floor(math.log2((_MOST_FACTOR - 1) / factor))))
        return SqueezeConstants(reduce, squeeze, excite, table, math.floor(factor * 2.0 ** shift + 0.5), shift)

    def forward(self, x: Tensor, unit: float = 1.0, bits: int = 0) -> Tensor:
        """See the class; in integer mode ``x`` holds integers of ``bits`` bits that count ``unit``. It gives words."""
        if self.fixed is None:
            excited = self.excite(functional.relu(self.squeeze(x)))
            return torch.sigmoid(excited) if self.function == "sigmoid" else torch.tanh(excited)
        constants = self.constants(unit, bits)
        # In int64, for the products are longer than float64 holds.
        hidden = (round_half_up(x / 2.0 ** constants.reduce).long() @ constants.squeeze.long().T).clamp_min(0)
        index = ((hidden @ constants.excite.long().T * constants.multiplier) >> constants.shift) + TABLE_ENTRIES // 2
        return constants.table[index.clamp(0, TABLE_ENTRIES - 1)]


class InstanceBias(FixedModule):
    """A bias a channel of an image from its third moment: ``(N, C, H, W)`` to ``(N, C, 1, 1)``.

    It is ``gain * m + bias``, with ``squeeze_excite`` (the "+" form) plus a ``SqueezeExcite`` of m with tanh and
    reduction 8. ``m = mean(v ** 3)`` over the image's pixels, v the batch-normalised ``x`` (no gain, no offset). After
    Lee et al., "INSTA-BNN" (ICCV 2023), for which no code is public: the norm, the tanh and the reduction are choices
    of ours.

    In integer mode v has 8 bits, 5 of them behind the point, and the cubes are summed, not averaged.
    """

    trainable = False

    def __init__(self, channels: int, squeeze_excite: bool):
        super().__init__()
        self.channels = channels
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.branch = SqueezeExcite(channels, 8, "tanh") if squeeze_excite else None

    def norm_constants(self) -> AffineConstants:
        """Integers that make v of the words ``x``."""
        assert self.fixed is not None and self.norm.running_mean is not None and self.norm.running_var is not None
        gain = (self.norm.running_var.double() + self.norm.eps).rsqrt()
        return affine_constants(gain / self.fixed.one, -gain * self.norm.running_mean.double(), _NORM_FRACTION)

    def unit(self, pixels: int) -> float:
        """What the sum of cubes over ``pixels`` counts, in units of m."""
        return 1 / ((1 << (3 * _NORM_FRACTION)) * pixels)

    def bias_constants(self, pixels: int) -> AffineConstants:
        """Integers that make the bias, a word of ``FixedPoint.sum_bits``, of the sum of cubes."""
        assert self.fixed is not None
        return affine_constants(self.gain.double() * self.unit(pixels), self.bias, self.fixed.fraction)

    norm_bits = _NORM_BITS
    """Width of v in integer mode."""

    @staticmethod
    def sum_bits(pixels: int) -> int:
        """Width of the sum of cubes over ``pixels``, signed."""
        return 3 * (_NORM_BITS - 1) + 1 + (pixels - 1).bit_length()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.fixed is None:
            moment = self.norm(x).float().pow(3).mean((2, 3))
            bias = self.gain * moment + self.bias
            if self.branch is not None:
                bias = bias + self.branch(moment)
            return bias[:, :, None, None].to(x.dtype)
        v = self.fixed.saturate(self.norm_constants()(x), _NORM_BITS)
        cubes = v.pow(3).sum((2, 3))
        pixels = x.shape[2] * x.shape[3]
        bias = self.fixed.saturate(self.bias_constants(pixels)(cubes), self.fixed.sum_bits)
        if self.branch is not None:
            branch = self.branch(cubes, self.unit(pixels), self.sum_bits(pixels))
            bias = self.fixed.saturate(bias + branch, self.fixed.sum_bits)
        return bias[:, :, None, None]

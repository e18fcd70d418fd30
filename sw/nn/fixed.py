"""Fixed point in PyTorch: the integers that the hardware keeps, carried exactly in float64. See docs/numerics.md.

A network with real values between its convolutions runs in two modes. In training they are real. In integer mode each
module computes what the integer reference computes: a real ``x`` is the integer ``x * 2**fraction``, every product is
shifted right with round half up, and every word saturates. Both modes are the same module, so that what is exported is
what was trained.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from sw.errors import CompileError

__all__ = [
    "GAIN_BITS", "AffineConstants", "FixedModule", "FixedPoint", "affine_constants", "fixed_point", "round_half_up",
    "set_fixed",
]

#: Signed width of the factors of a batch norm: that of the multipliers of small FPGAs.
GAIN_BITS = 16

# Offsets stay below this, so that float64 holds them, and 62 bits every sum before a shift.
_MOST_OFFSET = 2.0 ** 50


@dataclass(frozen=True)
class FixedPoint:
    """Words of ``bits`` bits (4 to 24), signed, of which ``fraction`` (0 to 20) stand behind the binary point.

    Raises ``CompileError`` for others.
    """

    fraction: int = 6
    bits: int = 8

    def __post_init__(self) -> None:
        if self.fraction not in range(21) or self.bits not in range(4, 25):
            raise CompileError(f"fixed point words must have 4 to 24 bits and a fraction of 0 to 20, not "
                               f"{self.bits} and {self.fraction}")

    @property
    def one(self) -> int:
        """The integer that stands for 1."""
        return 1 << self.fraction

    @property
    def sum_bits(self) -> int:
        """Width of a batch norm's result before it is added to a word: it saturates later than the sum does."""
        return self.bits + 2

    def saturate(self, x: Tensor, bits: int | None = None) -> Tensor:
        """Integers limited to words, or to ``bits`` bits."""
        most = 1 << ((self.bits if bits is None else bits) - 1)
        return x.clamp(-most, most - 1)


class FixedModule(nn.Module):
    """A module with an integer mode, which ``set_fixed`` sets: ``fixed`` is its format there, else None."""

    fixed: FixedPoint | None = None


def set_fixed(model: nn.Module, fixed: FixedPoint | None) -> None:
    """Put a model into integer mode with words of a format (and into eval mode), or with None out of it."""
    for module in model.modules():
        if isinstance(module, FixedModule):
            module.fixed = fixed
    if fixed is not None:
        model.eval()


def fixed_point(model: nn.Module) -> FixedPoint | None:
    """The format of a model in integer mode, None out of it."""
    return next((module.fixed for module in model.modules() if isinstance(module, FixedModule)), None)


def round_half_up(x: Tensor) -> Tensor:
    """The nearest integer, halves towards plus infinity."""
    return (x + 0.5).floor()


class AffineConstants(NamedTuple):
    """``(gain * x + offset + half) >> shift`` with integers ``float64 (C,)``: see ``sw.ir.Affine``."""

    gain: Tensor
    offset: Tensor
    shift: int

    def __call__(self, x: Tensor) -> Tensor:
        """The result for integers ``float64 (N, C, ...)``, before saturation."""
        shape = (-1, *[1] * (x.ndim - 2))
        half = (1 << self.shift) >> 1
        # In int64, for products of wide words are longer than float64 holds.
        sums = (x.long() * self.gain.long().view(shape)).add_(self.offset.long().view(shape) + half)
        return sums.bitwise_right_shift_(self.shift).double()


def affine_constants(gain: Tensor, offset: Tensor, fraction: int) -> AffineConstants:
    """Constants for ``(gain * x + offset) * 2**fraction`` of integers ``x``, ``gain`` and ``offset`` of shape ``(C,)``.

    The shift is the largest, 40 at most, with which all gains fit ``GAIN_BITS`` bits and offsets stay within 2**50.
    Raises ``CompileError`` for gains or offsets that do not fit even without one, or are no numbers.
    """
    gain, offset = (values.detach().double() * 2.0 ** fraction for values in (gain, offset))
    most = (1 << (GAIN_BITS - 1)) - 1
    largest, farthest = float(gain.abs().max()), float(offset.abs().max())
    if not (largest <= most and farthest <= _MOST_OFFSET):
        raise CompileError(f"a batch norm's gain of {largest / 2 ** fraction:g} or offset of "
                           f"{farthest / 2 ** fraction:g} does not fit {GAIN_BITS} bits with a fraction of {fraction}; "
                           f"train with more weight decay, or take a smaller fraction")
    shift = 40
    for value, limit in ((largest, most), (farthest, _MOST_OFFSET)):
        if value:
            shift = min(shift, math.floor(math.log2(limit / value)))
    return AffineConstants(round_half_up(gain * 2.0 ** shift), round_half_up(offset * 2.0 ** shift), shift)

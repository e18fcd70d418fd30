"""Fixed point in PyTorch: the integers that the hardware keeps, carried exactly in float64. See docs/numerics.md.

A network with real values between its convolutions runs in two modes. In training they are real. In integer mode each
module computes what the integer reference computes: a real ``x`` is the integer ``x * 2**fraction``, every product is
shifted right with round half up, and every word saturates. Both modes are the same module, so that what is exported is
what was trained.

Integer mode can be trained as well (``check_trainable``): gradients pass straight through each rounding, and are zero
where a word saturates. Batch norms keep their statistics then.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, autograd, nn

from sw.errors import CompileError

__all__ = [
    "GAIN_BITS", "MOST_SHIFT", "AffineConstants", "FixedModule", "FixedPoint", "affine_constants", "check_trainable",
    "fixed_point", "round_half_up", "set_fixed",
]

#: Signed width of the factors of a batch norm: that of the multipliers of small FPGAs.
GAIN_BITS = 16

#: The largest shift of a batch norm.
MOST_SHIFT = 40

# Offsets stay below this, so that float64 holds them, and 62 bits every sum before a shift.
_MOST_OFFSET = 2.0 ** 50

# Below this, float64 holds a sum before its shift, and a half more.
_EXACT = 2.0 ** 51


@dataclass(frozen=True)
class FixedPoint:
    """Words of ``bits`` bits (4 to 24), signed, of which ``fraction`` (0 to 20) stand behind the binary point.

    ``shift`` (0 to 40) is that of all batch norms behind convolutions; with None each has the largest that it can.
    Raises ``CompileError`` for others.
    """

    fraction: int = 6
    bits: int = 8
    shift: int | None = None

    def __post_init__(self) -> None:
        if self.fraction not in range(21) or self.bits not in range(4, 25):
            raise CompileError(f"fixed point words must have 4 to 24 bits and a fraction of 0 to 20, not "
                               f"{self.bits} and {self.fraction}")
        if self.shift is not None and self.shift not in range(MOST_SHIFT + 1):
            raise CompileError(f"the shift of batch norms must be 0 to {MOST_SHIFT}, not {self.shift}")

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
    """A module with an integer mode, which ``set_fixed`` sets: ``fixed`` is its format there, else None.

    ``trainable`` says whether gradients pass it in integer mode.
    """

    fixed: FixedPoint | None = None
    trainable = True

    def as_reals(self, x: Tensor) -> Tensor:
        """What words stand for in integer mode; reals as they are."""
        return x if self.fixed is None else x * (1 / self.fixed.one)


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


def check_trainable(model: nn.Module) -> None:
    """Refuse a model whose integer mode cannot be trained, or that has none: ``CompileError`` names the module.

    Words must have 16 bits at most, with which all sums that gradients pass are exact in float64.
    """
    modules = {path: module for path, module in model.named_modules() if isinstance(module, FixedModule)}
    if not modules:
        raise CompileError("the model has no real values between its layers: it is trained as integers anyway")
    for path, module in modules.items():
        if not module.trainable:
            raise CompileError(f"{path}: {type(module).__name__}, a statistic of the image, has no gradient in integer "
                               f"mode; train the network as real numbers")


class _RoundHalfUp(autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x + 0.5).floor_()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def round_half_up(x: Tensor) -> Tensor:
    """The nearest integer, halves towards plus infinity, with derivative 1."""
    result: Tensor = _RoundHalfUp.apply(x)
    return result


class AffineConstants(NamedTuple):
    """``(gain * x + offset + half) >> shift`` with integers ``float64 (C,)``: see ``sw.ir.Affine``."""

    gain: Tensor
    offset: Tensor
    shift: int

    def __call__(self, x: Tensor, reach: float = math.inf) -> Tensor:
        """The result for integers ``float64 (N, C, ...)`` within ``reach``, before saturation.

        Gradients pass where ``reach`` is so small that float64 holds all sums.
        """
        shape = (-1, *[1] * (x.ndim - 2))
        gain, offset = self.gain.view(shape), self.offset.view(shape)
        half = (1 << self.shift) >> 1
        if reach * (1 << (GAIN_BITS - 1)) + _MOST_OFFSET + half < _EXACT:
            return round_half_up(torch.addcmul(offset, x, gain).mul(2.0 ** -self.shift))
        sums = (x.long() * gain.long()).add_(offset.long() + half)
        return sums.bitwise_right_shift_(self.shift).double()


def affine_constants(gain: Tensor, offset: Tensor, fraction: int, shift: int | None = None) -> AffineConstants:
    """Constants for ``(gain * x + offset) * 2**fraction`` of integers ``x``, ``gain`` and ``offset`` of shape ``(C,)``.

    ``shift`` is the largest, ``MOST_SHIFT`` at most, with which all gains fit ``GAIN_BITS`` bits and offsets stay
    within 2**50, unless told. Raises ``CompileError`` for gains or offsets that do not fit with it, or even without
    one, or are no numbers.
    """
    gain, offset = (values.double() * 2.0 ** fraction for values in (gain, offset))
    most = (1 << (GAIN_BITS - 1)) - 1
    largest, farthest = (float(values.detach().abs().max()) for values in (gain, offset))
    found = MOST_SHIFT
    for value, limit in ((largest, most), (farthest, _MOST_OFFSET)):
        if value:
            found = min(found, math.floor(math.log2(limit / value))) if value <= limit else -1
    if found < (shift or 0):
        behind = f" and a shift of {shift}" if shift else ""
        raise CompileError(f"a batch norm's gain of {largest / 2 ** fraction:g} or offset of "
                           f"{farthest / 2 ** fraction:g} does not fit {GAIN_BITS} bits with a fraction of {fraction}"
                           f"{behind}; train with more weight decay, or take a smaller fraction")
    shift = found if shift is None else shift
    return AffineConstants(round_half_up(gain * 2.0 ** shift), round_half_up(offset * 2.0 ** shift), shift)

"""Non-linear modules of binary networks, each with its integer form. All take and give ``(N, C, H, W)``.

In integer mode they take integers and give words of ``FixedPoint.bits`` bits.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.errors import CompileError
from sw.nn.fixed import FixedModule, round_half_up
from sw.nn.statistics import InstanceBias

__all__ = [
    "NONLINEARITIES", "SLOPE_SHIFT", "Hardtanh", "InstaPReLU", "Linear", "Nonlinearity", "PReLU", "RPReLU", "ReLU",
    "SqueezeInstaPReLU", "TwoSlopePReLU",
]

#: Bits of a slope behind the binary point, in integer mode.
SLOPE_SHIFT = 10


class Nonlinearity(FixedModule):
    """What a block asks of a non-linear module of ``channels`` channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels

    def repeated(self, beta: int) -> "Nonlinearity":
        """The RepTran form: a new one of ``beta`` times the channels."""
        return type(self)(self.channels * beta)

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return str(self.channels)


class Linear(Nonlinearity):
    """None: x itself, saturated in integer mode."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x if self.fixed is None else self.fixed.saturate(x)


class Hardtanh(Nonlinearity):
    """x limited to -1 and 1."""

    def limit(self) -> int:
        """The word of 1, or the highest there is."""
        assert self.fixed is not None
        return min(self.fixed.one, (1 << (self.fixed.bits - 1)) - 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.fixed is None:
            return functional.hardtanh(x)
        return x.clamp(-self.limit(), self.limit())


class ReLU(Nonlinearity):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.relu(x) if self.fixed is None else self.fixed.saturate(x).clamp_min(0)


class _Slopes(Nonlinearity, ABC):
    """One slope for ``x >= 0`` and one below, both a channel."""

    @abstractmethod
    def slopes(self) -> tuple[Tensor, Tensor]:
        """``(C,)`` of the positive and of the negative side."""

    def integer_slopes(self) -> tuple[Tensor, Tensor]:
        """Both times ``2 ** SLOPE_SHIFT``, rounded, ``float64``. Raises ``CompileError`` for slopes of 32 and more."""
        positive, negative = (
            round_half_up(slope.double() * (1 << SLOPE_SHIFT)) for slope in self.slopes())
        steepest = float(torch.maximum(positive.detach().abs().max(), negative.detach().abs().max()))
        if not steepest < 1 << 15:
            raise CompileError(f"a slope of {steepest / (1 << SLOPE_SHIFT):g} does not fit 16 bits with {SLOPE_SHIFT} "
                               f"behind the point; train with a lower learning rate")
        return positive, negative

    def bend(self, x: Tensor) -> Tensor:
        """The two slopes alone."""
        if self.fixed is None:
            positive, negative = (slope.to(x.dtype)[:, None, None] for slope in self.slopes())
            return x.clamp_min(0) * positive + x.clamp_max(0) * negative
        positive, negative = (slope[:, None, None] for slope in self.integer_slopes())
        return self.fixed.saturate(round_half_up(torch.where(x >= 0, x * positive, x * negative) / 2.0 ** SLOPE_SHIFT))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.bend(x)


class PReLU(_Slopes):
    """x, and ``slope * x`` below 0, the slope learned a channel, 0.25 at first.

    He et al., "Delving Deep into Rectifiers" (ICCV 2015).
    """

    def __init__(self, channels: int):
        super().__init__(channels)
        self.slope = nn.Parameter(torch.full((channels,), 0.25))

    def slopes(self) -> tuple[Tensor, Tensor]:
        """1 and the slope."""
        return torch.ones_like(self.slope), self.slope

    def bend(self, x: Tensor) -> Tensor:
        """See the class. Two clamps, which train faster than PyTorch's kernel for a slope a channel."""
        if self.fixed is not None:
            return super().bend(x)
        return x.clamp_min(0) + x.clamp_max(0) * self.slope.to(x.dtype)[:, None, None]


class TwoSlopePReLU(_Slopes):
    """A PReLU that learns both slopes, 1 and 0.25 at first: the fully parametric form of FTBNN-style networks."""

    def __init__(self, channels: int):
        super().__init__(channels)
        self.positive = nn.Parameter(torch.ones(channels))
        self.negative = nn.Parameter(torch.full((channels,), 0.25))

    def slopes(self) -> tuple[Tensor, Tensor]:
        """Both parameters."""
        return self.positive, self.negative


class RPReLU(PReLU):
    """``PReLU(x + before) + after``, all learned a channel, both shifts 0 at first. Liu et al., "ReActNet" (ECCV 2020).

    In integer mode the sum with ``before`` saturates to ``FixedPoint.sum_bits``.
    """

    def __init__(self, channels: int):
        super().__init__(channels)
        self.before = nn.Parameter(torch.zeros(channels))
        self.after = nn.Parameter(torch.zeros(channels))

    def offsets(self) -> tuple[Tensor, Tensor]:
        """``before`` and ``after`` as words, ``float64 (C,)``, in integer mode."""
        assert self.fixed is not None
        one = self.fixed.one
        return round_half_up(self.before.double() * one), round_half_up(self.after.double() * one)

    def shifted(self, x: Tensor) -> Tensor:
        """``x + before``."""
        if self.fixed is None:
            return x + self.before.to(x.dtype)[:, None, None]
        return self.fixed.saturate(x + self.offsets()[0][:, None, None], self.fixed.sum_bits)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.bend(self.shifted(x))
        if self.fixed is None:
            return x + self.after.to(x.dtype)[:, None, None]
        return self.fixed.saturate(x + self.offsets()[1][:, None, None])


class InstaPReLU(RPReLU):
    """``PReLU(x + before + I(x)) + after`` with an ``InstanceBias`` I of x: an RPReLU that follows the image.

    After Lee et al., "INSTA-BNN" (ICCV 2023).
    """

    squeeze_excite = False

    def __init__(self, channels: int):
        super().__init__(channels)
        self.instance = InstanceBias(channels, self.squeeze_excite)

    def shifted(self, x: Tensor) -> Tensor:
        """See ``RPReLU``; in integer mode each of the two sums saturates."""
        shifted = super().shifted(x) + self.instance(x)
        return shifted if self.fixed is None else self.fixed.saturate(shifted, self.fixed.sum_bits)


class SqueezeInstaPReLU(InstaPReLU):
    """``InstaPReLU`` with the squeeze-excite branch of the "+" form."""

    squeeze_excite = True


NONLINEARITIES: Mapping[str, type[Nonlinearity]] = {
    "none": Linear,
    "hardtanh": Hardtanh,
    "relu": ReLU,
    "prelu": PReLU,
    "two-slope": TwoSlopePReLU,
    "rprelu": RPReLU,
    "insta-prelu": InstaPReLU,
    "insta-prelu-plus": SqueezeInstaPReLU,
}
"""The modules by name; each is made by ``NONLINEARITIES[name](channels)``."""

"""The nodes between the binary convolutions of residual networks: fixed-point words, and how maps are joined.

A word is a signed integer of a few bits whose scale is the exporter's business. Each node that multiplies
ends in a shift that rounds half up, and in saturation. See docs/numerics.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sw.errors import CompileError
from sw.ir.base import Pair, Shape, Unary
from sw.ir.ranges import WIDEST, Range, rounded_shift, signed_limits

__all__ = ["Add", "Affine", "AveragePool", "Clip", "Concat", "Select", "Slopes", "Subsample"]


@dataclass(frozen=True, eq=False)
class Affine(Unary):
    """``saturate((gain * x + offset + half) >> shift)`` per channel, ``half = (1 << shift) >> 1``: a batch norm.

    ``gain`` is ``int32 (C,)``, ``offset`` ``int64 (C,)``, ``shift`` from 0 to 61, and the result has ``bits``
    bits, 2 to 32, signed.
    """

    gain: NDArray[np.int32]
    offset: NDArray[np.int64]
    shift: int
    bits: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._array("gain", np.int32, 1)
        self._array("offset", np.int64, 1)
        self._integer("shift", 0, WIDEST - 1)
        self._integer("bits", 2, 32)

    def output_shape(self, *shapes: Shape) -> Shape:
        """That of the source."""
        self._per_channel("gain", shapes[0])
        return self._per_channel("offset", shapes[0])

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """From both ends of the source's range, channel by channel."""
        ends = [rounded_shift(gain * value + offset, self.shift)
                for gain, offset in zip(self.gain.tolist(), self.offset.tolist())
                for value in (ranges[0].low, ranges[0].high)]
        return Range(min(ends), max(ends)).clipped(*signed_limits(self.bits))

    def peak(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> int:
        """Before the shift."""
        products = (abs(gain) * ranges[0].reach + abs(offset)
                    for gain, offset in zip(self.gain.tolist(), self.offset.tolist()))
        return max(products) + (1 << self.shift)


@dataclass(frozen=True, eq=False)
class Add(Pair):
    """Sum of two maps, saturated to ``bits`` bits (2 to 32), signed; one may be ``(1, 1, C)`` for all pixels."""

    bits: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integer("bits", 2, 32)

    def output_shape(self, *shapes: Shape) -> Shape:
        """That of the larger one."""
        left, right = shapes
        if left[2] != right[2] or (left != right and (1, 1) not in (left[:2], right[:2])):
            raise self._misfit(shapes, "give both one shape, or one of them 1 x 1 pixels and as many channels")
        return max(left, right)

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """The sum of both, saturated."""
        total = Range(ranges[0].low + ranges[1].low, ranges[0].high + ranges[1].high)
        return total.clipped(*signed_limits(self.bits))

    def peak(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> int:
        """Before saturation."""
        return ranges[0].reach + ranges[1].reach


@dataclass(frozen=True, eq=False)
class Clip(Unary):
    """Values below ``low`` become it, those above ``high`` that: a hardtanh."""

    low: int
    high: int

    def __post_init__(self) -> None:
        super().__post_init__()
        most = (1 << WIDEST) - 1
        self._integer("low", -most, most)
        self._integer("high", self.low, most)

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """What is left of the source's."""
        return ranges[0].clipped(self.low, self.high)

    def peak(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> int:
        """The limits, which are compared with the values."""
        return max(abs(self.low), abs(self.high))


@dataclass(frozen=True, eq=False)
class Slopes(Unary):
    """``saturate((s * x + half) >> shift)``, ``s`` a channel's ``positive`` where ``x >= 0``, else its ``negative``.

    That is a PReLU, or one with two slopes. Both are ``int32 (C,)``; ``shift``, ``half`` and ``bits`` are as in
    ``Affine``.
    """

    positive: NDArray[np.int32]
    negative: NDArray[np.int32]
    shift: int
    bits: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._array("positive", np.int32, 1)
        self._array("negative", np.int32, 1)
        self._integer("shift", 0, WIDEST - 1)
        self._integer("bits", 2, 32)

    def output_shape(self, *shapes: Shape) -> Shape:
        """That of the source."""
        self._per_channel("positive", shapes[0])
        return self._per_channel("negative", shapes[0])

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """From the ends of both pieces."""
        low, high = ranges[0].low, ranges[0].high
        ends = [rounded_shift(slope * value, self.shift)
                for slopes, first, last in ((self.positive, max(low, 0), high), (self.negative, low, min(high, -1)))
                if first <= last for slope in slopes.tolist() for value in (first, last)]
        return Range(min(ends), max(ends)).clipped(*signed_limits(self.bits))

    def peak(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> int:
        """Before the shift."""
        steepest = max(map(abs, (*self.positive.tolist(), *self.negative.tolist())))
        return steepest * ranges[0].reach + (1 << self.shift)


@dataclass(frozen=True, eq=False)
class AveragePool(Unary):
    """Mean of windows ``size x size``, the stride too: ``(sum + half) >> log2(size * size)``.

    ``size`` is a power of two, ``half`` as in ``Affine``; what is left over at the far edges is dropped.
    """

    size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integer("size", 1)
        if self.size & (self.size - 1):
            raise CompileError(f"{self.name}: size must be a power of two, not {self.size}; use a GlobalSum for a mean "
                               f"over the whole map")

    @property
    def shift(self) -> int:
        """``log2(size * size)``."""
        return 2 * (self.size.bit_length() - 1)

    def output_shape(self, *shapes: Shape) -> Shape:
        """``(H // size, W // size, C)``."""
        self._check_window("size", self.size, shapes[0])
        return shapes[0][0] // self.size, shapes[0][1] // self.size, shapes[0][2]

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """The source's, but also even ones."""
        return ranges[0] if self.size == 1 else Range(ranges[0].low, ranges[0].high)

    def peak(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> int:
        """Before the shift."""
        return self.size**2 * (ranges[0].reach + 1)


@dataclass(frozen=True, eq=False)
class Subsample(Unary):
    """Each ``stride``-th row and column, from the first on: ``x[::stride, ::stride]``."""

    stride: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integer("stride", 1)

    def output_shape(self, *shapes: Shape) -> Shape:
        """``(ceil(H / stride), ceil(W / stride), C)``."""
        height, width, channels = shapes[0]
        return -(-height // self.stride), -(-width // self.stride), channels


@dataclass(frozen=True, eq=False)
class Select(Unary):
    """Channels of the source by number, ``channels int32 (C',)``; -1 is a channel of zeros.

    That is tiling, a channel shuffle, and the shortcuts that double channels or pad them with zeros. Zero is no
    value of a +-1 map, which therefore takes no -1.
    """

    channels: NDArray[np.int32]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._array("channels", np.int32, 1)
        if self.channels.min() < -1:
            raise CompileError(f"{self.name}: channels must be numbers from 0 on, or -1 for zeros, not "
                               f"{self.channels.min()}")

    def output_shape(self, *shapes: Shape) -> Shape:
        """``(H, W, C')``."""
        height, width, count = shapes[0]
        if self.channels.max() >= count:
            raise CompileError(f"{self.name}: channels has number {self.channels.max()}, but {self.source} has "
                               f"{count} channels, from 0 to {count - 1}")
        return height, width, len(self.channels)

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """The source's, and zero if a channel is."""
        if self.channels.min() >= 0:
            return ranges[0]
        if ranges[0].is_signs:
            raise CompileError(f"{self.name}: channels has a -1, a channel of zeros, but {self.source} gives bits, of "
                               f"which zero is none; select before the sign")
        return ranges[0].union(Range(0, 0))


@dataclass(frozen=True, eq=False)
class Concat(Pair):
    """The channels of ``left``, then those of ``right``."""

    def output_shape(self, *shapes: Shape) -> Shape:
        """``(H, W, C + C')``."""
        left, right = shapes
        if left[:2] != right[:2]:
            raise self._misfit(shapes, "give both as many rows and columns")
        return left[0], left[1], left[2] + right[2]

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """Of both together."""
        return ranges[0].union(ranges[1])

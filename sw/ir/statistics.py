"""The nodes that make thresholds and biases from an image's own statistics, at run time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sw.ir.base import Pair, Shape, Unary
from sw.ir.ranges import WIDEST, Range

__all__ = ["Compare", "GlobalSum", "Power", "Table"]


@dataclass(frozen=True, eq=False)
class GlobalSum(Unary):
    """Sum over all pixels, a map ``(1, 1, C)``: global average pooling before the division."""

    def output_shape(self, *shapes: Shape) -> Shape:
        """``(1, 1, C)``."""
        return 1, 1, shapes[0][2]

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """The source's times the pixels."""
        pixels = shapes[0][0] * shapes[0][1]
        return Range(ranges[0].low * pixels, ranges[0].high * pixels, ranges[0].odd and pixels % 2 == 1)


@dataclass(frozen=True, eq=False)
class Power(Unary):
    """``x**exponent``, for an exponent of 2 or 3: summed, the raw moments of a channel."""

    exponent: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integer("exponent", 2, 3)

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """From the ends, and zero between them for a square."""
        ends = sorted(end**self.exponent for end in (ranges[0].low, ranges[0].high))
        crosses = self.exponent == 2 and ranges[0].low < 0 < ranges[0].high
        # Squares of odd numbers are odd too, but the least of them is 1.
        least = (1 if ranges[0].odd else 0) if crosses else ends[0]
        return Range(least, ends[1], ranges[0].odd)


@dataclass(frozen=True, eq=False)
class Table(Unary):
    """``table[clip(((x * multiplier) >> shift) + entries // 2, 0, entries - 1)]``: a sigmoid, or any function.

    ``table`` is ``int32 (entries,)``, for all channels; ``multiplier`` has 32 bits, signed, ``shift`` is from 0
    to 61, and does not round.
    """

    table: NDArray[np.int32]
    multiplier: int
    shift: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._array("table", np.int32, 1)
        self._integer("multiplier", -(1 << 31), (1 << 31) - 1)
        self._integer("shift", 0, WIDEST - 1)

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """That of all entries."""
        return Range(int(self.table.min()), int(self.table.max()), bool(np.all(self.table % 2 == 1)))

    def peak(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> int:
        """Before the shift, and the middle of the table."""
        return abs(self.multiplier) * ranges[0].reach + len(self.table)


@dataclass(frozen=True, eq=False)
class Compare(Pair):
    """+1 where ``left >= right``, else -1; ``right`` may be ``(1, 1, C)``: thresholds made at run time."""

    gives_signs = True

    def output_shape(self, *shapes: Shape) -> Shape:
        """That of ``left``."""
        left, right = shapes
        if right not in (left, (1, 1, left[2])):
            raise self._misfit(shapes, "give both one shape, or the right one 1 x 1 pixels and as many channels")
        return left

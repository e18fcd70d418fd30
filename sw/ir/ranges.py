"""Which integers a map can hold, and the rounding and saturation that keep them there. See docs/numerics.md."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["BITS", "WIDEST", "Range", "rounded_shift", "signed_limits"]

#: Magnitudes stay below ``2**WIDEST``, sums and products before a shift too, so that 64 bits hold all of them.
WIDEST = 62

_Integers = TypeVar("_Integers", int, NDArray[np.signedinteger])


@dataclass(frozen=True)
class Range:
    """Integers from ``low`` to ``high``; ``odd`` if all are odd, as the bits and pixels of an image are."""

    low: int
    high: int
    odd: bool = False

    @property
    def reach(self) -> int:
        """The largest magnitude."""
        return max(abs(self.low), abs(self.high))

    @property
    def bits(self) -> int:
        """Planes of +-1 that hold the values: ``n`` for odd ones within ``2**n - 1``, else the signed width."""
        if self.odd:
            return self.reach.bit_length()
        return max(self.high, ~self.low, 0).bit_length() + 1

    @property
    def is_signs(self) -> bool:
        """Whether the values are -1 / +1."""
        return self.odd and self.reach == 1

    def clipped(self, low: int, high: int) -> "Range":
        """What is left when values below ``low`` become it, and those above ``high``."""
        first, last = (min(max(end, low), high) for end in (self.low, self.high))
        return Range(first, last, self.odd and first % 2 == 1 and last % 2 == 1)

    def union(self, other: "Range") -> "Range":
        """The values of both."""
        return Range(min(self.low, other.low), max(self.high, other.high), self.odd and other.odd)


#: -1 / +1.
BITS = Range(-1, 1, odd=True)


def rounded_shift(values: _Integers, shift: int) -> _Integers:
    """``values / 2**shift``, rounded to the nearest integer and from half way up (towards plus infinity)."""
    return (values + ((1 << shift) >> 1)) >> shift


def signed_limits(bits: int) -> tuple[int, int]:
    """The lowest and the highest signed integer of ``bits`` bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1

"""Popcount: how many bits of a word are 1."""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Popcount"]


class Popcount(wiring.Component):
    """The number of ones of ``lanes`` bits.

    Full adders take three bits each, a tree of adders sums their results: on 4-input LUTs a tree of ``+`` over single
    bits costs more.

    Latency: ``latency`` = 0, combinational.

    Parameters
    ----------
    lanes : int

    Members
    -------
    i : In(lanes)
    o : Out(range(lanes + 1))
    """

    def __init__(self, *, lanes):
        if not isinstance(lanes, int) or lanes < 1:
            raise ValueError(f"Popcount lanes must be a positive integer, not {lanes!r}")
        self.lanes = lanes
        super().__init__({"i": In(lanes), "o": Out(range(lanes + 1))})

    @property
    def latency(self):
        """Cycles from ``i`` to ``o``."""
        return 0

    def elaborate(self, platform):
        m = Module()
        terms = []
        for start in range(0, self.lanes, 3):
            bits = [self.i[index] for index in range(start, min(start + 3, self.lanes))]
            if len(bits) == 3:
                a, b, c = bits
                terms.append(Cat(a ^ b ^ c, (a & b) | (a & c) | (b & c)))
            else:
                terms.append(sum(bits[1:], bits[0]))
        while len(terms) > 1:
            sums = []
            for left, right in zip(terms[::2], terms[1::2], strict=False):
                total = Signal(len(left + right))
                m.d.comb += total.eq(left + right)
                sums.append(total)
            terms = sums + terms[len(sums) * 2:]
        m.d.comb += self.o.eq(terms[0])
        return m

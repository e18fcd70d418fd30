"""Popcount: how many bits of a word are 1."""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["IMPLEMENTATIONS", "Popcount"]


class Popcount(wiring.Component):
    """The number of ones of ``lanes`` bits.

    Latency: ``latency`` = 0 without registers, else ``levels // registers`` cycles.

    Parameters
    ----------
    lanes : int
        At least 1.
    registers : int
        Adder levels between two registers; 0 means none, combinational.
    implementation : str
        A key of ``IMPLEMENTATIONS``.

    Members
    -------
    i : In(lanes)
    o : Out(range(lanes + 1))

    Raises
    ------
    ValueError
        If a parameter is out of its range or there is no such implementation.
    """

    def __init__(self, *, lanes, registers=0, implementation="portable"):
        if not isinstance(lanes, int) or lanes < 1:
            raise ValueError(f"Popcount lanes must be a positive integer, not {lanes!r}")
        if not isinstance(registers, int) or registers < 0:
            raise ValueError(f"Popcount registers must be a non-negative integer, not {registers!r}")
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(f"Popcount implementation must be one of {', '.join(IMPLEMENTATIONS)}, "
                             f"not {implementation!r}")
        self.lanes = lanes
        self.registers = registers
        self.implementation = implementation
        super().__init__({"i": In(lanes), "o": Out(range(lanes + 1))})

    @property
    def levels(self):
        """Adder levels where there are registers: full adders of three bits, then a binary tree."""
        return 1 + (-(-self.lanes // 3) - 1).bit_length()

    @property
    def latency(self):
        """Cycles from ``i`` to ``o``."""
        return self.levels // self.registers if self.registers else 0

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(IMPLEMENTATIONS[self.implementation](self, m))
        return m


def _portable(popcount, m):
    terms = list(popcount.i)
    if not popcount.registers:
        # Yosys merges a tree that no register cuts into one compressor tree, smaller than the one below.
        while len(terms) > 1:
            terms = _add_pairs(terms)
        return terms[0]
    for level in range(1, popcount.levels + 1):
        terms = _add_pairs(terms) if level > 1 else _full_adders(terms)
        if level % popcount.registers == 0:
            for index, term in enumerate(terms):
                terms[index] = Signal(len(term), name=f"level_{level}_{index}", reset_less=True)
                m.d.sync += terms[index].eq(term)
    return terms[0]


def _full_adders(bits):
    """Sums of three bits each, two LUTs a sum; written with ``+``, cut by registers, they cost more."""
    sums = []
    for start in range(0, len(bits), 3):
        group = bits[start:start + 3]
        if len(group) == 3:
            a, b, c = group
            sums.append(Cat(a ^ b ^ c, (a & b) | (a & c) | (b & c)))
        else:
            sums.append(sum(group[1:], group[0]))
    return sums


def _add_pairs(terms):
    sums = [left + right for left, right in zip(terms[::2], terms[1::2], strict=False)]
    return sums + terms[len(sums) * 2:]


#: How to build it, by name: a function of the ``Popcount`` and the module that returns the count, ``latency``
#: cycles after the bits. A part's own structure is one more.
IMPLEMENTATIONS = {"portable": _portable}

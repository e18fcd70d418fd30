"""XNOR-popcount: in how many lanes two words agree."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.popcount_chains import chain_levels
from hw.popcount_ecp5 import ecp5_popcount
from hw.popcount_ice40 import ice40_popcount

__all__ = ["IMPLEMENTATIONS", "Implementation", "Popcount"]


class Popcount(wiring.Component):
    """The number of lanes in which ``weight`` and ``activation`` agree, plus ``offset``.

    Latency: ``stages`` cycles.

    Parameters
    ----------
    lanes : int
        At least 1; ``2**k - 1`` of them take the fewest cells for each in a part's carry chains.
    offset : int
        Added to the count. Half the range of a count of k bits, ``-2**(k - 1)``, costs nothing.
    stages : int
        Registers on the way, evenly between the adder levels; 0 means combinational, at most ``levels - 1``.
    implementation : str
        A key of ``IMPLEMENTATIONS``.

    Members
    -------
    weight, activation : In(lanes)
    o : Out(range(offset, offset + lanes + 1))

    Raises
    ------
    TypeError
        If the offset is no integer.
    ValueError
        If a parameter is out of its range or there is no such implementation.
    """

    def __init__(self, *, lanes, offset=0, stages=0, implementation="portable"):
        if not isinstance(lanes, int) or lanes < 1:
            raise ValueError(f"Popcount lanes must be a positive integer, not {lanes!r}")
        if not isinstance(offset, int):
            raise TypeError(f"Popcount offset must be an integer, not {offset!r}")
        if implementation not in IMPLEMENTATIONS:
            raise ValueError(f"Popcount implementation must be one of {', '.join(IMPLEMENTATIONS)}, "
                             f"not {implementation!r}")
        levels = IMPLEMENTATIONS[implementation].levels(lanes)
        if not isinstance(stages, int) or not 0 <= stages < levels:
            raise ValueError(f"Popcount stages must be an integer from 0 to {levels - 1} for {lanes} lanes, "
                             f"not {stages!r}")
        self.lanes = lanes
        self.offset = offset
        self.stages = stages
        self.implementation = implementation
        super().__init__({
            "weight": In(lanes),
            "activation": In(lanes),
            "o": Out(range(offset, offset + lanes + 1)),
        })

    @property
    def cuts(self):
        """Adder levels behind which there is a register; fewest before the first, since the words come from afar."""
        levels = IMPLEMENTATIONS[self.implementation].levels(self.lanes)
        return frozenset(stage * levels // (self.stages + 1) for stage in range(1, self.stages + 1))

    def elaborate(self, platform):
        m = Module()
        implementation = IMPLEMENTATIONS[self.implementation]
        count = Cat(implementation.build(self, m))
        if implementation.mismatches:
            # The complement of k bits is what they lack to 2**k - 1.
            count, offset = ~count, self.offset + self.lanes + 1 - (1 << len(count))
        else:
            offset = self.offset
        if offset == -(1 << len(count) - 1):
            m.d.comb += self.o.eq(Cat(count[:-1], ~count[-1]).as_signed())
        else:
            m.d.comb += self.o.eq(count + offset)
        return m


def _portable(popcount, m):
    terms = list(~(popcount.weight ^ popcount.activation))
    if not popcount.cuts:
        # Yosys merges a tree that no register cuts into one compressor tree, smaller than the one below.
        while len(terms) > 1:
            terms = _add_pairs(terms)
        return terms[0]
    for level in range(1, _portable_levels(popcount.lanes) + 1):
        terms = _add_pairs(terms) if level > 1 else _full_adders(terms)
        if level in popcount.cuts:
            for index, term in enumerate(terms):
                terms[index] = Signal(len(term), name=f"level_{level}_{index}", reset_less=True)
                m.d.sync += terms[index].eq(term)
    return terms[0]


def _portable_levels(lanes):
    """Full adders of three bits, then a binary tree."""
    return 1 + (-(-lanes // 3) - 1).bit_length()


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


@dataclass(frozen=True)
class Implementation:
    """How to build a popcount.

    ``build`` is a function of the ``Popcount`` and the module that returns a count's bits, ``stages`` cycles after the
    words: of the lanes that agree, or with ``mismatches`` of those that do not. ``levels`` gives a number of lanes'
    adder levels.
    """

    build: Callable[[Any, Module], Any]
    levels: Callable[[int], int]
    mismatches: bool = False


#: By name: one for every part, and those of a family's own cells.
IMPLEMENTATIONS = {
    "portable": Implementation(_portable, _portable_levels),
    "ice40": Implementation(ice40_popcount, chain_levels),
    "ecp5": Implementation(ecp5_popcount, chain_levels, mismatches=True),
}

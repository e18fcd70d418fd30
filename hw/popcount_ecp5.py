"""Popcount of the ECP5: all of it in carry chains, whose cells take two lanes' XOR in themselves."""

from dataclasses import dataclass
from typing import Any

from amaranth import Const, Instance, Signal

from hw.popcount_chains import AdderTree

__all__ = ["ecp5_popcount"]

#: Positions of a chain, two a CCU2C.
LONGEST = 32

#: Tables over the inputs D, C, B and A of a position. Its carry goes on where the table is 1; else it is made of the
#: four lowest entries, those of C = D = 0. ``LANES`` adds A ^ B to C ^ D, ``BITS`` (with C = 1) A to B, and ``LET_IN``
#: (with C = 1) makes the carry A ^ B.
LANES, BITS, LET_IN = 0x6996, 0x6868, 0x0606

_ZERO, _ONE = Const(0, 1), Const(1, 1)


def ecp5_popcount(popcount, m):
    """Return the bits of the number of lanes of ``popcount`` that do **not** agree.

    An adder of k bits takes k + 1 positions: the one that lets its carry in shows the carry of the adder before it. The
    carry of three lanes is one of the third, and what makes it is a function of its own two inputs where the others are
    0: XOR is one such, XNOR would be none of a position that adds lanes.
    """
    tree = _Tree(m, popcount.cuts, _Chain, LONGEST)
    bits = tree.count(list(zip(popcount.weight, popcount.activation, strict=True)))
    tree.chains.end()
    return bits


class _Tree(AdderTree):
    """A lane is a pair of bits, whose XOR counts."""

    def leaf(self, lanes):
        if len(lanes) == 1:
            ((left, right),) = lanes
            return [left ^ right]
        first, second, third = *lanes, *[(_ZERO, _ZERO)] * (3 - len(lanes))
        return self.chains.add(1, [first], [second], third)

    def held(self, lane):
        left, right = lane
        return (*self.register([left ^ right]), _ZERO)


class _Chain:
    """One carry chain: positions, then cells of two."""

    def __init__(self, module):
        self._module = module
        self._positions = []
        self._top = Signal()

    @property
    def length(self):
        """Positions, the one that lets the last carry out included."""
        return len(self._positions) + 1

    def append(self, a, b, lane):
        """See ``Chains``; a bit of ``a`` is a lane where that of ``b`` is one, too."""
        self._let_in(lane)
        bits = []
        for left, right in zip(a, b, strict=True):
            bits.append(Signal())
            table, inputs = (LANES, (*left, *right)) if isinstance(left, tuple) else (BITS, (left, right, _ONE, _ZERO))
            self._positions.append(_Position(table, inputs, bits[-1]))
        self._top = Signal()
        return [*bits, self._top]

    def end(self):
        """Let the last carry out, and make the cells."""
        self._let_in((_ZERO, _ZERO))
        if len(self._positions) % 2:
            self._let_in((_ZERO, _ZERO))
        carry = _ZERO
        for low, high in zip(self._positions[::2], self._positions[1::2], strict=True):
            following = Signal()
            self._module.submodules += Instance(
                "CCU2C", i_CIN=carry, **low.ports(0), **high.ports(1), o_COUT=following)
            carry = following

    def _let_in(self, lane):
        self._positions.append(_Position(LET_IN, (*lane, _ONE, _ZERO), self._top))
        self._top = Signal()


@dataclass(frozen=True)
class _Position:
    """Half of a CCU2C: its table, the inputs A to D, and the sum's bit."""

    table: int
    inputs: tuple[Any, Any, Any, Any]
    out: Signal

    def ports(self, half):
        """Parameters and ports of the CCU2C's half 0 or 1."""
        return {
            f"p_INIT{half}": Const(self.table, 16), f"p_INJECT1_{half}": "NO", f"o_S{half}": self.out,
            **{f"i_{name}{half}": value for name, value in zip("ABCD", self.inputs, strict=True)},
        }

"""Popcount of the iCE40: full adders of three lanes in LUTs, then ripple adders in carry chains."""

from amaranth import Const, Instance, Signal

from hw.popcount_chains import AdderTree

__all__ = ["ice40_popcount"]

#: Logic cells of a chain. A cell that lets a carry in also lets one through as far as timing analysis can see, so a
#: long chain looks slow.
LONGEST = 16

#: Look-up tables over the inputs I3 (the carry), I2, I1 and I0: I1 ^ I2 ^ I3, and I3.
SUM_TABLE, CARRY_TABLE = 0xC33C, 0xFF00


def ice40_popcount(popcount, m):
    """Return the bits of the number of lanes of ``popcount`` that agree.

    An adder of k bits takes k + 1 cells: the LUT of the one that lets its carry in passes the carry of the adder before
    it out. Carry cells look at bare inputs, so a lane's XNOR is a LUT of its own, or part of a full adder.
    """
    tree = _Tree(m, popcount.cuts, _Chain, LONGEST)
    agree = ~(popcount.weight ^ popcount.activation)
    bits = tree.count(list(agree))
    tree.chains.end()
    return bits


class _Tree(AdderTree):
    """A lane is a bit."""

    def leaf(self, lanes):
        if len(lanes) == 1:
            return lanes
        if len(lanes) == 2:
            a, b = lanes
            return [a ^ b, a & b]
        a, b, c = lanes
        return [a ^ b ^ c, (a & b) | (a & c) | (b & c)]

    def held(self, lane):
        return self.register([lane])[0]


class _Chain:
    """One carry chain."""

    def __init__(self, module):
        self._module = module
        self._carry = Const(0, 1)
        self._top = None
        self.length = 1

    def append(self, a, b, lane):
        """See ``Chains``; the highest bit is driven by what follows in the chain."""
        self._let_out(lane)
        self._step(lane, lane)
        bits = []
        for left, right in zip(a, b, strict=True):
            bits.append(Signal())
            self._lut(bits[-1], left, right, SUM_TABLE)
            self._step(left, right)
        self._top = Signal()
        self.length += len(a) + 1
        return [*bits, self._top]

    def end(self):
        """Let the last carry out."""
        self._let_out(Const(0, 1))

    def _let_out(self, lane):
        # The LUT has the next adder's lane at two inputs and does not look at them: only so does it share a cell with
        # the carry that lets that lane in.
        if self._top is not None:
            self._lut(self._top, lane, lane, CARRY_TABLE)

    def _step(self, a, b):
        carry = Signal()
        self._module.submodules += Instance("SB_CARRY", i_I0=a, i_I1=b, i_CI=self._carry, o_CO=carry)
        self._carry = carry

    def _lut(self, out, a, b, table):
        self._module.submodules += Instance(
            "SB_LUT4", a_keep=1, p_LUT_INIT=Const(table, 16), i_I0=Const(0, 1), i_I1=a, i_I2=b, i_I3=self._carry,
            o_O=out)

"""Processing element: counts the matches of one weight word and one activation word, and accumulates them."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.popcount import Popcount

__all__ = ["ProcessingElement"]


class ProcessingElement(wiring.Component):
    """One output channel of one output pixel, output stationary.

    Each beat adds ``popcount(weight xnor activation) - lanes / 2``, half the dot product of the two words, to the
    accumulator; ``first`` starts a new sum and ``double`` weighs what was summed so far by two (the next bit plane
    follows). What does not count is zero where it is counted, so that the accumulator's adder has no choice before it
    but the doubling: without planes a bit of it is one cell of an iCE40.

    Latency: ``latency`` = 1 + ``stages`` from ``weight`` / ``activation`` to ``first`` and ``double`` of the same beat,
    which are given that much later, ``enable`` one cycle before them; the accumulator shows the sum one cycle after.

    Parameters
    ----------
    lanes : int
        Synapses of a beat, even.
    sum_width : int
        Bits of the accumulator; the caller sees to it that no sum exceeds it.
    stages : int
        Registers within the popcount.
    popcount : str
        A key of ``hw.popcount.IMPLEMENTATIONS``.

    Members
    -------
    weight, activation : In(lanes)
    enable : In(1)
        The beat counts.
    first : In(1)
    double : In(1)
    sum : Out(signed(sum_width))

    Raises
    ------
    ValueError
        If the lanes are odd, or the accumulator is narrower than one beat's sum.
    """

    def __init__(self, *, lanes, sum_width, stages=0, popcount="portable"):
        if lanes % 2:
            raise ValueError(f"ProcessingElement lanes must be even, not {lanes!r}")
        if sum_width < lanes.bit_length():
            raise ValueError(f"ProcessingElement sum_width must be at least {lanes.bit_length()} for {lanes} lanes, "
                             f"not {sum_width!r}")
        self.lanes = lanes
        self.sum_width = sum_width
        # The last lane's match is the carry into the adder that takes half the lanes off.
        self._popcount = Popcount(lanes=lanes - 1, stages=stages, implementation=popcount)
        super().__init__({
            "weight": In(lanes),
            "activation": In(lanes),
            "enable": In(1),
            "first": In(1),
            "double": In(1),
            "sum": Out(signed(sum_width)),
        })

    @property
    def latency(self):
        """Cycles from a beat's words to its controls."""
        return 1 + self._popcount.stages

    def elaborate(self, platform):
        m = Module()
        m.submodules.popcount = self._popcount
        match = ~(self.weight[-1] ^ self.activation[-1])
        m.d.comb += [
            self._popcount.weight.eq(self.weight[:-1]),
            self._popcount.activation.eq(self.activation[:-1]),
        ]
        for stage in range(self._popcount.stages):
            delayed = Signal(name=f"match_{stage}", reset_less=True)
            m.d.sync += delayed.eq(match)
            match = delayed
        half = Signal(range(-self.lanes // 2, self.lanes // 2 + 1), reset_less=True)
        matches = Cat(1, self._popcount.o) + Cat(match, Const(-self.lanes // 2, len(half)))
        m.d.sync += half.eq(Mux(self.enable, matches[1:1 + len(half)].as_signed(), 0))

        before = Mux(self.double, Cat(0, self.sum)[:self.sum_width].as_signed(), self.sum)
        m.d.sync += self.sum.eq(Mux(self.first, half, before + half))
        return m

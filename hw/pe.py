"""Processing element: counts the matches of one weight word and one activation word, and accumulates them."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.popcount import Popcount

__all__ = ["ProcessingElement"]


class ProcessingElement(wiring.Component):
    """One output channel of one output pixel, output stationary.

    Each beat adds ``popcount(weight xnor activation) - lanes / 2``, half the dot product of the two words, to the
    accumulator; ``first`` starts a new sum and ``double`` weighs what was summed so far by two (the next bit plane
    follows).

    Latency: ``latency`` = 1 + ``stages`` from ``weight`` / ``activation`` to the controls of the same beat, which are
    given that much later; the accumulator shows the sum one cycle after its controls.

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
        # The last lane's match is the carry into the accumulator's adder, which has one to spare.
        self._popcount = Popcount(lanes=lanes - 1, offset=-lanes // 2, stages=stages, implementation=popcount)
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
        half = Signal.like(self._popcount.o, reset_less=True)
        carry = ~(self.weight[-1] ^ self.activation[-1])
        m.d.comb += [
            self._popcount.weight.eq(self.weight[:-1]),
            self._popcount.activation.eq(self.activation[:-1]),
        ]
        m.d.sync += half.eq(self._popcount.o)
        for stage in range(self.latency):
            delayed = Signal(name=f"carry_{stage}", reset_less=True)
            m.d.sync += delayed.eq(carry)
            carry = delayed

        doubled = Cat(0, self.sum)[:self.sum_width].as_signed()
        before = Mux(self.first, 0, Mux(self.double, doubled, self.sum))
        with m.If(self.enable):
            m.d.sync += self.sum.eq((Cat(1, before).as_signed() + Cat(carry, half).as_signed()) >> 1)
        return m

"""Result address: where a pixel group's words go."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ResultAddress"]


class ResultAddress(wiring.Component):
    """Counts through the words of a pixel; from its last word, the next pixel's first is ``step`` addresses away.

    Latency: ``address`` shows the next address one cycle after ``next_word``.

    Parameters
    ----------
    address_width, step_width : int
        Bits of an address, and of a step.

    Members
    -------
    restart : In(1)
        Go to ``start``.
    start : In(address_width)
    step : In(step_width)
    next_word : In(1)
    last : In(1)
        With ``next_word``: the word is the pixel's last.
    address : Out(address_width)
    """

    def __init__(self, *, address_width, step_width):
        super().__init__({
            "restart": In(1),
            "start": In(address_width),
            "step": In(step_width),
            "next_word": In(1),
            "last": In(1),
            "address": Out(address_width),
        })

    def elaborate(self, platform):
        m = Module()
        address = Signal.like(self.address, reset_less=True)
        m.d.comb += self.address.eq(address)
        with m.If(self.restart | self.next_word):
            m.d.sync += address.eq(Mux(self.restart, self.start, address + Mux(self.last, self.step, 1)))
        return m

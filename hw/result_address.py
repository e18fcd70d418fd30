"""Result address: where a pixel group's words go."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ResultAddress"]


class ResultAddress(wiring.Component):
    """Counts through the words of a pixel, then goes to the next pixel, ``pitch`` addresses behind this one's first.

    Latency: ``address`` shows the next address one cycle after ``next_word`` or ``next_pixel``.

    Parameters
    ----------
    address_width, index_width, pitch_width : int
        Bits of an address, of a number of words of a pixel, of a pitch.

    Members
    -------
    restart : In(1)
        Go to ``start``.
    start : In(address_width)
    pitch : In(pitch_width)
    next_word : In(1)
    next_pixel : In(1)
        Comes before ``next_word`` where both are given.
    address : Out(address_width)
    """

    def __init__(self, *, address_width, index_width, pitch_width):
        self.index_width = index_width
        super().__init__({
            "restart": In(1),
            "start": In(address_width),
            "pitch": In(pitch_width),
            "next_word": In(1),
            "next_pixel": In(1),
            "address": Out(address_width),
        })

    def elaborate(self, platform):
        m = Module()
        pixel = Signal.like(self.address, reset_less=True)
        index = Signal(self.index_width)
        with m.If(self.restart | self.next_pixel):
            m.d.sync += [pixel.eq(Mux(self.restart, self.start, pixel + self.pitch)), index.eq(0)]
        with m.Elif(self.next_word):
            m.d.sync += index.eq(index + 1)
        m.d.comb += self.address.eq(pixel + index)
        return m

"""Source address: where a shortcut's pixels lie, as the pixels of the result are walked."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SourceAddress"]


class SourceAddress(wiring.Component):
    """Walks the column groups of a map row by row; a map twice as large is walked by every other group and row.

    Latency: after ``restart`` the first pixel group's address shows 2 cycles later, after ``next_pixel`` the next
    one's 1 cycle later, and the row below it 1 cycle after that. ``next_pixel`` comes at most every third cycle, and
    not within 3 cycles of ``restart``.

    Parameters
    ----------
    address_width : int
    fields : dict of Signal
        Of the layer: ``around_address``, ``around_pitch``, ``around_row_pitch``, ``around_stride`` and
        ``drain_groups_x``; they stay while it runs.

    Members
    -------
    restart : In(1)
    next_pixel : In(1)
    word : In(address_width)
        Of a pixel.
    below : In(1)
        The pixel in the row below.
    address : Out(address_width)
        Combinational from ``word`` and ``below``.
    """

    def __init__(self, *, address_width, fields):
        self._fields = fields
        super().__init__({
            "restart": In(1),
            "next_pixel": In(1),
            "word": In(address_width),
            "below": In(1),
            "address": Out(address_width),
        })

    def elaborate(self, platform):
        m = Module()
        fields = self._fields
        stride, pitch, row_pitch = (
            fields["around_stride"].any(), fields["around_pitch"], fields["around_row_pitch"])
        pixel = Signal.like(self.address, reset_less=True)
        below = Signal.like(self.address, reset_less=True)
        next_row = Signal.like(self.address, reset_less=True)
        column = Signal.like(fields["drain_groups_x"])
        column_last = column == fields["drain_groups_x"]

        # A row's first pixel is ready when the row before ends; then the next row's is made, in one step or two.
        begin, enter, once, twice = (Signal(name=name) for name in ("begin", "enter", "once", "twice"))
        m.d.comb += enter.eq(begin | (self.next_pixel & column_last))
        m.d.sync += [begin.eq(self.restart), once.eq(enter), twice.eq(once & stride)]
        with m.If(self.restart | once | twice):
            m.d.sync += next_row.eq(Mux(self.restart, fields["around_address"], next_row + row_pitch))
        with m.If(enter | self.next_pixel):
            m.d.sync += [
                pixel.eq(Mux(enter, next_row, pixel + Mux(stride, pitch << 1, pitch))),
                column.eq(Mux(enter, 0, column + 1)),
            ]
        m.d.sync += below.eq(pixel + row_pitch)
        m.d.comb += self.address.eq(Mux(self.below, below, pixel) + self.word)
        return m

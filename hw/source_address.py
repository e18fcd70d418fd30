"""Source address: where the pixels lie whose words are read, as a map is walked."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SourceAddress"]


class SourceAddress(wiring.Component):
    """Walks the column groups of a map row by row; a map twice as large is walked by every other group and row.

    Latency: after ``restart`` and after ``next_pixel`` the next pixel group's address and ``row_last`` show 1 cycle
    later, and the row below it 1 cycle after that.

    Parameters
    ----------
    address_width : int
    fields : dict of Signal
        Of the layer: ``around_address``, ``around_pitch``, ``around_stride``, ``around_row_step``,
        ``around_row_pitch`` and ``drain_groups_x``; they stay while it runs.

    Members
    -------
    restart : In(1)
    next_pixel : In(1)
    word : In(address_width)
        Of a pixel.
    below : In(1)
        The pixel in the row below.
    row_last : Out(1)
        The pixel group is its row's last.
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
            "row_last": Out(1),
            "address": Out(address_width),
        })

    def elaborate(self, platform):
        m = Module()
        fields = self._fields
        pitch = fields["around_pitch"]
        pixel = Signal.like(self.address, reset_less=True)
        below = Signal.like(self.address, reset_less=True)
        column = Signal.like(fields["drain_groups_x"])
        m.d.comb += self.row_last.eq(column == fields["drain_groups_x"])
        step = Mux(self.row_last, fields["around_row_step"], Mux(fields["around_stride"].any(), pitch << 1, pitch))
        with m.If(self.restart | self.next_pixel):
            m.d.sync += [
                pixel.eq(Mux(self.restart, fields["around_address"], pixel + step)),
                column.eq(Mux(self.restart | self.row_last, 0, column + 1)),
            ]
        m.d.sync += below.eq(pixel + fields["around_row_pitch"])
        m.d.comb += self.address.eq(Mux(self.below, below, pixel) + self.word)
        return m

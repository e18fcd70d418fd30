"""Row sequencer: which row of a pass is worked off in which cycle, with which constants, and when words are read."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AVERAGE_CADENCE", "CADENCE", "RowSequencer"]

#: Cycles of a pair of rows, and of one whose shortcut averages four reads. The rows take the last two.
CADENCE, AVERAGE_CADENCE = 2, 5


class RowSequencer(wiring.Component):
    """Walks the passes of a layer: tiles, then rows, in pairs.

    A row's constants show from the cycle after the step of the row before to its own step, so they are there for the
    reads of its pair. Behind a pixel's last row they begin again.

    Latency: pair i of a pass begins 1 + i * cadence cycles after ``load``; its reads take the first cycles, its two
    steps the last two. ``load`` comes at the earliest with the last step, and 3 cycles after ``restart``.

    Parameters
    ----------
    rows : int
        Even.
    fields : dict of Signal
        Of the layer: ``drain_groups``, ``tiles``, ``last_rows``, ``around``, ``average``; they stay while it runs.

    Members
    -------
    restart, load : In(1)
    read : Out(1)
        A word of the shortcut is to be read.
    read_index : Out(2)
        With ``read``: which one of the pair's.
    constant_address : Out
    constant_enable : Out(1)
        Constants are to be read, and show from the next cycle until the one after the next ``constant_enable``.
    step : Out(1)
        The row in front is taken.
    odd : Out(1)
        With ``step``: it is the pair's second.
    used : Out(1)
        With ``step``: it has a channel.
    end : Out(1)
        With ``step``: it is the pixel's last that has.
    pass_last, pixel_last : Out(1)
        With ``step``: it is the pass's last, and the pixel's.
    """

    def __init__(self, *, rows, fields):
        self.rows = rows
        self._fields = fields
        most = rows << len(fields["tiles"]) + len(fields["drain_groups"])
        super().__init__({
            "restart": In(1),
            "load": In(1),
            "read": Out(1),
            "read_index": Out(2),
            "constant_address": Out(range(most)),
            "constant_enable": Out(1),
            "step": Out(1),
            "odd": Out(1),
            "used": Out(1),
            "end": Out(1),
            "pass_last": Out(1),
            "pixel_last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        fields = self._fields
        around = fields["around"].any()
        averages = around & fields["average"].any()

        # A pair that averages takes slots 0 to 4, any other the last two. Rows leave in the last two, reads are before.
        active = Signal()
        slot = Signal(range(AVERAGE_CADENCE))
        start = Mux(averages, 0, AVERAGE_CADENCE - CADENCE)
        m.d.comb += [
            self.read.eq(active & around & (slot != AVERAGE_CADENCE - 1)),
            self.read_index.eq(Mux(averages, slot, 0)),
            self.odd.eq(slot == AVERAGE_CADENCE - 1),
            self.step.eq(active & (self.odd | (slot == AVERAGE_CADENCE - 2))),
        ]
        m.d.sync += slot.eq(Mux(~active | self.odd, start, slot + 1))
        with m.If(self.step & self.pass_last):
            m.d.sync += active.eq(0)
        with m.If(self.load):
            m.d.sync += active.eq(1)

        # The row whose constants are read: what is known of it shows with them.
        primed = Signal()
        row = Signal(range(self.rows))
        tile = Signal.like(fields["tiles"])
        group = Signal.like(fields["drain_groups"])
        row_last, pass_last, pixel_last = (Signal(name=name) for name in ("row_last", "last_of_pass", "last_of_pixel"))
        tile_last = tile == fields["tiles"]
        group_last = group == fields["drain_groups"]
        m.d.comb += [
            row_last.eq(row == self.rows - 1),
            pass_last.eq(row_last & tile_last),
            pixel_last.eq(pass_last & group_last),
            self.constant_enable.eq(primed | self.step),
        ]
        m.d.sync += primed.eq(self.restart)
        with m.If(self.constant_enable):
            m.d.sync += [
                self.used.eq(~group_last | (row <= fields["last_rows"])),
                self.end.eq(group_last & tile_last & (row == fields["last_rows"])),
                self.pass_last.eq(pass_last),
                self.pixel_last.eq(pixel_last),
            ]
        for counter, counts, last in (
                (row, 1, row_last), (tile, row_last, pass_last), (group, pass_last, pixel_last),
                (self.constant_address, 1, pixel_last)):
            with m.If(self.restart | (self.constant_enable & last)):
                m.d.sync += counter.eq(0)
            with m.Elif(self.constant_enable & counts):
                m.d.sync += counter.eq(counter + 1)
        return m

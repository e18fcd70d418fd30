"""Output of an engine whose results are a map for the next one."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.map_order import MapOrder, map_stream

__all__ = ["MapSender"]


class MapSender(wiring.Component):
    """Holds one word of each column, and sends them part by part, pixel by pixel.

    Pixels behind the map's right edge are not sent, nor is what lies below the channels of a pixel's last word.

    Latency: a word's first beat is offered one cycle after the write.

    Parameters
    ----------
    link : sw.map_link.MapLink

    Members
    -------
    write : In(1)
        A word of each column is made. It must not come while ``busy``, but for the cycle of the last one's last
        transfer; ``sw.schedule`` refuses what would do so.
    words : In(ArrayLayout(lanes, columns))
    busy : Out(1)
        There are beats to be sent.
    o : Out(map_stream(link))
    """

    def __init__(self, link):
        self.link = link
        super().__init__({
            "write": In(1),
            "words": In(data.ArrayLayout(link.lanes, link.columns)),
            "busy": Out(1),
            "o": Out(map_stream(link)),
        })

    def elaborate(self, platform):
        m = Module()
        link = self.link
        m.submodules.order = order = MapOrder(link)
        held = Signal(data.ArrayLayout(link.lanes, link.columns), reset_less=True)
        transfer = self.o.valid & self.o.ready
        m.d.comb += [
            order.step.eq(transfer),
            self.busy.eq(self.o.valid),
            self.o.payload.last.eq(order.end),
        ]
        with m.Switch(order.column):
            for column in range(link.columns):
                with m.Case(column):
                    m.d.comb += self.o.payload.part.eq(held[column][:link.width])

        with m.If(transfer & order.columns_end):
            m.d.sync += [word.eq(word >> link.width) for word in held]
            with m.If(order.word_end):
                m.d.sync += self.o.valid.eq(0)
        # A word may come with the last beat of the one before it, so it is counted here too.
        count = Signal(range(max(2, link.words)))
        last = count == link.words - 1
        with m.If(self.write):
            m.d.sync += [self.o.valid.eq(1), count.eq(Mux(last, 0, count + 1))]
            m.d.sync += [
                kept.eq(Mux(last, word >> link.skipped, word)) for kept, word in zip(held, self.words, strict=True)]
        return m

"""Order of a map's beats on the stream between two engines."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["MapBeat", "MapOrder", "map_stream"]


class MapBeat(data.StructLayout):
    """A part of a pixel's channels; ``last`` with the map's last beat."""

    def __init__(self, width):
        super().__init__({"part": width, "last": 1})


def map_stream(link):
    """Return the signature of a link's stream, seen from the sender."""
    return stream.Signature(MapBeat(link.width))


class MapOrder(wiring.Component):
    """Counts through the beats of map after map: rows, groups of pixels, parts of a pixel, pixels of a group.

    Latency: outputs are those of the beat that ``step`` takes; the next beat's follow one cycle later.

    Parameters
    ----------
    link : sw.map_link.MapLink

    Members
    -------
    step : In(1)
        A beat passes.
    column : Out(range(link.columns))
        Number of the pixel in its group.
    columns_end : Out(1)
        It is the group's last.
    word_end : Out(1)
        It is the last part of a word of the sender's.
    pixels_end : Out(1)
        With ``columns_end``: the group's last beat.
    row_end : Out(1)
        With ``pixels_end``: the row's.
    end : Out(1)
        The map's.
    """

    def __init__(self, link):
        self.link = link
        super().__init__({
            "step": In(1),
            "column": Out(range(max(2, link.columns))),
            "columns_end": Out(1),
            "word_end": Out(1),
            "pixels_end": Out(1),
            "row_end": Out(1),
            "end": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        link = self.link
        group, row = Signal(range(max(2, link.groups))), Signal(range(max(2, link.shape[0])))
        word, part = Signal(range(max(2, link.words))), Signal(range(max(2, link.word_parts)))
        word_last = word == link.words - 1
        m.d.comb += [
            self.row_end.eq(group == link.groups - 1),
            self.columns_end.eq(self.column == Mux(self.row_end, link.last_columns - 1, link.columns - 1)),
            self.word_end.eq(part == Mux(word_last, link.last_parts - 1, link.word_parts - 1)),
            self.pixels_end.eq(self.word_end & word_last),
            self.end.eq(self.columns_end & self.pixels_end & self.row_end & (row == link.shape[0] - 1)),
        ]
        with m.If(self.step):
            m.d.sync += self.column.eq(Mux(self.columns_end, 0, self.column + 1))
            with m.If(self.columns_end):
                m.d.sync += part.eq(Mux(self.word_end, 0, part + 1))
                with m.If(self.word_end):
                    m.d.sync += word.eq(Mux(word_last, 0, word + 1))
                with m.If(self.pixels_end):
                    m.d.sync += group.eq(Mux(self.row_end, 0, group + 1))
                    with m.If(self.row_end):
                        m.d.sync += row.eq(Mux(row == link.shape[0] - 1, 0, row + 1))
        return m

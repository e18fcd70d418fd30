"""Word assembler: bits of channels, a few a cycle, become the words of features of each column."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["WordAssembler"]


class WordAssembler(wiring.Component):
    """Shifts bits into each column's word from the top; a full word, or a pixel's last, is written.

    A push is announced in the cycle before its bits, so that ``write_next`` comes from a register: what takes it may
    hold up the whole array.

    Latency: bits are in the word one cycle later. ``write_next`` shows in the cycle of the bits that complete a word,
    ``write_enable`` in the cycle after it.

    Parameters
    ----------
    columns, lanes : int
    step : int
        Bits of each column in a push; divides ``lanes``.

    Members
    -------
    restart : In(1)
        The next push begins a word.
    push : In(1)
        ``bits`` of the next cycle are the word's next.
    end : In(1)
        With ``push``: they are the pixel's last; its word is written even if it is not full.
    bits : In(ArrayLayout(columns, step))
        The first channel's first.
    write_next, write_enable : Out(1)
    write_data : Out(ArrayLayout(lanes, columns))
        A word that is not full has its bits at the top and zeros below.

    Raises
    ------
    ValueError
        If ``step`` does not divide the lanes.
    """

    def __init__(self, *, columns, lanes, step=1):
        if step < 1 or lanes % step:
            raise ValueError(f"WordAssembler step must divide the {lanes} lanes, not be {step!r}")
        self.columns = columns
        self.lanes = lanes
        self.step = step
        super().__init__({
            "restart": In(1),
            "push": In(1),
            "end": In(1),
            "bits": In(data.ArrayLayout(columns, step)),
            "write_next": Out(1),
            "write_enable": Out(1),
            "write_data": Out(data.ArrayLayout(lanes, columns)),
        })

    def elaborate(self, platform):
        m = Module()
        slots = self.lanes // self.step
        filled = Signal(range(max(2, slots)))
        complete, arriving = Signal(), Signal()
        m.d.comb += complete.eq(self.end | (filled == slots - 1))
        m.d.sync += [
            arriving.eq(self.push), self.write_next.eq(self.push & complete), self.write_enable.eq(self.write_next),
        ]
        with m.If(self.push):
            m.d.sync += filled.eq(Mux(complete, 0, filled + 1))
        for column in range(self.columns):
            word = self.write_data[column]
            kept = Mux(self.write_enable, Const(0, self.lanes), word)
            incoming = Cat(self.bits[offset][column] for offset in range(self.step))
            with m.If(arriving):
                m.d.sync += word.eq(Cat(kept, incoming)[self.step:])
            with m.Elif(self.write_enable):
                m.d.sync += word.eq(0)
        with m.If(self.restart):
            m.d.sync += filled.eq(0)
        return m

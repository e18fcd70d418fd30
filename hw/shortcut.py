"""Shortcut: the words read for a pair of channels, or their average, until both channels' sums have come."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Shortcut"]


class Shortcut(wiring.Component):
    """Gives what is added to an even channel's values, then to the odd one's.

    An average is ``(a + b + c + d + 2) >> 2`` of four reads' words.

    Latency: the even channel's values show 1 cycle after the pair's last words (``last``), the odd one's 2 cycles after
    them. All words of a pair arrive in consecutive cycles, and in the cycle behind its last
    none does.

    Parameters
    ----------
    columns, word_bits : int
    averages : bool
        Whether any layer averages.

    Members
    -------
    words : In(ArrayLayout(2 * word_bits, columns))
        Of a pair of channels, the even one in the low half.
    arrived : In(1)
        ``words`` are those of a read, and the pair has a shortcut. A pair none of whose words arrive gives values of 0.
    last : In(1)
        They are the pair's last, or would be.
    average : In(1)
        The layer averages.
    values : Out(ArrayLayout(signed(word_bits), columns))
    """

    def __init__(self, *, columns, word_bits, averages):
        self.columns = columns
        self.word_bits = word_bits
        self.averages = averages
        super().__init__({
            "words": In(data.ArrayLayout(2 * word_bits, columns)),
            "arrived": In(1),
            "last": In(1),
            "average": In(1),
            "values": Out(data.ArrayLayout(signed(word_bits), columns)),
        })

    def elaborate(self, platform):
        m = Module()
        complete = Signal()
        m.d.sync += complete.eq(self.last)
        for column in range(self.columns):
            halves = [self.words[column].word_select(half, self.word_bits).as_signed() for half in range(2)]
            if self.averages:
                even_total, odd_total = (
                    self._sum(m, word, f"total_{column}_{half}") for half, word in enumerate(halves))
                # The sums are there for one cycle, and give 0 in the next, for which the odd channel's value waits; in
                # other cycles that is 0.
                odd = Signal(signed(self.word_bits), name=f"odd_{column}", reset_less=True)
                with m.If(complete):
                    m.d.sync += odd.eq(Mux(self.average, odd_total >> 2, odd_total))
                with m.Else():
                    m.d.sync += odd.eq(0)
                m.d.comb += self.values[column].eq(Mux(self.average, even_total >> 2, even_total) | odd)
            else:
                even, odd = (self._hold(m, word, f"value_{column}_{half}") for half, word in enumerate(halves))
                m.d.comb += self.values[column].eq(Mux(complete, even, odd))
        return m

    def _hold(self, m, word, name):
        """A read's word, until the next one."""
        held = Signal(signed(self.word_bits), name=name, reset_less=True)
        with m.If(self.last):
            m.d.sync += held.eq(Mux(self.arrived, word, 0))
        return held

    def _sum(self, m, word, name):
        """Sum up the words of consecutive cycles, from the half that rounds; a single word counts as it is."""
        total = Signal(signed(self.word_bits + 2), name=name)
        with m.If(self.arrived):
            m.d.sync += total.eq(total + word)
        with m.Else():
            m.d.sync += total.eq(Mux(self.average, 2, 0))
        return total

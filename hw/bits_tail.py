"""Behind the array, for networks of thresholds: the weight ROM and the drain."""

from amaranth import Module
from amaranth.lib import wiring

from hw.drain import Drain
from hw.memory import Rom
from hw.tail import TailSignature

__all__ = ["BitsTail"]


class BitsTail(wiring.Component):
    """Weights from a ROM; sums become bits by thresholds, or scores.

    Latency: those of ``hw.drain.Drain``.

    Parameters
    ----------
    program : Program
        Without words.
    fields : dict of Signal
        ``LayerControl.fields``.

    Members
    -------
    As ``hw.tail.TailSignature``; ``fetched`` is always 1.
    """

    def __init__(self, *, program, fields):
        self.program = program
        self._fields = fields
        super().__init__(dict(TailSignature(program).members))

    def elaborate(self, platform):
        m = Module()
        program, engine = self.program, self.program.engine
        m.submodules.weights = weights = Rom(width=engine.rows * engine.lanes, words=program.weight_words())
        m.submodules.drain = drain = Drain(
            rows=engine.rows, columns=engine.columns, lanes=engine.lanes, drain=engine.drain,
            sum_width=program.sum_width, threshold_width=program.threshold_width, score_width=program.score_width,
            thresholds=program.threshold_words(), address_width=len(self.write_address), pooling=program.pooling,
            fields=self._fields)
        m.d.comb += [
            weights.address.eq(self.weight_address),
            self.weights.eq(weights.data),
            self.fetched.eq(1),
            drain.sums.eq(self.sums),
            drain.load.eq(self.load),
            drain.final.eq(self.final),
            drain.restart.eq(self.begin),
            self.write_next.eq(drain.write_next),
            self.write_enable.eq(drain.write_enable),
            self.write_address.eq(drain.write_address),
            self.write_data.eq(drain.write_data),
            self.score_valid.eq(drain.score_valid),
            self.score.eq(drain.score),
            self.done.eq(drain.done),
        ]
        return m

"""The array as one would write it down: the baseline of the benchmark, and of nothing else."""

from functools import reduce
from operator import add

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..array import BeatControl

__all__ = ["NaiveArray"]


class NaiveArray(wiring.Component):
    """``hw.array.Array`` with the matches of a beat added up by ``+``, one after the other, and its own subtraction.

    Parameters, members and sums are those of ``hw.array.Array``. Latency: the sums show 2 cycles after a pass's last
    words, for the matches go through one register.
    """

    latency = 2

    def __init__(self, *, rows, columns, lanes, sum_width):
        self.rows = rows
        self.columns = columns
        self.lanes = lanes
        self.sum_width = sum_width
        super().__init__({
            "weights": In(data.ArrayLayout(lanes, rows)),
            "activations": In(data.ArrayLayout(lanes, columns)),
            "control": In(BeatControl(columns=columns)),
            "sums": Out(data.ArrayLayout(data.ArrayLayout(signed(sum_width), columns), rows)),
            "done": Out(1),
            "final": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        control = Signal.like(self.control)
        m.d.sync += [control.eq(self.control), self.done.eq(control.last), self.final.eq(control.final)]
        for row in range(self.rows):
            for column in range(self.columns):
                matches = reduce(add, ~(self.weights[row] ^ self.activations[column]))
                count = Signal(range(self.lanes + 1), name=f"count_{row}_{column}")
                sum_ = self.sums[row][column]
                doubled = Cat(0, sum_)[:self.sum_width].as_signed()
                before = Mux(self.done, 0, Mux(control.double, doubled, sum_))
                added = Mux(control.enable[column], count - self.lanes // 2, 0)
                m.d.sync += [count.eq(matches), sum_.eq(before + added)]
        return m

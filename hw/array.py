"""The systolic array: rows x columns processing elements, weights shared along rows, activations along columns."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.pe import ProcessingElement

__all__ = ["Array", "BeatControl"]


class BeatControl(data.StructLayout):
    """What a beat does to the accumulators.

    ``enable`` has a bit a column: one whose tap is padding does not count. ``last`` ends the pass and ``final`` the
    layer. All are zero without a beat.
    """

    def __init__(self, *, columns):
        super().__init__({
            "enable": columns,
            "double": 1,
            "last": 1,
            "final": 1,
        })


class Array(wiring.Component):
    """P x Q processing elements of S lanes: output stationary, broadcast words.

    Latency: the sums of a pass show ``latency`` = 2 + ``stages`` cycles after its last beat's words, for one cycle;
    ``done`` is 1 in that cycle.

    Parameters
    ----------
    rows, columns, lanes : int
    sum_width : int
        Bits of an accumulator.
    stages : int
        Registers within a popcount.
    popcount : str
        A key of ``hw.popcount.IMPLEMENTATIONS``.

    Members
    -------
    weights : In(ArrayLayout(lanes, rows))
    activations : In(ArrayLayout(lanes, columns))
    control : In(BeatControl)
        Of the same beat as the words.
    sums : Out(ArrayLayout(ArrayLayout(signed(sum_width), columns), rows))
        Half of each dot product.
    done : Out(1)
    final : Out(1)
        With ``done``: the pass was the layer's last.
    """

    def __init__(self, *, rows, columns, lanes, sum_width, stages=0, popcount="portable"):
        self.rows = rows
        self.columns = columns
        self.lanes = lanes
        self.sum_width = sum_width
        self._elements = [
            [ProcessingElement(lanes=lanes, sum_width=sum_width, stages=stages, popcount=popcount)
             for _ in range(columns)]
            for _ in range(rows)
        ]
        column_sums = data.ArrayLayout(signed(sum_width), columns)
        super().__init__({
            "weights": In(data.ArrayLayout(lanes, rows)),
            "activations": In(data.ArrayLayout(lanes, columns)),
            "control": In(BeatControl(columns=columns)),
            "sums": Out(data.ArrayLayout(column_sums, rows)),
            "done": Out(1),
            "final": Out(1),
        })

    @property
    def latency(self):
        """Cycles from the last beat's words to the sums."""
        return 1 + self._elements[0][0].latency

    def elaborate(self, platform):
        m = Module()

        control = enable = self.control
        for stage in range(self.latency - 1):
            delayed = Signal.like(control, name=f"control_{stage}")
            m.d.sync += delayed.eq(control)
            control, enable = delayed, control
        m.d.sync += [self.done.eq(control.last), self.final.eq(control.final)]
        # Sums start anew in the cycle in which those of a pass show, with a beat or with nothing, and in two cycles
        # behind a reset, after which a PE may count once more.
        first, settling = Signal(init=1), Signal(init=1)
        m.d.sync += [first.eq(control.last | settling), settling.eq(0)]

        for row, elements in enumerate(self._elements):
            for column, element in enumerate(elements):
                m.submodules[f"pe_{row}_{column}"] = element
                m.d.comb += [
                    element.weight.eq(self.weights[row]),
                    element.activation.eq(self.activations[column]),
                    element.enable.eq(enable.enable[column]),
                    element.double.eq(control.double),
                    element.first.eq(first),
                    self.sums[row][column].eq(element.sum),
                ]
        return m

"""Drain register: takes all sums of a pass at once and gives them row by row."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["DrainRegister"]


class DrainRegister(wiring.Component):
    """A ring of the rows' sums: after as many steps as it has places, the first rows are in front again.

    Latency: after ``load`` the first rows are in front one cycle later, after ``step`` the next ones.

    Parameters
    ----------
    rows, columns, sum_width : int
    front : int
        Rows that are given at once, and by which a step rotates; divides ``rows``.

    Members
    -------
    sums : In(ArrayLayout(ArrayLayout(signed(sum_width), columns), rows))
    load : In(1)
    step : In(1)
        ``load`` comes first where both are given.
    row_sums : Out(ArrayLayout(ArrayLayout(signed(sum_width), columns), front))

    Raises
    ------
    ValueError
        If ``front`` does not divide the rows.
    """

    def __init__(self, *, rows, columns, sum_width, front=1):
        if front < 1 or rows % front:
            raise ValueError(f"DrainRegister front must divide the {rows} rows, not be {front!r}")
        self.rows = rows
        self.front = front
        column_sums = data.ArrayLayout(signed(sum_width), columns)
        super().__init__({
            "sums": In(data.ArrayLayout(column_sums, rows)),
            "load": In(1),
            "step": In(1),
            "row_sums": Out(data.ArrayLayout(column_sums, front)),
        })

    def elaborate(self, platform):
        m = Module()
        ring = [Signal.like(self.sums[row], name=f"sums_{row}", reset_less=True) for row in range(self.rows)]
        for row, here in enumerate(ring):
            with m.If(self.load):
                m.d.sync += here.eq(self.sums[row])
            with m.Elif(self.step):
                m.d.sync += here.eq(ring[(row + self.front) % self.rows])
        m.d.comb += [self.row_sums[offset].eq(ring[offset]) for offset in range(self.front)]
        return m

"""What every unit behind the array has: weights for it on one side, its sums' results on the other."""

from amaranth import signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TailSignature"]


class TailSignature(wiring.Signature):
    """Members of a unit that takes the array's sums.

    Members
    -------
    begin : In(1)
        A layer begins.
    sums, load, final : In
        As ``hw.array.Array`` gives them.
    weight_address : In
    weights : Out(rows * lanes)
        1 cycle later.
    fetched : Out(1)
        The next layer's weights are there.
    write_next : Out(1)
        A feature word for each column is written in the next cycle, at ``write_address`` of this one.
    write_enable, write_address, write_data : Out
    score_valid, score : Out
        In order of class.
    done : Out(1)
        The layer's last result is written in this cycle.
    """

    def __init__(self, program):
        engine = program.engine
        column_sums = data.ArrayLayout(signed(program.sum_width), engine.columns)
        super().__init__({
            "begin": In(1),
            "sums": In(data.ArrayLayout(column_sums, engine.rows)),
            "load": In(1),
            "final": In(1),
            "weight_address": In(range(max(2, program.weight_depth))),
            "weights": Out(engine.rows * engine.lanes),
            "fetched": Out(1),
            "write_next": Out(1),
            "write_enable": Out(1),
            "write_address": Out(range(max(2, program.feature_depth))),
            "write_data": Out(data.ArrayLayout(engine.lanes, engine.columns)),
            "score_valid": Out(1),
            "score": Out(signed(program.score_width)),
            "done": Out(1),
        })

"""The naive array has the sums of ours."""

import random

import pytest
from amaranth.sim import Simulator

from hw.array import Array
from hw.bench.naive import NaiveArray


def sums_of(dut, beats):
    """All sums and ``final`` of each pass, when it is done."""
    found = []

    async def testbench(ctx):
        for weights, activations, control in [*beats, *[([0] * dut.rows, [0] * dut.columns, {})] * dut.latency]:
            ctx.set(dut.weights, weights)
            ctx.set(dut.activations, activations)
            ctx.set(dut.control, {"enable": 0, "double": 0, "last": 0, "final": 0} | control)
            await ctx.tick()
            if ctx.get(dut.done):
                found.append(([[ctx.get(dut.sums[row][column]) for column in range(dut.columns)]
                               for row in range(dut.rows)], ctx.get(dut.final)))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    return found


@pytest.mark.parametrize(("rows", "columns", "lanes", "seed"), [(1, 1, 2, 1), (3, 2, 8, 2), (2, 3, 16, 3)])
def test_sums_are_those_of_the_array(rows, columns, lanes, seed):
    choose, beats = random.Random(seed), []
    for number in range(20):
        length = choose.randint(1, 5)
        for beat in range(length):
            weights = [choose.getrandbits(lanes) for _ in range(rows)]
            activations = [choose.getrandbits(lanes) for _ in range(columns)]
            control = {
                "enable": choose.getrandbits(columns), "double": int(beat == 3), "last": int(beat == length - 1),
                "final": int(beat == length - 1 and number % 4 == 3)}
            beats.append((weights, activations, control))
    shape = {"rows": rows, "columns": columns, "lanes": lanes, "sum_width": 12}
    found = sums_of(NaiveArray(**shape), beats)
    assert len(found) == 20
    assert found == sums_of(Array(**shape), beats)

"""The array against one dot product a row and column, with columns that do not count in some beats."""

import random

import pytest
from amaranth import ResetInserter, Signal
from amaranth.sim import Simulator

from hw.array import Array


def half_dot_product(weight, activation, lanes):
    return lanes // 2 - (weight ^ activation).bit_count()


@pytest.mark.parametrize(("rows", "columns", "lanes", "stages", "planes", "seed"), [
    (1, 1, 2, 0, 1, 1), (3, 1, 8, 0, 2, 2), (1, 4, 8, 1, 1, 3), (4, 3, 16, 0, 3, 4), (2, 3, 16, 2, 3, 5),
])
def test_passes(rows, columns, lanes, stages, planes, seed):
    choose = random.Random(seed)
    dut = Array(rows=rows, columns=columns, lanes=lanes, sum_width=12, stages=stages)
    latency = 2 + stages
    assert dut.latency == latency

    # Beats (weights, activations, control), and by the cycle of a pass's last beat its sums and whether it is final.
    beats, passes = [], {}
    for number in range(12):
        length = choose.randint(1, 4)
        sums = [[0] * columns for _ in range(rows)]
        for plane in range(planes):
            masks = [choose.getrandbits(columns) for _ in range(length)]
            for index, mask in enumerate(masks):
                weights = [choose.getrandbits(lanes) for _ in range(rows)]
                activations = [choose.getrandbits(lanes) for _ in range(columns)]
                enabled = {column for column in range(columns) if mask >> column & 1}
                double = plane > 0 and index == 0
                last = plane == planes - 1 and index == length - 1
                for row in range(rows):
                    for column in range(columns):
                        sums[row][column] *= 2 if double else 1
                        if column in enabled:
                            sums[row][column] += half_dot_product(weights[row], activations[column], lanes)
                control = {
                    "enable": mask, "double": double, "last": last, "final": last and number % 3 == 2,
                }
                beats.append((weights, activations, control))
        passes[len(beats) - 1] = [list(row) for row in sums], number % 3 == 2
        if choose.random() < 0.5:  # a cycle without a beat
            beats.append(([0] * rows, [0] * columns, dict.fromkeys(control, 0)))

    async def testbench(ctx):
        for cycle in range(len(beats) + latency):
            weights, activations, control = beats[min(cycle, len(beats) - 1)]
            if cycle >= len(beats):
                control = dict.fromkeys(control, 0)
            ctx.set(dut.weights, weights)
            ctx.set(dut.activations, activations)
            ctx.set(dut.control, control)
            await ctx.tick()
            beat = cycle + 1 - latency
            assert ctx.get(dut.done) == (beat in passes)
            if beat in passes:
                expected, final = passes[beat]
                assert ctx.get(dut.final) == final
                for row in range(rows):
                    for column in range(columns):
                        assert ctx.get(dut.sums[row][column]) == expected[row][column]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("stages", [0, 2])
def test_a_reset_within_a_pass_leaves_nothing_behind(stages):
    dut, reset = Array(rows=1, columns=1, lanes=8, sum_width=8, stages=stages), Signal()
    idle = {"enable": 0, "double": 0, "last": 0, "final": 0}

    async def testbench(ctx):
        ctx.set(dut.weights, [0xFF])
        ctx.set(dut.activations, [0xFF])
        ctx.set(dut.control, idle | {"enable": 1})
        await ctx.tick().repeat(6)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        ctx.set(dut.control, idle)
        await ctx.tick().repeat(8)
        ctx.set(dut.control, idle | {"enable": 1, "last": 1})
        await ctx.tick()
        ctx.set(dut.control, idle)
        for _ in range(dut.latency - 1):
            assert not ctx.get(dut.done)
            await ctx.tick()
        assert ctx.get(dut.done) and ctx.get(dut.sums[0][0]) == half_dot_product(0xFF, 0xFF, 8)

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_errors_are_those_of_its_elements():
    with pytest.raises(ValueError, match=r"^ProcessingElement lanes must be even, not 5$"):
        Array(rows=2, columns=2, lanes=5, sum_width=8)

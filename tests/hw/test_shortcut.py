"""Shortcut values against words and their averages."""

import random

import pytest
from amaranth.sim import Simulator

from hw.shortcut import Shortcut


@pytest.mark.parametrize("averages, average", [(False, 0), (True, 0), (True, 1)])
@pytest.mark.parametrize("columns, bits", [(3, 8), (1, 5)])
@pytest.mark.parametrize("pause", [0, 3])
def test_values(averages, average, columns, bits, pause):
    choose = random.Random(bits)
    reads, cadence = (4, 5) if average else (1, 2)
    dut = Shortcut(columns=columns, word_bits=bits, averages=averages)
    half, mask = 1 << bits - 1, (1 << bits) - 1
    given, arriving, last, expected = {}, set(), set(), {}
    cycle = 3
    for _ in range(30):
        around = choose.randrange(2)
        words = [[[choose.choice([-half, half - 1, choose.randint(-half, half - 1)]) for _ in range(2)]
                  for _ in range(columns)] for _ in range(reads)]
        for index, read in enumerate(words):
            given[cycle + index] = [low & mask | (high & mask) << bits for low, high in read]
        arriving |= set(range(cycle, cycle + reads)) if around else set()
        cycle += reads - 1
        last.add(cycle)
        for odd in range(2):
            sums = [sum(read[column][odd] for read in words) for column in range(columns)]
            expected[cycle + 1 + odd] = [
                (total + 2 >> 2 if average else total) if around else 0 for total in sums]
        cycle += cadence - reads + 1 + choose.randint(0, pause)

    async def testbench(ctx):
        ctx.set(dut.average, average)
        for now in range(cycle):
            ctx.set(dut.words, given.get(now, [choose.randrange(1 << 2 * bits) for _ in range(columns)]))
            ctx.set(dut.arrived, now in arriving)
            ctx.set(dut.last, now in last)
            if now in expected:
                assert [ctx.get(value) for value in dut.values] == expected[now], now
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()

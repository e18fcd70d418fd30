"""Result addresses against start, pitch and index."""

import random

import pytest
from amaranth.sim import Simulator

from hw.result_address import ResultAddress


@pytest.mark.parametrize("start, pitch, words", [(5, 7, 7), (250, 9, 4), (0, 1, 1)])
def test_walk(start, pitch, words):
    choose = random.Random(start)
    dut = ResultAddress(address_width=8, step_width=4)

    async def testbench(ctx):
        ctx.set(dut.start, start)
        ctx.set(dut.step, pitch - words + 1)
        for _ in range(2):
            ctx.set(dut.restart, 1)
            await ctx.tick()
            ctx.set(dut.restart, 0)
            for pixel in range(6):
                for word in range(words):
                    for _ in range(choose.choice([0, 0, 2])):
                        ctx.set(dut.last, choose.randrange(2))
                        await ctx.tick()
                    assert ctx.get(dut.address) == (start + pixel * pitch + word) % 256
                    ctx.set(dut.next_word, 1)
                    ctx.set(dut.last, word == words - 1)
                    await ctx.tick()
                    ctx.set(dut.next_word, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()

"""The drain register against a list that is rotated."""

import random

import pytest
from amaranth.sim import Simulator

from hw.drain_register import DrainRegister


@pytest.mark.parametrize("rows, columns, front", [(4, 3, 1), (6, 1, 2), (4, 2, 4)])
def test_rotation(rows, columns, front):
    choose = random.Random(rows)
    dut = DrainRegister(rows=rows, columns=columns, sum_width=7, front=front)

    async def testbench(ctx):
        ring = None
        for _ in range(80):
            sums = [[choose.randint(-64, 63) for _ in range(columns)] for _ in range(rows)]
            load, step = choose.random() < 0.1, choose.random() < 0.6
            ctx.set(dut.sums, sums)
            ctx.set(dut.load, load)
            ctx.set(dut.step, step)
            if ring:
                assert [[ctx.get(value) for value in row] for row in dut.row_sums] == ring[:front]
            if load:
                ring = sums
            elif step and ring:
                ring = ring[front:] + ring[:front]
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_front_divides_rows():
    with pytest.raises(ValueError, match="front must divide the 6 rows, not be 4"):
        DrainRegister(rows=6, columns=1, sum_width=4, front=4)

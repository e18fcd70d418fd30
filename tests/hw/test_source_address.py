"""Source addresses against rows and column groups of maps as large as the result's, and twice as large."""

import random

import pytest
from amaranth import Signal
from amaranth.sim import Simulator

from hw.source_address import SourceAddress


@pytest.mark.parametrize("stride", [0, 1])
@pytest.mark.parametrize("groups_x, pitch", [(3, 4), (1, 6), (4, 1)])
@pytest.mark.parametrize("pause", [0, 4])  # cycles between next pixels, at most
def test_walk(stride, groups_x, pitch, pause):
    choose = random.Random(groups_x)
    row_pitch = (groups_x << stride) * pitch + 3
    values = {"around_address": 9, "around_pitch": pitch, "around_row_pitch": row_pitch,
              "around_row_step": (row_pitch - (groups_x - 1) * pitch) << stride, "around_stride": stride,
              "drain_groups_x": groups_x - 1}
    fields = {name: Signal(range(value + 1), name=name) for name, value in values.items()}
    dut = SourceAddress(address_width=9, fields=fields)

    async def testbench(ctx):
        for name, value in values.items():
            if len(fields[name]):
                ctx.set(fields[name], value)
        for _ in range(2):
            ctx.set(dut.restart, 1)
            await ctx.tick()
            ctx.set(dut.restart, 0)
            for row in range(3):
                for group in range(groups_x):
                    waits = choose.randint(0, pause)
                    for wait in range(waits + 1):
                        word, below = choose.randrange(pitch), wait > 0 and choose.randrange(2)
                        ctx.set(dut.word, word)
                        ctx.set(dut.below, below)
                        expected = values["around_address"] + (row << stride) * row_pitch + (
                            group << stride) * pitch + word + below * row_pitch
                        assert ctx.get(dut.address) == expected % 512
                        assert ctx.get(dut.row_last) == (group == groups_x - 1)
                        if wait < waits:
                            await ctx.tick()
                    ctx.set(dut.next_pixel, 1)
                    await ctx.tick()
                    ctx.set(dut.next_pixel, 0)
            await ctx.tick().repeat(2)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()

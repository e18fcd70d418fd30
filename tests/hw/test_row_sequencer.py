"""The row sequencer against loops over pixels, groups, tiles and rows."""

import random

import pytest
from amaranth import Signal
from amaranth.sim import Simulator

from hw.row_sequencer import RowSequencer


@pytest.mark.parametrize("rows, groups, tiles, last, around, reads", [
    (4, 1, 1, 4, 0, 0), (4, 3, 2, 2, 1, 0), (6, 2, 1, 5, 1, 3), (8, 2, 4, 8, 1, 3), (4, 2, 1, 1, 0, 3)])
@pytest.mark.parametrize("pause", [0, 3])
def test_rows(rows, groups, tiles, last, around, reads, pause):
    choose = random.Random(rows)
    values = {"drain_groups": groups - 1, "tiles": tiles - 1, "last_rows": last - 1, "around": around,
              "average": int(reads > 0)}
    fields = {name: Signal(range(value + 1), name=name) for name, value in values.items()}
    dut = RowSequencer(rows=rows, fields=fields)
    cadence = 5 if around and reads else 2
    restart, cycle = 1, 2
    loads, reading, steps = set(), {}, {}
    for _ in range(3):
        for group in range(groups):
            loads.add(cycle)
            for step in range(tiles * rows):
                tile, row = divmod(step, rows)
                begin = cycle + 1 + step // 2 * cadence
                if around:
                    reading |= {begin + index: index for index in range(reads + 1)}
                final = group == groups - 1
                steps[begin + cadence - 2 + step % 2] = (group * tiles + tile) * rows + row, {
                    "odd": step % 2, "used": int(not final or row < last),
                    "end": int(final and tile == tiles - 1 and row == last - 1),
                    "pass_last": int(step == tiles * rows - 1),
                    "pixel_last": int(final and step == tiles * rows - 1)}
            cycle += tiles * rows // 2 * cadence + choose.randint(0, pause)

    async def testbench(ctx):
        for name, value in values.items():
            if len(fields[name]):
                ctx.set(fields[name], value)
        shown = None
        for now in range(cycle + 5):
            ctx.set(dut.restart, now == restart)
            ctx.set(dut.load, now in loads)
            assert ctx.get(dut.read) == (now in reading), now
            if now in reading:
                assert ctx.get(dut.read_index) == reading[now], now
                assert shown == min((step, index) for step, (index, _) in steps.items() if step >= now)[1], now
            assert ctx.get(dut.step) == (now in steps), now
            if now in steps:
                index, flags = steps[now]
                assert shown == index, now
                assert {name: ctx.get(getattr(dut, name)) for name in flags} == flags, now
            if ctx.get(dut.constant_enable):
                shown = ctx.get(dut.constant_address)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()

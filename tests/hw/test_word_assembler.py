"""The word assembler against lists of bits, with pauses between pushes."""

import random

import pytest
from amaranth.sim import Simulator

from hw.word_assembler import WordAssembler


@pytest.mark.parametrize("columns, lanes, step", [(3, 8, 1), (1, 12, 4), (2, 4, 4), (2, 6, 2)])
@pytest.mark.parametrize("pause", [0, 0.5])
def test_words(columns, lanes, step, pause):
    choose = random.Random(lanes)
    dut = WordAssembler(columns=columns, lanes=lanes, step=step)

    async def testbench(ctx):
        filled, written = [[] for _ in range(columns)], None
        announced = False, False
        for now in range(200):
            # A layer begins behind a push that ended a pixel.
            restart, closing = now in (0, 100), now in (97, 197)
            push, end = announced  # what the cycle before announced of this one's bits
            announced = (closing or (choose.random() >= pause and not restart and now % 100 not in (98, 99)),
                         closing or choose.random() < 0.1)
            bits = [[choose.randrange(2) for _ in range(columns)] for _ in range(step)]
            ctx.set(dut.restart, restart)
            ctx.set(dut.push, announced[0])
            ctx.set(dut.end, announced[1])
            ctx.set(dut.bits, [sum(bit << column for column, bit in enumerate(row)) for row in bits])
            assert ctx.get(dut.write_enable) == (written is not None), now
            if written:
                assert [ctx.get(dut.write_data[column]) for column in range(columns)] == written, now
            written = None
            if push:
                for column, word in enumerate(filled):
                    word += [row[column] for row in bits]
            complete = push and (end or len(filled[0]) == lanes)
            assert ctx.get(dut.write_next) == complete, now
            if complete:
                written = [sum(bit << lanes - len(word) + lane for lane, bit in enumerate(word)) for word in filled]
                filled = [[] for _ in range(columns)]
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_step_divides_lanes():
    with pytest.raises(ValueError, match="step must divide the 8 lanes, not be 3"):
        WordAssembler(columns=1, lanes=8, step=3)

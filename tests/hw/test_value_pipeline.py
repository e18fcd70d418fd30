"""The value pipeline, a value every cycle, against the numbers' definition."""

import random

import pytest
from amaranth.sim import Simulator

from hw.value_pipeline import ValuePipeline
from sw.constants import ConstantFormat

PLAIN = ConstantFormat(gain=12, offset=18)
SLOPES = ConstantFormat(gain=12, offset=18, before=11, positive=12, negative=13, after=9)
#: Cycles after the sum.
GIVEN = {"sum": 0, "gain": 0, "offset": 1, "shortcut": 3, "before": 4, "positive": 4, "negative": 4, "after": 6}


def limited(value, low, high):
    return max(low, min(high, value))


def word_of(given, constants, bits, shift, low, high, around):
    word, wide = ((-(1 << width - 1), (1 << width - 1) - 1) for width in (bits, bits + 2))
    value = limited(given["gain"] * given["sum"] + given["offset"] >> shift, *wide)
    if around:
        value = limited(value + given["shortcut"], *word)
    if constants.bends:
        value = limited(value + given["before"], *wide)
        value = limited(given["positive" if value >= 0 else "negative"] * value + 512 >> 10, *word)
        value = limited(value + given["after"], *word)
    return limited(value, low, high)


@pytest.mark.parametrize("constants", [PLAIN, SLOPES])
@pytest.mark.parametrize("bits, shift, low, high", [
    (8, 9, -128, 127), (8, 7, -64, 64), (6, 11, -32, 31), (8, 0, -90, 50)])
@pytest.mark.parametrize("around", [0, 1])
def test_words(constants, bits, shift, low, high, around):
    choose = random.Random(shift)
    dut = ValuePipeline(sum_width=10, word_bits=bits, shift=shift, low=low, high=high, constants=constants)
    widths = {name: len(getattr(dut, name)) for name in ("sum", "shortcut", *dut.fields)}
    values = []
    for _ in range(400):
        given = {}
        for name, width in widths.items():
            half = 1 << width - 1
            given[name] = choose.choice([-half, half - 1] + 3 * [choose.randint(-half, half - 1)])
        if choose.random() < 0.8:  # near what a word holds
            reach = min(1 << bits + shift - 1, (1 << 17) - 1)
            given |= {"gain": choose.randint(-9, 9), "offset": choose.randint(-reach, reach)}
        given["shortcut"] *= around
        values.append(given)

    async def testbench(ctx):
        ctx.set(dut.around, around)
        for now in range(len(values)):
            for name in widths:
                if now >= GIVEN[name]:
                    ctx.set(getattr(dut, name), values[now - GIVEN[name]][name])
            if now >= dut.latency:
                expected = word_of(values[now - dut.latency], constants, bits, shift, low, high, around)
                assert ctx.get(dut.word) == expected, now
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()

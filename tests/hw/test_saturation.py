"""Saturation against minimum and maximum, over all values."""

import pytest
from amaranth import Module, Signal, signed
from amaranth.sim import Simulator

from hw.saturation import clip, fits, limit, saturate


def evaluate(width, function):
    """What ``function`` gives for each signed number of ``width`` bits."""
    m = Module()
    value, result = Signal(signed(width)), Signal(signed(width + 8))
    m.d.comb += result.eq(function(value))
    found = {}

    async def testbench(ctx):
        for number in range(-(1 << width - 1), 1 << width - 1):
            ctx.set(value, number)
            await ctx.delay(1e-9)
            found[number] = ctx.get(result)

    simulator = Simulator(m)
    simulator.add_testbench(testbench)
    simulator.run()
    return found


@pytest.mark.parametrize("width", [5, 6, 9])
@pytest.mark.parametrize("low, high", [(-16, 15), (-16, 16), (-8, 8), (-9, 7), (-1, 1), (-13, 11), (-7, 15), (-8, 3)])
def test_clip(width, low, high):
    for number, found in evaluate(width, lambda value: clip(value, low, high)).items():
        assert found == max(low, min(high, number)), number


@pytest.mark.parametrize("width, bits", [(8, 5), (8, 7), (6, 6), (5, 7)])
def test_saturate(width, bits):
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    for number, found in evaluate(width, lambda value: saturate(value, bits)).items():
        assert found == max(low, min(high, number)), number
    for number, found in evaluate(width, lambda value: fits(value, min(bits, width))).items():
        assert found == (low <= number <= high), number
    assert {number < 0: found for number, found in evaluate(width, lambda value: limit(value[-1], bits)).items()} == {
        True: low, False: high}

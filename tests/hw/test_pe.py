"""The processing element against sums of +-1 products."""

import random

import pytest
from amaranth.sim import Simulator

from hw.pe import ProcessingElement


def half_dot_product(weight, activation, lanes):
    """Half of the dot product of two words of +-1."""
    products = [1 if (weight ^ activation) >> lane & 1 == 0 else -1 for lane in range(lanes)]
    assert sum(products) % 2 == 0
    return sum(products) // 2


def beats_of(choose, lanes, sum_width, count):
    """(weight, activation, enable, first, double, sum after it); no sum leaves the accumulator's range."""
    beats, total = [], 0
    for index in range(count):
        weight, activation = choose.getrandbits(lanes), choose.getrandbits(lanes)
        if choose.random() < 0.3:
            activation = weight if choose.random() < 0.5 else weight ^ (1 << lanes) - 1
        enable, first, double = (choose.random() < share for share in (0.8, 0.2, 0.3))
        added = half_dot_product(weight, activation, lanes) if enable else 0
        first = first or index == 0
        after = added + (0 if first else 2 * total if double else total)
        if not -(1 << sum_width - 1) <= after < 1 << sum_width - 1:
            first, after = True, added
        total = after
        beats.append((weight, activation, enable, first, double, total))
    return beats


@pytest.mark.parametrize(("lanes", "sum_width", "stages", "seed"), [
    (2, 2, 0, 1), (2, 9, 0, 2), (6, 5, 0, 3), (16, 5, 0, 4), (32, 12, 0, 5), (8, 9, 1, 6), (48, 12, 2, 7),
])
def test_sums(lanes, sum_width, stages, seed):
    dut = ProcessingElement(lanes=lanes, sum_width=sum_width, stages=stages)
    latency = 1 + stages
    assert dut.latency == latency
    beats = beats_of(random.Random(seed), lanes, sum_width, 150)

    async def testbench(ctx):
        for cycle in range(len(beats) + latency):
            if cycle < len(beats):
                ctx.set(dut.weight, beats[cycle][0])
                ctx.set(dut.activation, beats[cycle][1])
            if 0 <= cycle - latency + 1 < len(beats):
                ctx.set(dut.enable, beats[cycle - latency + 1][2])
            if cycle >= latency:
                _, _, _, first, double, total = beats[cycle - latency]
                ctx.set(dut.first, first)
                ctx.set(dut.double, double)
            await ctx.tick()
            if cycle >= latency:
                assert ctx.get(dut.sum) == total, cycle - latency

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("lanes", "sum_width", "message"), [
    (7, 8, r"^ProcessingElement lanes must be even, not 7$"),
    (16, 4, r"^ProcessingElement sum_width must be at least 5 for 16 lanes, not 4$"),
    (2, 1, r"^ProcessingElement sum_width must be at least 2 for 2 lanes, not 1$"),
])
def test_widths_that_no_element_has(lanes, sum_width, message):
    with pytest.raises(ValueError, match=message):
        ProcessingElement(lanes=lanes, sum_width=sum_width)

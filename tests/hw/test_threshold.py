"""The threshold comparator against its definition, for every input or at the ends and around equality."""

import itertools
import random
import re

import pytest
from amaranth.sim import Simulator

from hw.threshold import Threshold


def check(dut, pairs):
    async def testbench(ctx):
        for total, threshold in pairs:
            ctx.set(dut.sum, total)
            ctx.set(dut.threshold, threshold)
            await ctx.delay(1e-9)
            assert ctx.get(dut.value) == 2 * total - threshold
            assert ctx.get(dut.bit) == (2 * total >= threshold)

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("sum_width", "threshold_width"), [(1, 1), (1, 4), (2, 3), (4, 1), (4, 4), (3, 6), (5, 3)])
def test_every_input(sum_width, threshold_width):
    sums, thresholds = (range(-(1 << width - 1), 1 << width - 1) for width in (sum_width, threshold_width))
    check(Threshold(sum_width=sum_width, threshold_width=threshold_width), itertools.product(sums, thresholds))


@pytest.mark.parametrize(("sum_width", "threshold_width", "seed"), [(12, 13, 1), (16, 16, 2), (8, 20, 3), (20, 8, 4)])
def test_ends_and_equality(sum_width, threshold_width, seed):
    choose = random.Random(seed)
    (low, high), (least, most) = ((-(1 << width - 1), (1 << width - 1) - 1) for width in (sum_width, threshold_width))
    sums = [low, -1, 0, 1, high, *(choose.randint(low, high) for _ in range(60))]
    thresholds = [least, 0, most, choose.randint(least, most)]
    pairs = [(total, 2 * total + step) for total in sums for step in (-1, 0, 1) if least <= 2 * total + step <= most]
    assert pairs
    dut = Threshold(sum_width=sum_width, threshold_width=threshold_width)
    check(dut, [*itertools.product(sums, thresholds), *pairs])


@pytest.mark.parametrize(("arguments", "message"), [
    ((0, 4), "Threshold sum_width must be a positive integer, not 0"),
    ((4, 0), "Threshold threshold_width must be a positive integer, not 0"),
    ((4, None), "Threshold threshold_width must be a positive integer, not None"),
])
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Threshold(sum_width=arguments[0], threshold_width=arguments[1])

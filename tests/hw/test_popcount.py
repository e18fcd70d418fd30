"""Popcount against counting characters; latency against a table."""

import random
import re

import pytest
from amaranth.sim import Simulator

from hw import popcount
from hw.popcount import Popcount
from tests.hw.streams import simulate


def words_of(lanes, choose, count):
    """Every word of few lanes; else each single one and zero, both ends, and random words of every density."""
    if lanes <= 9:
        return list(range(1 << lanes))
    ones = (1 << lanes) - 1
    single = [1 << lane for lane in range(lanes)]
    words = [sum(1 << lane for lane in range(lanes) if choose.random() < index / count) for index in range(count)]
    return [0, ones, *single, *(ones ^ bit for bit in single), *words]


@pytest.mark.parametrize("lanes", [*range(1, 10), 15, 16, 24, 32, 63, 64])
def test_combinational(lanes):
    dut = Popcount(lanes=lanes)
    assert dut.latency == 0

    async def testbench(ctx):
        for word in words_of(lanes, random.Random(lanes), 100):
            ctx.set(dut.i, word)
            await ctx.delay(1e-9)
            assert ctx.get(dut.o) == f"{word:b}".count("1")

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("lanes", "registers", "latency"), [
    (1, 1, 1), (3, 1, 1), (4, 1, 2), (4, 2, 1), (7, 1, 3), (16, 1, 4), (16, 2, 2), (16, 3, 1),
    (32, 1, 5), (32, 2, 2), (63, 1, 6), (63, 2, 3), (63, 4, 1),
])
def test_pipelined(lanes, registers, latency):
    dut = Popcount(lanes=lanes, registers=registers)
    assert dut.latency == latency
    words = words_of(lanes, random.Random(100 * lanes + registers), 60)

    async def testbench(ctx):
        for cycle in range(len(words) + latency):
            ctx.set(dut.i, words[min(cycle, len(words) - 1)])
            await ctx.delay(1e-8)
            if cycle >= latency:
                assert ctx.get(dut.o) == f"{words[cycle - latency]:b}".count("1")
            await ctx.tick()

    simulate(dut, testbench)


def test_too_few_levels_for_a_register():
    assert (Popcount(lanes=1, registers=2).latency, Popcount(lanes=16, registers=5).latency) == (0, 0)


def test_output_holds_the_full_count():
    assert [len(Popcount(lanes=lanes).o) for lanes in (1, 3, 4, 15, 16)] == [1, 2, 3, 4, 5]


def test_another_implementation(monkeypatch):
    monkeypatch.setitem(popcount.IMPLEMENTATIONS, "none", lambda component, module: component.i[0])
    dut = Popcount(lanes=2, implementation="none")

    async def testbench(ctx):
        ctx.set(dut.i, 3)
        await ctx.delay(1e-9)
        assert ctx.get(dut.o) == 1

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("arguments", "message"), [
    ({"lanes": 0}, "Popcount lanes must be a positive integer, not 0"),
    ({"lanes": 2.0}, "Popcount lanes must be a positive integer, not 2.0"),
    ({"lanes": 4, "registers": -1}, "Popcount registers must be a non-negative integer, not -1"),
    ({"lanes": 4, "implementation": "lut"}, "Popcount implementation must be one of portable, not 'lut'"),
])
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Popcount(**arguments)

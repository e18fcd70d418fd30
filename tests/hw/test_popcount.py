"""Popcount against counting characters; registers against a table."""

import random
import re

import pytest
from amaranth import signed
from amaranth.sim import Simulator

from hw.popcount import IMPLEMENTATIONS, Popcount
from sw.engine import Engine
from tests.hw.streams import simulate


def words_of(lanes, choose, count):
    """Every word of few lanes; else each single one and zero, both ends, and random words of every density."""
    if lanes <= 9:
        return list(range(1 << lanes))
    ones = (1 << lanes) - 1
    single = [1 << lane for lane in range(lanes)]
    words = [sum(1 << lane for lane in range(lanes) if choose.random() < index / count) for index in range(count)]
    return [0, ones, *single, *(ones ^ bit for bit in single), *words]


@pytest.mark.parametrize(("lanes", "offset"), [
    *((lanes, 0) for lanes in (*range(1, 10), 15, 16, 24, 32, 63, 64)), (15, -8), (16, -8), (47, -24), (5, 3), (1, -1),
])
def test_combinational(lanes, offset):
    dut = Popcount(lanes=lanes, offset=offset)
    assert not dut.cuts

    async def testbench(ctx):
        choose = random.Random(lanes)
        for word in words_of(lanes, choose, 100):
            activation = choose.getrandbits(lanes)
            ctx.set(dut.activation, activation)
            ctx.set(dut.weight, word ^ ~activation & (1 << lanes) - 1)
            await ctx.delay(1e-9)
            assert ctx.get(dut.o) == f"{word:b}".count("1") + offset

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("lanes", "stages", "cuts"), [
    (4, 1, {1}), (7, 2, {1, 2}), (16, 1, {2}), (16, 2, {1, 2}), (16, 3, {1, 2, 3}),
    (32, 1, {2}), (32, 4, {1, 2, 3, 4}), (63, 1, {3}), (63, 2, {2, 4}), (63, 5, {1, 2, 3, 4, 5}),
])
def test_pipelined(lanes, stages, cuts):
    dut = Popcount(lanes=lanes, stages=stages)
    assert dut.cuts == cuts
    words = words_of(lanes, random.Random(100 * lanes + stages), 60)

    async def testbench(ctx):
        ctx.set(dut.activation, (1 << lanes) - 1)
        for cycle in range(len(words) + stages):
            ctx.set(dut.weight, words[min(cycle, len(words) - 1)])
            await ctx.delay(1e-8)
            if cycle >= stages:
                assert ctx.get(dut.o) == f"{words[cycle - stages]:b}".count("1")
            await ctx.tick()

    simulate(dut, testbench)


def test_output_holds_the_full_count():
    assert [len(Popcount(lanes=lanes).o) for lanes in (1, 3, 4, 15, 16)] == [1, 2, 3, 4, 5]
    assert Popcount(lanes=15, offset=-8).o.shape() == signed(4)


def test_no_offset():
    with pytest.raises(TypeError, match="Popcount offset must be an integer, not 0.5"):
        Popcount(lanes=3, offset=0.5)


@pytest.mark.parametrize("implementation", ["ice40", "ecp5"])
@pytest.mark.parametrize(("lanes", "stages", "cuts"), [
    (4, 1, {1}), (7, 1, {1}), (8, 1, {1}), (15, 2, {1, 2}), (31, 1, {2}), (47, 1, {2}), (47, 2, {1, 3}), (63, 0, set()),
])
def test_registers_in_carry_chains(implementation, lanes, stages, cuts):
    """What they count is proven and simulated as cells: ``tests/formal`` and ``sim/test_cells.py``."""
    assert Popcount(lanes=lanes, stages=stages, implementation=implementation).cuts == cuts


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("lanes", range(1, 70))
def test_stages_of_an_engine_fit_every_implementation(implementation, lanes):
    """A PE's last lane is not counted by its popcount."""
    most = Engine.most_popcount_stages(lanes + 1)
    assert len(Popcount(lanes=lanes, stages=most, implementation=implementation).cuts) == most


@pytest.mark.parametrize(("arguments", "message"), [
    ({"lanes": 0}, "Popcount lanes must be a positive integer, not 0"),
    ({"lanes": 2.0}, "Popcount lanes must be a positive integer, not 2.0"),
    ({"lanes": 4, "stages": -1}, "Popcount stages must be an integer from 0 to 1 for 4 lanes, not -1"),
    ({"lanes": 4, "stages": 2}, "Popcount stages must be an integer from 0 to 1 for 4 lanes, not 2"),
    ({"lanes": 3, "stages": 1}, "Popcount stages must be an integer from 0 to 0 for 3 lanes, not 1"),
    ({"lanes": 4, "implementation": "lut"}, "Popcount implementation must be one of portable, ice40, ecp5, not 'lut'"),
])
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Popcount(**arguments)

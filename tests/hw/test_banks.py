"""The bank permutation against a row of pixels: addresses at once, the columns' order two cycles later."""

import random

import pytest
from amaranth.sim import Simulator

from hw.banks import BankPermutation, check_strides

LATENCY = 2


@pytest.mark.parametrize(("columns", "pitch", "strides", "seed"), [
    (1, 3, (1, 2), 1), (2, 1, (1,), 2), (3, 5, (1, 2), 3), (4, 7, (1, 3), 4), (5, 2, (2,), 5), (7, 3, (1, 5), 6),
])
def test_addresses_and_order(columns, pitch, strides, seed):
    choose = random.Random(seed)
    depth, width = 512, 10
    dut = BankPermutation(columns=columns, width=width, depth=depth, pitch_width=pitch.bit_length(), strides=strides)
    expected = {}  # by cycle: the bank of each column, -1 for the bypass

    async def testbench(ctx):
        for cycle in range(200):
            first, word, index = choose.randrange(20 * columns), choose.randrange(pitch), choose.randrange(len(strides))
            read, bypass, offset = choose.random() < 0.8, choose.random() < 0.2, choose.randrange(100)
            address = 7 + first // columns * pitch + word
            for port, value in ((dut.read, read), (dut.address, address), (dut.phase, first % columns),
                                (dut.stride, index), (dut.pitch, pitch), (dut.bypass, bypass), (dut.offset, offset)):
                ctx.set(port, value)
            places = [first + strides[index] * column for column in range(columns)]
            found = [ctx.get(dut.addresses[bank]) for bank in range(columns)]
            if read:
                assert [found[place % columns] for place in places] == [
                    7 + place // columns * pitch + word for place in places]
            else:
                assert found == columns * [address + offset]
            expected[cycle + LATENCY] = [-1 if bypass else place % columns for place in places]
            given = [choose.getrandbits(width) for _ in range(columns)]
            bypassed = [choose.getrandbits(width) for _ in range(columns)]
            ctx.set(dut.bank_data, given)
            ctx.set(dut.bypass_data, bypassed)
            for column, bank in enumerate(expected.get(cycle, ())):
                assert ctx.get(dut.words[column]) == bypassed[column] | (0 if bank < 0 else given[bank])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_strides():
    assert check_strides("Memory", 3, [1, 2]) == (1, 2)


@pytest.mark.parametrize(("columns", "strides", "message"), [
    (4, (1, 2), r"^Memory columns must be coprime with stride 2, not 4$"),
    (3, (), r"^Memory strides must be one or two, not \(\)$"),
    (5, [1, 2, 3], r"^Memory strides must be one or two, not \(1, 2, 3\)$"),
])
def test_strides_that_no_banks_have(columns, strides, message):
    with pytest.raises(ValueError, match=message):
        check_strides("Memory", columns, strides)

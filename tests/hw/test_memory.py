"""Memories against a list: a word read is the word last written, one cycle later."""

import random

import pytest
from amaranth.sim import Simulator

from hw.memory import Rom, SimpleDualPortMemory, SinglePortMemory


def simulate(dut, testbench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("width", "depth", "seed"), [(1, 1, 1), (1, 2, 2), (16, 5, 3), (256, 9, 4)])
def test_rom(width, depth, seed):
    choose = random.Random(seed)
    words = [choose.getrandbits(width) for _ in range(depth)]
    dut = Rom(width=width, words=words)

    async def testbench(ctx):
        shown = None
        for cycle in range(6 * depth + 20):
            address, enable = choose.randrange(depth), cycle == 0 or choose.random() < 0.7
            ctx.set(dut.address, address)
            ctx.set(dut.enable, enable)
            await ctx.tick()
            shown = words[address] if enable else shown
            assert ctx.get(dut.data) == shown

    simulate(dut, testbench)


def test_rom_is_enabled_unless_told():
    dut = Rom(width=8, words=[3, 5])

    async def testbench(ctx):
        for address in (1, 0, 1):
            ctx.set(dut.address, address)
            await ctx.tick()
            assert ctx.get(dut.data) == dut.words[address]

    simulate(dut, testbench)


@pytest.mark.parametrize(("width", "words", "message"), [
    (8, [], r"^Rom words must not be empty$"),
    (4, [15, 16], r"^Rom word 1 must be an unsigned 4-bit integer, not 16$"),
    (4, [-1], r"^Rom word 0 must be an unsigned 4-bit integer, not -1$"),
])
def test_contents_that_no_rom_has(width, words, message):
    with pytest.raises(ValueError, match=message):
        Rom(width=width, words=words)


@pytest.mark.parametrize(("width", "depth", "style", "seed"), [
    (1, 2, "block", 1), (8, 7, "block", 2), (16, 16, "huge", 3), (64, 3, "huge", 4),
])
def test_single_port(width, depth, style, seed):
    choose = random.Random(seed)
    dut = SinglePortMemory(width=width, depth=depth, style=style)

    async def testbench(ctx):
        contents, shown = {}, None
        for cycle in range(200):
            address, word = choose.randrange(depth), choose.getrandbits(width)
            write = cycle < depth or choose.random() < 0.4
            address = cycle if cycle < depth else address
            ctx.set(dut.address, address)
            ctx.set(dut.write_data, word)
            ctx.set(dut.write_enable, write)
            await ctx.tick()
            if write:
                contents[address] = word
            else:
                shown = contents[address]
            if shown is not None:
                assert ctx.get(dut.read_data) == shown

    simulate(dut, testbench)


@pytest.mark.parametrize(("width", "depth", "seed"), [(1, 2, 1), (8, 5, 2), (40, 16, 3)])
def test_simple_dual_port(width, depth, seed):
    choose = random.Random(seed)
    dut = SimpleDualPortMemory(width=width, depth=depth)

    async def testbench(ctx):
        contents, legal = {}, None
        for cycle in range(200):
            word, write = choose.getrandbits(width), cycle < depth or choose.random() < 0.5
            written = cycle if cycle < depth else choose.randrange(depth)
            read, enable = choose.randrange(depth), cycle == 0 or choose.random() < 0.7
            ctx.set(dut.write_address, written)
            ctx.set(dut.write_data, word)
            ctx.set(dut.write_enable, write)
            ctx.set(dut.read_address, read)
            ctx.set(dut.read_enable, enable)
            await ctx.tick()
            if enable:
                legal = {contents[read]} if read in contents else None
                if legal and write and written == read:
                    legal.add(word)
            if legal:
                assert ctx.get(dut.read_data) in legal
            if write:
                contents[written] = word

    simulate(dut, testbench)


def test_simple_dual_port_reads_unless_told():
    dut = SimpleDualPortMemory(width=8, depth=4)

    async def testbench(ctx):
        ctx.set(dut.write_enable, 1)
        ctx.set(dut.write_data, 9)
        await ctx.tick().repeat(2)
        assert ctx.get(dut.read_data) == 9

    simulate(dut, testbench)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: SinglePortMemory(width=8, depth=4, style="large"),
     r"^SinglePortMemory style must be 'huge' or 'block', not 'large'$"),
    (lambda: SinglePortMemory(width=8, depth=1), r"^SinglePortMemory depth must be at least 2, not 1$"),
    (lambda: SimpleDualPortMemory(width=8, depth=1), r"^SimpleDualPortMemory depth must be at least 2, not 1$"),
])
def test_size_that_no_memory_has(make, message):
    with pytest.raises(ValueError, match=message):
        make()

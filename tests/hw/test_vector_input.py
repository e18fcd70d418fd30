"""The vector input against the bits that were sent: two buffers, filled and read in turn."""

import random

import pytest
from amaranth.sim import Simulator

from hw.receiver import FrameError
from hw.vector_input import VectorInput

LATENCY = 2


def words_of(data, lanes):
    """A frame's words: ``lanes`` bits each, the first in the lowest bit, the rest of the last one 0."""
    step = lanes // 8
    return [int.from_bytes(data[start:start + step], "little") for start in range(0, len(data), step)]


async def send(ctx, dut, data, *, early=0, late=0, user=0, gap=0.0, choose=None):
    """Offer a frame, with ``early`` bytes less or ``late`` more; return the error that came."""
    data = data[:len(data) - early] + bytes(late)
    found = FrameError.NONE
    for index, byte in enumerate(data):
        while gap and choose.random() < gap:
            await ctx.tick()
        ctx.set(dut.i.tvalid, 1)
        ctx.set(dut.i.tdata, byte)
        ctx.set(dut.i.tlast, index == len(data) - 1)
        ctx.set(dut.i.tuser, user)
        while not ctx.get(dut.i.tready):
            await ctx.tick()
        error = ctx.get(dut.error)
        found = error if error != FrameError.NONE else found
        await ctx.tick()
        ctx.set(dut.i.tvalid, 0)
    return found


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def read(ctx, dut):
    """All words, one address a cycle."""
    found = []
    for cycle in range(dut.words + LATENCY):
        ctx.set(dut.address, min(cycle, dut.words - 1))
        if cycle >= LATENCY:
            columns = [ctx.get(dut.activations[column]) for column in range(dut.columns)]
            assert len(set(columns)) == 1
            found.append(columns[0])
        await ctx.tick()
    ctx.set(dut.selected, 0)
    assert not any(ctx.get(dut.activations[column]) for column in range(dut.columns))
    ctx.set(dut.selected, 1)
    return found


def simulate(dut, *testbenches):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()


SIZES = [(1, 1, 8), (8, 1, 8), (9, 2, 8), (16, 3, 16), (40, 1, 16), (53, 2, 24), (64, 1, 32), (100, 1, 32)]


@pytest.mark.parametrize(("size", "columns", "lanes"), SIZES)
def test_frames_in_turn(size, columns, lanes):
    choose = random.Random(size)
    frames = [choose.randbytes(-(-size // 8)) for _ in range(6)]
    dut = VectorInput(size=size, columns=columns, lanes=lanes)

    async def sender(ctx):
        for frame in frames:
            assert await send(ctx, dut, frame, gap=0.3, choose=choose) == FrameError.NONE

    async def reader(ctx):
        for frame in frames:
            while not ctx.get(dut.available):
                await ctx.tick()
            await pulse(ctx, dut.begin)
            assert await read(ctx, dut) == words_of(frame, lanes)
            await pulse(ctx, dut.release)
        assert not ctx.get(dut.available)

    simulate(dut, sender, reader)


@pytest.mark.parametrize(("size", "columns", "lanes"), SIZES)
def test_two_frames_are_held(size, columns, lanes):
    choose = random.Random(100 + size)
    frames = [choose.randbytes(-(-size // 8)) for _ in range(3)]
    dut = VectorInput(size=size, columns=columns, lanes=lanes)

    async def testbench(ctx):
        assert not ctx.get(dut.available)
        await send(ctx, dut, frames[0])
        assert ctx.get(dut.available)
        assert ctx.get(dut.i.tready)
        await pulse(ctx, dut.begin)
        assert not ctx.get(dut.available)
        await send(ctx, dut, frames[1])
        assert ctx.get(dut.available)
        for _ in range(4):
            assert not ctx.get(dut.i.tready)
            await ctx.tick()
        assert await read(ctx, dut) == words_of(frames[0], lanes)
        await pulse(ctx, dut.release)
        assert ctx.get(dut.i.tready)
        await send(ctx, dut, frames[2])
        await pulse(ctx, dut.begin)
        for frame in frames[1:]:
            assert await read(ctx, dut) == words_of(frame, lanes)
            await pulse(ctx, dut.release)

    simulate(dut, testbench)


@pytest.mark.parametrize(("size", "lanes"), [(40, 16), (53, 24), (16, 8), (17, 32)])
@pytest.mark.parametrize(("fault", "error"), [
    ({"early": 1}, FrameError.SHORT), ({"late": 1}, FrameError.LONG), ({"late": 9}, FrameError.LONG),
    ({"user": 1}, FrameError.REFUSED),
])
def test_dropped_frame(size, lanes, fault, error):
    choose = random.Random(200 + size)
    good, bad, after = (choose.randbytes(-(-size // 8)) for _ in range(3))
    dut = VectorInput(size=size, columns=1, lanes=lanes)

    async def testbench(ctx):
        await send(ctx, dut, good)
        assert await send(ctx, dut, bad, **fault) == error
        assert await send(ctx, dut, bad, **fault) == error
        await pulse(ctx, dut.begin)
        assert not ctx.get(dut.available)
        assert await read(ctx, dut) == words_of(good, lanes)
        await pulse(ctx, dut.release)
        assert await send(ctx, dut, after) == FrameError.NONE
        assert ctx.get(dut.available)
        await pulse(ctx, dut.begin)
        assert await read(ctx, dut) == words_of(after, lanes)

    simulate(dut, testbench)


@pytest.mark.parametrize("lanes", [4, 12])
def test_lanes_that_bytes_do_not_fill(lanes):
    with pytest.raises(ValueError, match=rf"^VectorInput lanes must be a multiple of 8, not {lanes}$"):
        VectorInput(size=16, columns=1, lanes=lanes)

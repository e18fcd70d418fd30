"""The input unit for maps against the words that a feature memory would have: two maps, filled and read in turn."""

import random

import pytest

from hw.map_input import MapInput
from tests.hw.map_links import LINKS, beats_of, random_map, stored
from tests.hw.streams import simulate

LATENCY = 2


async def send(ctx, dut, link, pixels, choose, gaps):
    for part, last in beats_of(link, pixels):
        while choose.random() < gaps:
            await ctx.tick()
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, {"part": part, "last": last})
        await ctx.tick().until(dut.i.ready)
        ctx.set(dut.i.valid, 0)


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


async def check(ctx, dut, link, words, choose, strides):
    """Read each pixel's words with its neighbours', in any order, one a cycle."""
    reads = [(y, x, word, index) for y in range(link.shape[0]) for x in range(link.shape[1])
             for word in range(link.to_words) for index in range(len(strides))]
    choose.shuffle(reads)
    due = {}
    for cycle in range(len(reads) + LATENCY):
        selected = cycle >= len(reads) or choose.random() < 0.9
        ctx.set(dut.select, selected)
        if cycle < len(reads):
            y, x, word, index = reads[cycle]
            ctx.set(dut.address, (y * link.to_groups + x // link.to_columns) * link.to_words + word)
            ctx.set(dut.phase, x % link.to_columns)
            ctx.set(dut.stride, index)
            ctx.set(dut.pitch, link.to_words)
            due[cycle + LATENCY] = [(y, x + strides[index] * column, word) for column in range(link.to_columns)]
            if not selected:
                due[cycle + LATENCY] = None
        if due.get(cycle, []) is None:
            assert not any(ctx.get(dut.activations[column]) for column in range(link.to_columns))
            due[cycle] = []
        for column, (y, x, word) in enumerate(due.get(cycle, [])):
            if x < link.shape[1]:
                assert ctx.get(dut.activations[column]) == words[y][x][word], (y, x, word)
        await ctx.tick()


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("gaps", [0, 0.3])
def test_maps_in_turn(name, gaps):
    link, choose = LINKS[name], random.Random(7)
    strides = (1, 2) if link.to_columns % 2 else (1,)
    dut = MapInput(link, pitch_width=link.to_words.bit_length(), strides=strides)
    maps = [random_map(link, seed) for seed in range(4)]

    async def sender(ctx):
        for pixels in maps:
            await send(ctx, dut, link, pixels, choose, gaps)

    async def reader(ctx):
        for pixels in maps:
            await ctx.tick().until(dut.available)
            await pulse(ctx, dut.begin)
            await check(ctx, dut, link, stored(link, pixels), choose, strides)
            await pulse(ctx, dut.release)
        assert not ctx.get(dut.available)

    simulate(dut, sender, reader)


def test_two_maps_are_held():
    link, choose = LINKS["words, other columns"], random.Random(8)
    dut = MapInput(link, pitch_width=2)
    maps = [random_map(link, seed) for seed in range(3)]

    async def testbench(ctx):
        for pixels in maps[:2]:
            assert ctx.get(dut.i.ready)
            await send(ctx, dut, link, pixels, choose, 0)
            assert ctx.get(dut.available)
        for _ in range(3):
            assert not ctx.get(dut.i.ready)
            await ctx.tick()
        await pulse(ctx, dut.begin)
        assert ctx.get(dut.available) and not ctx.get(dut.i.ready)
        await pulse(ctx, dut.release)
        assert ctx.get(dut.i.ready)
        await pulse(ctx, dut.begin)
        assert not ctx.get(dut.available)
        await send(ctx, dut, link, maps[2], choose, 0)
        await check(ctx, dut, link, stored(link, maps[1]), choose, (1,))
        await pulse(ctx, dut.release)
        await pulse(ctx, dut.begin)
        await check(ctx, dut, link, stored(link, maps[2]), choose, (1,))

    simulate(dut, testbench)

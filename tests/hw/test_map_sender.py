"""The sender of maps against the order of their beats, with a receiver that stalls."""

import random

import pytest

from hw.map_sender import MapSender
from tests.hw.map_links import LINKS, beats_of, random_map
from tests.hw.streams import simulate


def writes_of(link, pixels):
    """For each write of a map: the words of a group's columns, and the beats that they leave as."""
    for row in pixels:
        for left in range(0, len(row), link.columns):
            group = row[left:left + link.columns]
            for word in range(link.words):
                parts = link.last_parts if word == link.words - 1 else link.word_parts
                yield [pixel[word] for pixel in group], len(group) * parts


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("stalls", [0, 0.5])
def test_maps_leave_in_order(name, stalls):
    link, choose = LINKS[name], random.Random(5)
    maps = [random_map(link, seed) for seed in range(3)]
    dut = MapSender(link)
    writes = [write for pixels in maps for write in writes_of(link, pixels)]
    expected = [beat for pixels in maps for beat in beats_of(link, pixels)]
    found, behind = [], []  # behind: whether a word came with the last beat of the one before it

    async def testbench(ctx):
        left = 0  # beats of the word that is there
        while writes or left:
            ready = choose.random() >= stalls
            ctx.set(dut.o.ready, ready)
            assert ctx.get(dut.busy) == ctx.get(dut.o.valid) == (left > 0)
            if left and ready:
                found.append((ctx.get(dut.o.payload.part), ctx.get(dut.o.payload.last)))
            left -= bool(left and ready)
            write = writes and left == 0 and choose.random() < 0.7
            ctx.set(dut.write, bool(write))
            # What is not written, and the pixels behind the map's edge, are noise.
            words, count = writes.pop(0) if write else ([], 0)
            ctx.set(dut.words, words + [choose.getrandbits(link.lanes) for _ in range(link.columns - len(words))])
            if write:
                behind.append(ready and ctx.get(dut.busy))
                left = count
            await ctx.tick()

    simulate(dut, testbench)
    assert found == expected
    assert any(behind) and not all(behind)

"""The order of a map's beats against the loops that it stands for."""

import pytest

from hw.map_order import MapOrder
from tests.hw.map_links import LINKS
from tests.hw.streams import simulate


def loops(link):
    """(column, columns_end, word_end, pixels_end, row_end, end) of each beat; those that hold only with others are
    compared with these alone.
    """
    height, width, _ = link.shape
    for y in range(height):
        for left in range(0, width, link.columns):
            group = min(link.columns, width - left)
            for word in range(link.words):
                parts = link.last_parts if word == link.words - 1 else link.word_parts
                for part in range(parts):
                    for column in range(group):
                        ends = (column == group - 1, part == parts - 1, part == parts - 1 and word == link.words - 1,
                                left + group == width)
                        yield column, *ends, all(ends) and y == height - 1


@pytest.mark.parametrize("name", LINKS)
def test_order(name):
    link = LINKS[name]
    dut = MapOrder(link)

    async def testbench(ctx):
        for _ in range(2):
            for index, expected in enumerate(loops(link)):
                if index % 3 == 0:
                    await ctx.tick()
                found = [ctx.get(port) for port in (dut.column, dut.columns_end, dut.word_end, dut.pixels_end,
                                                    dut.row_end, dut.end)]
                assert found == [int(value) for value in expected], index
                ctx.set(dut.step, 1)
                await ctx.tick()
                ctx.set(dut.step, 0)
        assert index + 1 == link.beats

    simulate(dut, testbench)

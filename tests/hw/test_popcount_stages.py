"""Registers within popcounts: as few as the clock lets."""

import dataclasses

import pytest

from hw.boards import BOARDS
from hw.popcount_stages import popcount_stages, with_popcount_stages
from sw.engine import Engine

PART = dataclasses.replace(BOARDS["ice40"].part, popcount_ns=(4.0, 3.0))


@pytest.mark.parametrize(("lanes", "clock_mhz", "stages"), [
    # 4 levels: all in 16 ns, two by two in 10 ns, alone in 7 ns.
    (32, 62.5, 0), (32, 63, 1), (32, 100, 1), (32, 101, 3), (32, 142, 3), (32, 500, 3),
    (4, 142, 0), (4, 500, 0), (2, 500, 0), (8, 100, 0), (8, 101, 1), (16, 76, 0), (16, 77, 1),
])
def test_stages(lanes, clock_mhz, stages):
    assert popcount_stages(PART, lanes, clock_mhz) == stages


def test_part_whose_times_are_not_known():
    assert popcount_stages(dataclasses.replace(PART, popcount_ns=None), 32, 500) == 0


def test_engine():
    engine = Engine(8, 3, 32, 2, window_buffers=1)
    assert with_popcount_stages(engine, PART, 100) == Engine(8, 3, 32, 2, window_buffers=1, popcount_stages=1)


@pytest.mark.parametrize("name", BOARDS)
def test_boards_own_clocks_need_none_for_the_zoo(name):
    board = BOARDS[name]
    assert popcount_stages(board.part, 16, board.clock_mhz) == 0

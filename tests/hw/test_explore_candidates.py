"""The arrays that are searched: against all that there are, their front, and where none fits."""

import dataclasses
from itertools import product

import pytest

from hw.boards import BOARDS
from hw.estimate import estimate
from hw.explore.candidates import find_candidates, front
from hw.explore.clocks import highest_up_to, legal_clocks, lowest_from
from hw.fit_words import COLUMNS as WORD_COLUMNS
from hw.fit_words import LANES as WORD_LANES
from hw.fit_words import LOGIC_SHARE
from hw.fit_words import ROWS as WORD_ROWS
from hw.shapes import COLUMNS, LANES, ROWS
from sw.compile import compile_graph
from sw.engine import Engine
from sw.errors import FitError
from sw.folding import drain_for
from sw.layers import chain_of_layers
from tests.sw.word_networks import Unit, random_residual

WORDS = random_residual(1, (12, 12, 1), 4, stem=16, units=(Unit(16), Unit(32, "average"), Unit(32)))


def all_points(graph, board, share, engines):
    """(logic cells, cycles) of each engine that can run the graph and fits."""
    part = board.part
    for engine in engines:
        try:
            program = compile_graph(graph, engine, shared_store=board.flash is not None)
        except FitError:
            continue
        needs = estimate(program, part)
        if (needs.logic_cells <= int(share * part.logic_cells) and needs.block_rams <= part.block_rams
                and needs.large_rams <= part.large_rams):
            yield needs.logic_cells, program.schedule.cycles_per_frame


def brute_front(points):
    """All points that no other beats in one coordinate without losing in the other."""
    points = set(points)
    return {point for point in points
            if not any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points)}


def engines_of(graph, wanted):
    layers = chain_of_layers(graph)
    choices = (ROWS, COLUMNS, LANES)
    for shape in product(*((value,) if value else values for value, values in zip(wanted, choices, strict=True))):
        try:
            most = drain_for(layers, *shape)
        except FitError:
            continue
        for drain, buffers in product(range(1, most + 1), (1, 2)):
            if shape[0] % drain == 0 and shape[2] % drain == 0:
                yield Engine(*shape, drain, buffers)


@pytest.mark.parametrize(("network", "wanted"), [
    ("tiny_cnn", (None, 1, 16)), ("tiny_cnn", (8, None, None)), ("middle_cnn", (None, 3, 16)),
    ("tiny_mlp", (None, 1, None)),
])
@pytest.mark.parametrize("board", ["ice40", "tang-nano-9k"])
def test_front_is_that_of_all_arrays(network, wanted, board, request):
    graph, board = request.getfixturevalue(network), BOARDS[board]
    found = find_candidates(graph, board, wanted=wanted)
    points = {(each.needs.logic_cells, each.cycles) for each in found}
    every = set(all_points(graph, board, board.part.family.logic_share, engines_of(graph, wanted)))
    assert points <= every
    assert brute_front(every) <= points
    assert len({each.engine for each in found}) == len(found)


def test_front_of_a_network_with_words():
    board = BOARDS["ice40"]
    found = find_candidates(WORDS, board)
    engines = [Engine(*shape, 1, buffers) for *shape, buffers in product(WORD_ROWS, WORD_COLUMNS, WORD_LANES, (1, 2))]
    every = set(all_points(WORDS, board, LOGIC_SHARE, engines))
    points = {(each.needs.logic_cells, each.cycles) for each in found}
    assert points <= every and brute_front(every) <= points


def test_share_limits_the_logic(tiny_cnn):
    board = BOARDS["ice40"]
    found = find_candidates(tiny_cnn, board, wanted=(None, 1, 16), share=0.3)
    assert found and max(each.needs.logic_cells for each in found) <= 0.3 * 5280


def test_nothing_fits(huge_cnn, tiny_cnn):
    with pytest.raises(FitError, match="network huge-cnn does not fit board ice40: it needs at least .* block RAMs"):
        find_candidates(huge_cnn, BOARDS["ice40"])
    with pytest.raises(FitError, match="with an array of 48 rows x 7 columns x 64 lanes does not fit board ice40: it "
                                       "needs .*; the nearest array that fits is "):
        find_candidates(tiny_cnn, BOARDS["ice40"], wanted=(48, 7, 64))
    with pytest.raises(FitError, match="no array fits board ice40 in 1 % of its logic cells; use a larger"):
        find_candidates(tiny_cnn, BOARDS["ice40"], share=0.01)


def test_a_given_array_may_take_all_of_the_part(tiny_cnn):
    board, array = BOARDS["ice40"], (8, 3, 16)
    cells = max(each.needs.logic_cells for each in find_candidates(tiny_cnn, board, wanted=array))
    part = dataclasses.replace(board.part, logic_cells=cells)
    found = find_candidates(tiny_cnn, dataclasses.replace(board, part=part), wanted=array)
    assert cells in {each.needs.logic_cells for each in found}


def test_progress_counts_shapes(tiny_mlp):
    told = []
    find_candidates(tiny_mlp, BOARDS["ice40"], wanted=(8, 1, None), tell=lambda done, total: told.append((done, total)))
    assert told == [(number, len(LANES)) for number in range(1, len(LANES) + 1)]


def test_front():
    points = [(10, 5.0, "a"), (20, 4.0, "b"), (20, 9.0, "c"), (15, 5.0, "d"), (30, 9.5, "e"), (10, 4.9, "f")]
    assert [name for *_, name in front(points)] == ["a", "c", "e"]
    assert front([]) == []


@pytest.mark.parametrize("name", BOARDS)
def test_legal_clocks(name):
    board = BOARDS[name]
    clocks = legal_clocks(board)
    assert board.clock_mhz in clocks and clocks == sorted(set(clocks))
    for clock in clocks:
        assert abs(board.uart_divisor(clock) * board.baud / 1e6 / clock - 1) <= 0.021


def test_neighbours_of_a_clock():
    clocks = [12.0, 24.0, 36.0]
    assert [highest_up_to(clocks, mhz) for mhz in (11, 12, 35.9, 99)] == [None, 12.0, 24.0, 36.0]
    assert [lowest_from(clocks, mhz) for mhz in (11, 12, 24.1, 36.1)] == [12.0, 12.0, 36.0, None]
    assert highest_up_to([], 5) is None

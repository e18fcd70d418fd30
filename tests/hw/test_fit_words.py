"""The choice of an array for a network with words: against all shapes, some dimensions fixed, and where none fits."""

import dataclasses
import re
from math import ceil

import pytest

from hw import fit_words
from hw.boards import BOARDS
from hw.estimate import estimate
from hw.fit import choose_engine
from sw.compile import compile_graph
from sw.engine import Engine
from sw.errors import FitError, UnsupportedLayerError
from tests.sw.word_networks import Unit, random_residual

BOARD = BOARDS["ice40"]
GRAPH = random_residual(1, (12, 12, 1), 4, stem=16, units=(Unit(16), Unit(32, "average"), Unit(32)))


def fits(program, share):
    needs, part = estimate(program, BOARD.part), BOARD.part
    return (needs.logic_cells <= int(share * part.logic_cells) and needs.block_rams <= part.block_rams
            and needs.large_rams <= part.large_rams)


def test_array_can_be_fixed_whole():
    fixed = {"rows": 4, "columns": 1, "lanes": 16, "drain": 1, "window_buffers": 1}
    assert choose_engine(GRAPH, BOARD, **fixed) == Engine(**fixed)
    with pytest.raises(FitError, match="array drain of a network with words is 1, not 2"):
        choose_engine(GRAPH, BOARD, **fixed | {"drain": 2})


@pytest.mark.parametrize("fixed", [{}, {"rows": 8}, {"columns": 1}, {"rows": 4, "lanes": 16}])
def test_choice_is_the_fastest_of_all(fixed):
    engine = choose_engine(GRAPH, BOARD, **fixed)
    assert fixed.items() <= dataclasses.asdict(engine).items()
    best = None
    for rows in [fixed.get("rows")] if "rows" in fixed else fit_words.ROWS:
        for columns in [fixed.get("columns")] if "columns" in fixed else fit_words.COLUMNS:
            for lanes in [fixed.get("lanes")] if "lanes" in fixed else fit_words.LANES:
                if rows * columns * lanes * fit_words.CELLS_OF_SYNAPSE > BOARD.part.logic_cells:
                    continue
                for buffers in (1, 2):
                    try:
                        program = compile_graph(GRAPH, Engine(rows, columns, lanes, 1, buffers), shared_store=True)
                    except FitError:
                        break
                    if fits(program, fit_words.LOGIC_SHARE):
                        cycles = program.schedule.cycles_per_frame
                        best = cycles if best is None else min(best, cycles)
    assert compile_graph(GRAPH, engine, shared_store=True).schedule.cycles_per_frame == best


def test_array_that_does_not_fit():
    with pytest.raises(FitError) as error:
        choose_engine(GRAPH, BOARD, rows=64, columns=3, lanes=64)
    assert re.match(r"network random-residual-1 does not fit board ice40: an array of 64 rows x 3 columns x 64 lanes "
                    r"needs about [\d,]+ logic cells where 5,280 of the iCE40UP5K can be used", str(error.value))


def test_words_that_do_not_fit_the_large_rams():
    graph = random_residual(2, word_bits=10)
    with pytest.raises(FitError, match="words of 10 bits do not fit the part's large RAMs, whose 16 bits hold two of "
                                       "8; export with --word-bits 8"):
        choose_engine(graph, BOARD)


def test_map_that_does_not_fit_the_large_rams():
    graph = random_residual(3, (64, 64, 1), 2, stem=64, units=(Unit(64),), reduce=6)
    with pytest.raises(FitError, match=r"[\d,]+ addresses of words and [\d,]+ of weights do not fit the large RAMs' "
                                       r"16,384; use a narrower network, or a smaller image"):
        choose_engine(graph, BOARD, rows=8, columns=3, lanes=16)


def test_network_that_no_array_runs():
    graph = random_residual(4)
    nodes = [dataclasses.replace(node, shift=8) if node.name == "unit1.norm" else node for node in graph.nodes]
    with pytest.raises(UnsupportedLayerError, match="its batch norms have shifts"):
        choose_engine(type(graph)(tuple(nodes), graph.name), BOARD)


def test_window_buffers_as_there_is_room():
    two, one = (estimate(compile_graph(GRAPH, Engine(8, 3, 16, 1, buffers), shared_store=True), BOARD.part).logic_cells
                for buffers in (2, 1))
    most = ceil(two / fit_words.LOGIC_SHARE)

    def chosen(cells):
        part = dataclasses.replace(BOARD.part, logic_cells=cells)
        return choose_engine(GRAPH, dataclasses.replace(BOARD, part=part), rows=8, columns=3, lanes=16).window_buffers

    assert (chosen(most), chosen(most - 2), chosen(one)) == (2, 1, 1)
    with pytest.raises(FitError, match=f"needs about {one:,} logic cells where {one - 1:,} of the iCE40UP5K can be u"):
        chosen(one - 1)

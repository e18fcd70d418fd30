"""The choice of engines in a row: they fit, and no cut of the layers is faster with arrays that are as large."""

from itertools import combinations

import pytest

from hw.boards import BOARDS, find_board
from hw.design import design_resources
from hw.fit import choose_engine
from hw.fit_pipeline import choose_pipeline
from sw.compile import compile_graph
from sw.errors import FitError, UnsupportedLayerError
from sw.pipeline import compile_pipeline
from tests.sw.networks import random_mlp
from tests.sw.residuals import random_residual

BIG = random_mlp(35, (256, 64, 64, 64, 10))


@pytest.mark.parametrize("count", [2, 3])
def test_choice_fits_and_is_balanced(count):
    board = find_board("ice40-hx8k")
    engines, cuts = choose_pipeline(BIG, board, count)
    assert (len(engines), len(cuts)) == (count, count - 1)
    pipeline = compile_pipeline(BIG, engines, cuts)
    needs, part = design_resources(pipeline, board.part), board.part
    assert needs.logic_cells <= part.family.logic_share * part.logic_cells
    assert needs.block_rams <= part.block_rams and needs.large_rams <= part.large_rams
    chosen = pipeline.schedule.cycles_per_frame
    for other in combinations(range(1, 4), count - 1):
        try:
            assert compile_pipeline(BIG, engines, other).schedule.cycles_per_frame >= chosen
        except FitError:
            continue
    # Several engines hide what begins and ends a layer of few beats.
    alone = compile_graph(BIG, choose_engine(BIG, board)).schedule.cycles_per_frame
    assert chosen < alone


def test_one_engine():
    (engine,), cuts = choose_pipeline(BIG, find_board("ice40-hx8k"), 1)
    assert cuts == ()
    assert compile_pipeline(BIG, [engine], cuts).schedule.cycles_per_frame > 0


def test_what_does_not_fit(huge_cnn):
    message = (r"^network huge-cnn does not fit board icestick on 2 engines in a row: the iCE40HX1K has 1,280 logic "
               r"cells, 16 block RAMs, 0 large RAMs; use fewer engines, a larger board, or a network with fewer "
               r"weights$")
    with pytest.raises(FitError, match=message):
        choose_pipeline(huge_cnn, BOARDS["icestick"], 2)


@pytest.mark.parametrize(("graph", "count", "error", "message"), [
    (BIG, 5, FitError, "has 4 layers, of which each engine takes one at least; use from 1 to 4 engines, not 5"),
    (random_residual(3), 2, UnsupportedLayerError, "a network with words on its shortcuts runs on one engine"),
])
def test_what_no_row_of_engines_runs(graph, count, error, message):
    with pytest.raises(error, match=message):
        choose_pipeline(graph, BOARDS["ice40"], count)

"""The choice of an array: against brute force, with fixed dimensions, and where nothing fits."""

import dataclasses
import re
from itertools import product

import pytest

from hw.boards import BOARDS
from hw.estimate import estimate
from hw.fit import choose_engine
from hw.shapes import COLUMNS, LANES, ROWS
from sw.compile import compile_graph
from sw.engine import Engine
from sw.errors import FitError
from sw.folding import drain_for
from sw.layers import chain_of_layers

BOARD = BOARDS["ice40"]
#: One part of each kind that is small enough for brute force, and large enough for the networks.
TRIED = ("ice40", "ice40-hx8k", "ulx3s-25f", "tang-nano-9k")


def fits(program, board, share):
    needs, part = estimate(program, board.part), board.part
    return (
        needs.logic_cells <= int(share * part.logic_cells) and needs.block_rams <= part.block_rams
        and needs.large_rams <= part.large_rams
    )


def brute_force(graph, board, shapes):
    """The least (cycles, logic cells) of all arrays of ``shapes`` that fit, with every legal drain and with one and two
    window buffers.
    """
    layers, found = chain_of_layers(graph), []
    for rows, columns, lanes in shapes:
        try:
            most = drain_for(layers, rows, columns, lanes)
        except FitError:
            continue
        for drain, buffers in product(range(1, most + 1), (1, 2)):
            if rows % drain == 0 and lanes % drain == 0:
                program = compile_graph(graph, Engine(rows, columns, lanes, drain, buffers))
                if fits(program, board, board.part.family.logic_share):
                    cycles = program.schedule.cycles_per_frame
                    found.append((cycles, estimate(program, board.part).logic_cells))
    return min(found)


@pytest.mark.parametrize(("network", "fixed"), [
    ("middle_cnn", {"columns": 3, "lanes": 16}), ("middle_cnn", {"rows": 8, "columns": 3}),
    ("tiny_cnn", {"rows": 8, "lanes": 8}), ("tiny_mlp", {"columns": 1, "lanes": 16}),
])
@pytest.mark.parametrize("board", TRIED)
def test_choice_is_the_best_of_all(network, fixed, board, request):
    graph, board = request.getfixturevalue(network), BOARDS[board]
    engine = choose_engine(graph, board, **fixed)
    assert fixed.items() <= dataclasses.asdict(engine).items()
    shapes = [
        (rows, columns, lanes) for rows in ([fixed["rows"]] if "rows" in fixed else ROWS)
        for columns in ([fixed["columns"]] if "columns" in fixed else COLUMNS)
        for lanes in ([fixed["lanes"]] if "lanes" in fixed else LANES)
        if rows * columns * lanes <= 4096
    ]
    program = compile_graph(graph, engine)
    found = (program.schedule.cycles_per_frame, estimate(program, board.part).logic_cells)
    assert found == brute_force(graph, board, shapes)


@pytest.mark.parametrize("board", TRIED)
@pytest.mark.parametrize("network", ["tiny_cnn", "tiny_mlp", "middle_cnn"])
def test_free_choice_fits_and_is_not_slower_than_a_fixed_one(network, board, request):
    graph, board = request.getfixturevalue(network), BOARDS[board]
    program = compile_graph(graph, choose_engine(graph, board))
    assert fits(program, board, board.part.family.logic_share)
    fixed = compile_graph(graph, choose_engine(graph, board, lanes=16))
    assert program.schedule.cycles_per_frame <= fixed.schedule.cycles_per_frame


def test_fixed_array_is_taken_as_it_is(tiny_cnn):
    engine = choose_engine(tiny_cnn, BOARD, rows=4, columns=1, lanes=8)
    assert (engine.rows, engine.columns, engine.lanes) == (4, 1, 8)


@pytest.mark.parametrize(("drain", "buffers"), [(1, 1), (2, 2), (4, None), (None, 1)])
def test_drain_and_window_buffers_can_be_fixed_too(tiny_cnn, drain, buffers):
    engine = choose_engine(tiny_cnn, BOARD, rows=4, columns=1, lanes=8, drain=drain, window_buffers=buffers)
    assert engine == Engine(4, 1, 8, drain or engine.drain, buffers or 2)


@pytest.mark.parametrize(("fixed", "message"), [
    ({"drain": 2}, "array drain and window buffers can be fixed only with rows, columns and lanes"),
    ({"rows": 4, "columns": 1, "lanes": 8, "drain": 3}, "array drain 3 must divide rows 4 and lanes 8"),
    ({"rows": 4, "columns": 1, "lanes": 8, "window_buffers": 3}, "array window buffers must be an integer from 1 to 2"),
])
def test_drain_and_window_buffers_that_cannot_be(tiny_cnn, fixed, message):
    with pytest.raises(FitError, match=message):
        choose_engine(tiny_cnn, BOARD, **fixed)


def test_array_that_needs_too_much_names_the_nearest(large_cnn):
    with pytest.raises(FitError) as caught:
        choose_engine(large_cnn, BOARD, rows=16, columns=3, lanes=48)
    found = re.fullmatch(
        r"network large-cnn with an array of 16 rows x 3 columns x 48 lanes does not fit board ice40: it needs "
        r"at least 48 block RAMs where the iCE40UP5K has 30; the nearest array that fits is "
        r"(\d+) rows x (\d+) columns x (\d+) lanes", str(caught.value))
    rows, columns, lanes = map(int, found.groups())
    assert choose_engine(large_cnn, BOARD, rows=rows, columns=columns, lanes=lanes)


def test_network_that_is_too_large(huge_cnn):
    message = (
        r"^network huge-cnn does not fit board ice40: it needs at least \d+ block RAMs where the iCE40UP5K has 30; "
        r"use board ulx3s-45f or ulx3s-85f, or a network with fewer weights$"
    )
    with pytest.raises(FitError, match=message):
        choose_engine(huge_cnn, BOARD)


def test_network_that_fits_another_board(large_cnn):
    # Its weights fit, but the part has no large RAM for the feature maps.
    message = (
        r"^network large-cnn does not fit board ice40-hx8k: it needs at least \d+ block RAMs "
        r"where the iCE40HX8K has 32; use board ice40 or ulx3s-25f or .*, or a network with fewer weights$"
    )
    with pytest.raises(FitError, match=message):
        choose_engine(large_cnn, BOARDS["ice40-hx8k"])


def test_too_few_logic_cells(middle_cnn):
    part = dataclasses.replace(BOARD.part, logic_cells=2000)
    with pytest.raises(FitError) as caught:
        choose_engine(middle_cnn, dataclasses.replace(BOARD, part=part), rows=16, columns=3)
    found = re.fullmatch(
        r"network middle-cnn with an array of 16 rows x 3 columns x 8 lanes does not fit board ice40: it needs about "
        r"([\d,]+) logic cells where 1,880 of the iCE40UP5K's 2,000 can be used; the nearest array that fits is .*",
        str(caught.value))
    assert int(found[1].replace(",", "")) > 1880


@pytest.mark.parametrize(("fixed", "message"), [
    ({"rows": 0}, "array rows must be an integer from 1 to 256, not 0"),
    ({"lanes": 1000}, "array lanes must be an integer from 1 to 256, not 1000"),
])
def test_shape_that_no_array_has(large_cnn, fixed, message):
    with pytest.raises(FitError, match=message.replace("conv1", r"conv\d")):
        choose_engine(large_cnn, BOARD, **fixed)


@pytest.mark.parametrize(("beyond", "buffers"), [(0, 2), (-1, 1)])
def test_window_buffers_as_there_is_room(beyond, buffers, middle_cnn):
    needs = estimate(compile_graph(middle_cnn, Engine(8, 3, 16, 1)), BOARD.part)
    part = dataclasses.replace(BOARD.part, logic_cells=needs.logic_cells + beyond)
    engine = choose_engine(middle_cnn, dataclasses.replace(BOARD, part=part), rows=8, columns=3, lanes=16)
    assert engine.window_buffers == buffers

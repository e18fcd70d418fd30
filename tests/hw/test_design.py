"""A design's needs: one program's as they are, those of several engines added up, large RAMs in turn."""

import pytest

from hw.boards import BOARDS
from hw.design import ONCE, design_needs, design_resources, link_cells, memory_plans, programs_of
from hw.estimate import estimate, memory_needs, memory_plan
from sw.compile import compile_graph
from sw.engine import Engine
from sw.pipeline import compile_pipeline
from tests.sw.networks import random_cnn

GRAPH = random_cnn(34, (14, 14, 1), 2, (16, 16, 16, 16), classes=4)
ENGINES = [Engine(8, 3, 16, 2), Engine(4, 3, 16, 2)]


@pytest.mark.parametrize("board", ["ice40", "ulx3s-25f"])
def test_one_engine(board):
    program, part = compile_graph(GRAPH, ENGINES[0]), BOARDS[board].part
    assert programs_of(program) == (program,)
    assert memory_plans(program, part) == (memory_plan(program, part),)
    assert design_needs(program, part) == memory_needs(program, part)
    assert design_resources(program, part) == estimate(program, part)


def test_engines_in_a_row():
    pipeline, part = compile_pipeline(GRAPH, ENGINES, (2,)), BOARDS["ulx3s-25f"].part
    each = [estimate(program, part) for program in pipeline.programs]
    found = design_resources(pipeline, part)
    assert found.block_rams == sum(needs.block_rams for needs in each)
    assert found.logic_cells == sum(needs.logic_cells for needs in each) - ONCE + link_cells(pipeline.links[0])
    names = [need.name for need in design_needs(pipeline, part)]
    assert {"1 input", "1 features", "2 maps", "2 features", "2 results"} <= set(names)
    assert "1 results" not in names and "2 input" not in names


def test_large_rams_go_to_the_engines_in_turn():
    pipeline, part = compile_pipeline(GRAPH, ENGINES, (2,)), BOARDS["ice40"].part
    assert part.large_rams == 4
    assert [plan.large_banks for plan in memory_plans(pipeline, part)] == [3, 1]
    assert design_resources(pipeline, part).large_rams == 4
    three = compile_pipeline(GRAPH, [Engine(4, 5, 16, 2), ENGINES[1]], (2,))
    assert [plan.large_banks for plan in memory_plans(three, part)] == [4, 0]
    needs = {need.name: need for need in design_needs(three, part) if need.large_rams}
    assert list(needs) == ["1 features"] and needs["1 features"].large_rams == 4

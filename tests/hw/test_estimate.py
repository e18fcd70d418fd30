"""RAM counts against Yosys, and logic cells against the builds in the calibration table."""

import dataclasses
import re
from types import SimpleNamespace

import pytest
from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw import flow
from hw.board_top import BoardTop
from hw.boards import BOARDS, LARGE_RAM_SHAPE
from hw.build.calibrate import ARRAYS, HELD_OUT, measure
from hw.estimate import (
    BLOCK_RAM_SHAPE,
    CALIBRATION,
    ERROR,
    HELD_OUT_ERROR,
    block_ram_count,
    estimate,
    least_logic_cells,
    logic_terms,
    memory_needs,
    memory_plan,
    multiplexed_bits,
    ram_count,
    window_cells,
)
from hw.families import ECP5, FAMILIES, GATEMATE, GOWIN, ICE40
from hw.memory import Rom, SimpleDualPortMemory, SinglePortMemory
from hw.memory_plan import MemoryPlan
from sw import zoo
from sw.compile import compile_graph
from sw.engine import Engine
from sw.program import MemoryUse
from tests.sw.networks import random_cnn


@pytest.mark.parametrize(("width", "depth", "shape", "count"), [
    (16, 256, BLOCK_RAM_SHAPE, 1), (1, 2, BLOCK_RAM_SHAPE, 1), (17, 256, BLOCK_RAM_SHAPE, 2),
    (16, 257, BLOCK_RAM_SHAPE, 2), (8, 512, BLOCK_RAM_SHAPE, 1), (384, 256, BLOCK_RAM_SHAPE, 24),
    (20, 1100, BLOCK_RAM_SHAPE, 7), (10, 300, BLOCK_RAM_SHAPE, 2),
    (16, 16384, LARGE_RAM_SHAPE, 1), (17, 2, LARGE_RAM_SHAPE, 2), (16, 16385, LARGE_RAM_SHAPE, 2),
])
def test_ram_count(width, depth, shape, count):
    assert ram_count(width, depth, shape) == count


@pytest.mark.parametrize(("width", "depth", "written", "count"), [
    (36, 512, False, 1), (37, 512, False, 2), (36, 513, False, 2), (9, 2048, False, 1), (1, 16384, True, 1),
    (72, 300, False, 2), (10, 1025, False, 1), (10, 1025, True, 2),
    # A multiplexer behind the RAMs costs more than the RAM that it saves.
    (5, 4215, True, 3), (19, 1253, True, 3), (23, 4622, True, 8),
])
def test_block_ram_count_of_the_ecp5_and_of_gowin(width, depth, written, count):
    for family in (ECP5, GOWIN):
        assert block_ram_count(family, width, depth, written=written) == count


@pytest.mark.parametrize(("width", "depth", "written", "count"), [
    (40, 512, False, 1), (41, 512, False, 2), (80, 512, False, 2), (81, 512, False, 3), (40, 513, False, 2),
    (5, 4096, True, 1), (20, 1024, True, 1), (128, 708, False, 7), (24, 1024, False, 2), (1, 65536, False, 4),
])
def test_block_ram_count_of_the_gatemate(width, depth, written, count):
    """In halves of a RAM of 40 Kbit."""
    assert block_ram_count(GATEMATE, width, depth, written=written) == count


@pytest.mark.parametrize(("width", "depth"), [(16, 256), (17, 256), (20, 1100), (384, 190)])
@pytest.mark.parametrize("written", [False, True])
def test_block_ram_count_of_the_ice40(width, depth, written):
    assert block_ram_count(ICE40, width, depth, written=written) == ram_count(width, depth)


class Memories(wiring.Component):
    """Many memories whose contents nothing can simplify away; each submodule's name says its kind and size."""

    def __init__(self, roms, buffers, large):
        self.roms, self.buffers, self.large = roms, buffers, large
        super().__init__({"address": In(16), "data": In(64), "write": In(1), "o": Out(1)})

    def elaborate(self, platform):
        m = Module()
        results = []
        for width, depth in self.roms:
            words = [(0x9E3779B97F4A7C15F39CC0605CEDC834 * (index + 1) >> 7) % (1 << width) for index in range(depth)]
            m.submodules[f"rom_{width}_{depth}"] = memory = Rom(width=width, words=words)
            m.d.comb += memory.address.eq(self.address)
            results.append(memory.data)
        for width, depth in self.buffers:
            m.submodules[f"buffer_{width}_{depth}"] = memory = SimpleDualPortMemory(width=width, depth=depth)
            m.d.comb += [
                memory.read_address.eq(self.address), memory.write_address.eq(self.data),
                memory.write_data.eq(self.data), memory.write_enable.eq(self.write),
            ]
            results.append(memory.read_data)
        for width, depth in self.large:
            m.submodules[f"large_{width}_{depth}"] = memory = SinglePortMemory(width=width, depth=depth, style="huge")
            m.d.comb += [
                memory.address.eq(self.address), memory.write_data.eq(self.data), memory.write_enable.eq(self.write),
            ]
            results.append(memory.read_data)
        parity = Signal(len(results))
        m.d.sync += [parity[index].eq(result.xor()) for index, result in enumerate(results)]
        m.d.comb += self.o.eq(parity.xor())
        return m


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ice40", "ice40-hx8k", "ulx3s-25f", "tang-nano-9k", "tang-nano-20k", "gatemate-evb"])
def test_ram_count_is_what_yosys_takes(name, tmp_path):
    roms = [(16, 100), (16, 256), (10, 300), (40, 600), (20, 1100), (5, 8), (10, 1025)]
    buffers = [(48, 64), (16, 300), (3, 700), (8, 900), (19, 1253)]
    large = [(16, 470), (48, 350), (5, 3000)]
    part = BOARDS[name].part
    flow.write_rtlil(Memories(roms, buffers, large), tmp_path, "design")
    flow.synthesise(tmp_path, "design", part, log=tmp_path / "log")
    netlist = (tmp_path / "design.json").read_text()
    for kind, sizes in (("rom", roms), ("buffer", buffers), ("large", large)):
        for width, depth in sizes:
            cell = rf'"{kind}_{width}_{depth}\.memory[^"]*": {{\s*"hide_name": \d,\s*"type": "(\w+)"'
            # Logic behind a memory has its name too.
            cells = [found for found in re.findall(cell, netlist) if found in {*part.family.ram_cells, "SB_SPRAM256KA"}]
            if kind == "large" and part.large_rams:
                assert cells == ram_count(width, depth, LARGE_RAM_SHAPE) * ["SB_SPRAM256KA"], (kind, width, depth)
            else:
                count = block_ram_count(part.family, width, depth, written=kind != "rom")
                assert sum(part.family.ram_cells.get(cell, 0) for cell in cells) == count, (kind, width, depth, cells)


def test_large_memories_are_block_ram_where_there_is_no_other(large_cnn):
    program = compile_graph(large_cnn, Engine(12, 3, 16))
    on_up5k, on_hx8k = (memory_needs(program, BOARDS[name].part) for name in ("ice40", "ice40-hx8k"))
    assert [need.name for need in on_up5k] == [memory.name for memory in program.memories]
    for up5k, hx8k in zip(on_up5k, on_hx8k, strict=True):
        if up5k.name == "features":
            assert (up5k.block_rams, up5k.large_rams) == (0, 3)
            assert (hx8k.block_rams, hx8k.large_rams) == (3 * ram_count(16, hx8k.depth), 0)
        else:
            assert up5k == hx8k
        assert hx8k.bits_used <= hx8k.bits_allocated == 4096 * hx8k.block_rams


def test_features_and_image_where_there_is_room():
    """Wide banks: one of four fits the UP5K's large RAMs; the image goes there too where block RAM is short."""
    part = dataclasses.replace(BOARDS["ice40"].part, block_rams=60)
    program = compile_graph(random_cnn(3, (28, 28, 1), 8, (48, 48), pools=(1,), classes=4), Engine(6, 4, 48))
    assert memory_plan(program, part) == MemoryPlan(large_banks=1)
    features = [need for need in memory_needs(program, part) if need.name == "features"]
    assert [(need.copies, need.large_rams, need.block_rams) for need in features] == [
        (1, 3, 0), (3, 0, 3 * ram_count(48, program.feature_depth))]
    used = sum(need.block_rams for need in memory_needs(program, part))
    short = dataclasses.replace(part, block_rams=used - 1)
    assert memory_plan(program, short) == MemoryPlan(large_banks=1, large_image=True)
    (image,) = (need for need in memory_needs(program, short) if need.name == "input")
    assert (image.large_rams, image.block_rams) == (1, 0)
    assert memory_plan(program, BOARDS["ice40-hx8k"].part) == MemoryPlan(large_banks=4)


def test_estimate_adds_up(tiny_cnn):
    program, part = compile_graph(tiny_cnn, Engine(8, 1, 16)), BOARDS["ice40"].part
    needs, total = memory_needs(program, part), estimate(program, part)
    assert total.block_rams == sum(need.block_rams for need in needs)
    assert total.large_rams == sum(need.large_rams for need in needs) == 1


@pytest.mark.parametrize("larger", [Engine(16, 1, 16), Engine(8, 3, 16), Engine(8, 1, 32)])
def test_a_larger_array_takes_more_logic(tiny_cnn, larger):
    part = BOARDS["ice40"].part
    small = estimate(compile_graph(tiny_cnn, Engine(8, 1, 16)), part)
    assert estimate(compile_graph(tiny_cnn, larger), part).logic_cells > small.logic_cells


@pytest.mark.parametrize(("bits", "columns", "buffers", "on_ice40", "on_ecp5"), [
    # Pooled by 2, a group's windows touch 4 rows of 2 * columns + 2 pixels of 2 bits.
    (2, 1, 2, 2 * 32, 32), (2, 3, 2, 2 * 64, 64), (2, 3, 1, 64, 64),
    (1, 1, 2, 0, 0),  # a vector has no windows
])
def test_registers_of_windows(bits, columns, buffers, on_ice40, on_ecp5, tiny_cnn, tiny_mlp):
    program = compile_graph(tiny_cnn if bits > 1 else tiny_mlp, Engine(8, columns, 16, 1, buffers))
    assert (window_cells(program, ICE40), window_cells(program, ECP5)) == (on_ice40, on_ecp5)


def estimated(network, board, *array):
    board = BOARDS[board]
    program = compile_graph(zoo.load(network).graph, Engine(*array), shared_store=board.flash is not None)
    return estimate(program, board.part).logic_cells


def title(value):
    return " ".join(map(str, value)) if isinstance(value, tuple) else None


@pytest.mark.parametrize(("array", "cells"), CALIBRATION.arrays.items(), ids=title)
def test_formula_is_as_good_as_it_says(array, cells):
    assert abs(estimated(*array) / cells - 1) <= ERROR


@pytest.mark.parametrize(("array", "cells"), CALIBRATION.held_out.items(), ids=title)
def test_formula_holds_for_arrays_that_it_was_not_fitted_to(array, cells):
    assert abs(estimated(*array) / cells - 1) <= HELD_OUT_ERROR


def test_held_out_arrays_are_others():
    def shapes(arrays):
        return {(network, BOARDS[board].part.family, *shape) for network, board, *shape, _ in arrays}

    assert not shapes(ARRAYS) & shapes(HELD_OUT)


@pytest.mark.parametrize("rows", [CALIBRATION.arrays, CALIBRATION.held_out], ids=["fitted", "held out"])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_calibration_covers_every_family_and_all_kinds_of_network(family, rows):
    networks = {array[0] for array in rows if BOARDS[array[1]].part.family is family}
    assert {"cnn-fashion", "mlp-fashion", "resnet20-fashion"} <= networks


@pytest.mark.parametrize(("board", "stacked"), [
    # Weights of 49 x 3 x 8 words x 16 bits, as 256 words x 16 bits each; in an ECP5's RAM they go one beside the other.
    ("ice40", {"weights": 4, "features": 0}), ("ice40-hx8k", {"weights": 4, "features": 1}),
    ("ulx3s-25f", {"weights": 0, "features": 0}),
])
def test_bits_that_multiplexers_leave_out(board, stacked):
    memories = (MemoryUse("weights", "block", 16, 1176, 1, 0), MemoryUse("features", "large", 8, 300, 3, 0),
                MemoryUse("input", "block", 8, 200, 1, 0))
    program = SimpleNamespace(memories=memories, image=SimpleNamespace(flat=False))
    expected = 16 * stacked["weights"] + 3 * 8 * stacked["features"]
    assert multiplexed_bits(program, BOARDS[board].part) == expected


@pytest.mark.slow
def test_formula_against_a_new_synthesis():
    array = ("mlp-fashion", "ice40", 8, 1, 32, 4)
    assert array in CALIBRATION.arrays
    assert abs(estimated(*array) / measure(*array) - 1) <= ERROR


@pytest.mark.parametrize("board", ["ice40", "ulx3s-25f", "tang-nano-9k", "gatemate-evb"])
def test_no_estimate_is_below_the_least(board, tiny_cnn, tiny_mlp):
    for graph in (tiny_cnn, tiny_mlp):
        for shape in ((1, 1, 8), (8, 1, 16), (8, 3, 32)):
            needs = estimate(compile_graph(graph, Engine(*shape)), BOARDS[board].part)
            assert least_logic_cells(BOARDS[board].part.family, *shape) <= needs.logic_cells


def test_every_term_has_a_coefficient(tiny_mlp):
    terms = logic_terms(compile_graph(tiny_mlp, Engine(8, 1, 16)), BOARDS["ice40"].part)
    assert {len(values) for values in CALIBRATION.coefficients.values()} == {len(terms)}
    assert set(CALIBRATION.coefficients) == {family.name for family in FAMILIES}


@pytest.mark.slow
def test_memories_in_both_kinds_of_ram_are_what_yosys_takes(tiny_cnn, tmp_path):
    program = compile_graph(tiny_cnn, Engine(4, 2, 48))
    board = BOARDS["ice40"]
    used = estimate(program, board.part).block_rams
    part = dataclasses.replace(board.part, block_rams=used - 1)  # no room for the image
    assert memory_plan(program, part) == MemoryPlan(large_banks=1, large_image=True)
    flow.write_rtlil(BoardTop(program, dataclasses.replace(board, part=part)), tmp_path, "design")
    netlist = flow.synthesise(tmp_path, "design", part, log=tmp_path / "log")
    flow.check_memories(netlist, memory_needs(program, part), log=tmp_path / "log")
    assert netlist.large_rams == 4

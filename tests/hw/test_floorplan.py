"""Cells and blocks out of nextpnr's JSON."""

import json

import pytest

from hw.families import ECP5, GATEMATE, GOWIN, ICE40
from hw.report.floorplan import PlacedCell, block_of, read_floorplan

SUBMODULES = {
    "clocking", "serial", "serial.link", "serial.link.crc", "serial.accelerator", "serial.accelerator.array",
    "serial.accelerator.array.pe_2_1", "serial.accelerator.drain", "serial.accelerator.weights$7",
    "serial.accelerator.features",
}


@pytest.mark.parametrize(("name", "block"), [
    ("serial.accelerator.array.pe_2_1.count_SB_DFFE_Q_7_D_SB_LUT4_O_LC", "accelerator.array"),
    ("serial.accelerator.weights$7.memory.0.13_RAM", "accelerator.weights"),
    ("serial.accelerator.result_SB_DFF_Q_LC", "accelerator"),
    ("serial.accelerator.control.first_SB_DFF_Q_LC", "accelerator"),
    ("serial.link.crc.value_SB_DFF_Q_LC", "link"),
    ("clocking.waited_SB_DFFSR_Q_LC", "clocking"),
    ("leds_SB_DFF_Q_LC", "board"),
    ("leds[0]$sb_io", "board"),
    ("serial.tx$SB_IO_OUT", "board"),
    ("$auto$pass.cc:12$3.a.b", "board"),
])
def test_block_of(name, block):
    assert block_of(name, SUBMODULES) == block


def read(folder, cells, family=ICE40):
    """Read a floorplan of ``cells``: (name, type, site, has a register, {input: bit}, {output: bit})."""
    module = {"cells": {
        name: {
            "type": kind, "attributes": {"NEXTPNR_BEL": site} if site else {},
            "parameters": {"DFF_ENABLE": str(int(register))},
            "port_directions": dict.fromkeys(reads, "input") | dict.fromkeys(drives, "output"),
            "connections": {port: [bit] for port, bit in (reads | drives).items()},
        }
        for name, kind, site, register, reads, drives in cells
    }}
    scopes = {name: {"type": "$scopeinfo"} for name in SUBMODULES}
    (folder / "placed.json").write_text(json.dumps({"modules": {"design": module}}))
    modules = {"SB_LUT4": {"cells": {}}, "design": {"cells": scopes}}
    (folder / "netlist.json").write_text(json.dumps({"modules": modules}))
    return read_floorplan(folder / "placed.json", folder / "netlist.json", family)


def test_sites(tmp_path):
    assert read(tmp_path, [
        ("serial.link.byte_SB_DFF_Q_LC", "ICESTORM_LC", "X3/Y17/lc5", True, {}, {"O": 7}),
        ("serial.accelerator.weights$7.memory.0.1_RAM", "ICESTORM_RAM", "X6/Y9/ram", False, {}, {}),
        ("serial.accelerator.features.bank_2.memory.0.0", "ICESTORM_SPRAM", "X25/Y0/spram_3", False, {}, {}),
        ("clocking.pll_PLL", "ICESTORM_PLL", "X12/Y31/pll_3", False, {}, {}),
        ("rx$sb_io", "SB_IO", "X9/Y0/io1", False, {}, {}),
        ("$gbuf_clk", "SB_GB", "X0/Y16/gb", False, {}, {}),
        ("unplaced", "ICESTORM_LC", None, False, {}, {}),
    ]) == [
        PlacedCell("logic cell", "link", 3, 17, 5),
        PlacedCell("block RAM", "accelerator.weights", 6, 9, 0),
        PlacedCell("large RAM", "accelerator.features", 25, 0, 3),
        PlacedCell("PLL", "clocking", 12, 31, 3),
        PlacedCell("pin", "board", 9, 0, 1),
    ]


def test_sites_of_the_ecp5(tmp_path):
    assert read(tmp_path, [
        ("serial.link.sum_LUT4_Z", "TRELLIS_COMB", "X3/Y17/SLICEC.K1", False, {}, {"F": 7}),
        ("serial.link.byte_TRELLIS_FF_Q", "TRELLIS_FF", "X3/Y17/SLICEC.FF1", False, {"DI": 7}, {"Q": 8}),
        ("serial.accelerator.weights$7.memory.0.1", "DP16KD", "X28/Y25/EBR3", False, {}, {}),
        ("serial.accelerator.array.product", "MULT18X18D", "X6/Y13/MULT18_1", False, {}, {}),
        ("clocking.pll", "EHXPLLL", "X2/Y49/EHXPLL_LL", False, {}, {}),
        ("rx$tr_io", "TRELLIS_IO", "X0/Y44/PIOB", False, {}, {}),
        ("$gbuf$clk", "DCCA", "X3/Y25/LDCC3", False, {}, {}),
    ], ECP5) == [
        PlacedCell("logic cell", "link", 3, 17, 5),
        PlacedCell("block RAM", "accelerator.weights", 28, 25, 3),
        PlacedCell("multiplier", "accelerator.array", 6, 13, 1),
        PlacedCell("PLL", "clocking", 2, 49, 0),
        PlacedCell("pin", "board", 0, 44, 1),
    ]


def test_sites_of_gowin(tmp_path):
    assert read(tmp_path, [
        ("serial.link.sum_LUT4_F", "LUT4", "X3Y17/LUT5", False, {}, {"F": 7}),
        ("serial.link.byte_DFFRE_Q", "DFFRE", "X3Y17/DFF5", False, {"D": 7}, {"Q": 8}),
        ("serial.link.carry_ALU_SUM", "ALU", "X2Y2/ALU3", False, {}, {"SUM": 9}),
        ("serial.link.wide_MUX2_LUT5_O", "MUX2_LUT5", "X8Y17/MUX6", False, {"I0": 9}, {"O": 10}),
        ("serial.accelerator.weights$7.memory.0.1", "SP", "X4Y27/BSRAM", False, {"AD0": 10}, {}),
        ("serial.accelerator.array.product", "MULT9X9", "X19Y18/MULT9X900", False, {}, {}),
        ("clocking.pll", "rPLL", "X46Y9/PLL", False, {}, {}),
        ("rx_IBUF_O", "IBUF", "X1Y28/IOBB", False, {}, {}),
        ("$PACKER_GND_DRV", "GOWIN_GND", "X0Y0/GND", False, {}, {}),
    ], GOWIN) == [
        PlacedCell("logic cell", "link", 3, 17, 5),
        PlacedCell("logic cell", "accelerator.weights", 2, 2, 3),
        PlacedCell("block RAM", "accelerator.weights", 4, 27, 0),
        PlacedCell("multiplier", "accelerator.array", 19, 18, 900),
        PlacedCell("PLL", "clocking", 46, 9, 0),
        PlacedCell("pin", "board", 1, 28, 1),
    ]


def test_sites_of_the_gatemate(tmp_path):
    assert read(tmp_path, [
        ("$abc$1$blif$2", "CPE_L2T4", "X141Y73/CPE_LT_L", False, {}, {"OUT": 7}),
        ("$abc$1$blif$3", "CPE_L2T5", "X88Y93/CPE_LT_U", False, {"IN1": 7}, {"OUT": 8}),
        ("serial.link.byte_CC_DFF_Q", "CPE_FF", "X88Y93/CPE_FF_U", False, {"DIN": 8}, {"DOUT": 9}),
        ("$auto$1$addf_i", "CPE_ADDF2", "X104Y76/CPE_LT_FULL", False, {}, {"OUT1": 10}),
        ("serial.accelerator.weights$7.memory.0.1$full", "RAM", "X99Y67/RAM", False, {"A": 10}, {}),
        # Two halves that nextpnr merged: the cells that take its data to the logic still have the first one's name.
        ("$ram$merged$id3", "RAM", "X99Y83/RAM", False, {}, {"DO": 11}),
        ("serial.accelerator.weights$7.memory.0.2$DOA[0]_rami", "CPE_RAMI", "X98Y83/CPE_RAMIO_L", False, {"I": 11}, {}),
        ("clocking.pll", "PLL", "X33Y131/PLL1", False, {}, {}),
        ("rx", "CPE_IBUF", "X165Y75/GPIO", False, {}, {}),
    ], GATEMATE) == [
        PlacedCell("logic cell", "link", 141, 73, 0),
        PlacedCell("logic cell", "link", 88, 93, 1),
        # An adder of two bits takes both halves.
        PlacedCell("logic cell", "accelerator.weights", 104, 76, 0),
        PlacedCell("logic cell", "accelerator.weights", 104, 76, 1),
        PlacedCell("block RAM", "accelerator.weights", 99, 67, 0),
        PlacedCell("block RAM", "accelerator.weights", 99, 83, 0),
        PlacedCell("PLL", "clocking", 33, 131, 1),
        PlacedCell("pin", "board", 165, 75, 0),
    ]


def test_a_sum_belongs_to_what_reads_it_and_not_to_the_rest_of_its_carries(tmp_path):
    found = read(tmp_path, [
        ("a$CCU2_COMB0", "TRELLIS_COMB", "X1/Y1/SLICEA.K0", False, {}, {"FCO": 1, "F": 2}),
        ("$nextpnr_CCU2C_0$CCU2_COMB0", "TRELLIS_COMB", "X1/Y1/SLICEA.K1", False, {"FCI": 1}, {"F": 3}),
        ("serial.link.byte_TRELLIS_FF_Q", "TRELLIS_FF", "X1/Y1/SLICEA.FF0", False, {"DI": 2}, {"Q": 4}),
    ], ECP5)
    assert [cell.block for cell in found] == ["link", "board"]


def test_lookup_tables_belong_to_what_they_feed(tmp_path):
    lut = ("ICESTORM_LC", "X4/Y4/lc0", False)
    found = read(tmp_path, [
        ("serial.accelerator.weights$7.memory.0.1_RAM", "ICESTORM_RAM", "X6/Y9/ram", False, {}, {"RDATA_0": 1}),
        ("serial.accelerator.weights$7.memory.0.1_RDATA_SB_LUT4_I1_LC", *lut, {"I1": 1}, {"O": 2}),
        ("serial.accelerator.weights$7.memory.0.1_RDATA_SB_LUT4_I2_LC", *lut, {"I2": 2}, {"O": 3}),
        ("serial.accelerator.array.count_LC", "ICESTORM_LC", "X4/Y4/lc1", True, {"I0": 3}, {"O": 4}),
        # Feeds nothing: its own name is all there is.
        ("serial.accelerator.drain.carry_LC", *lut, {"I0": 4}, {"O": 5}),
        # Two that feed each other.
        ("serial.link.one_LC", *lut, {"I0": 7}, {"O": 6}),
        ("serial.link.two_LC", *lut, {"I0": 6}, {"O": 7}),
        ("$nextpnr_ICESTORM_LC_0", *lut, {"I1": 4}, {"COUT": 8}),
        ("serial.link.sum_LC", "ICESTORM_LC", "X4/Y5/lc1", True, {"CIN": 8}, {"O": 9}),
    ])
    assert [cell.block for cell in found] == [
        "accelerator.weights", *3 * ["accelerator.array"], "accelerator.drain", *4 * ["link"],
    ]

"""The contents of block RAM in the formats of the tools, against examples that are written out."""

import json
import re

import numpy as np
import pytest

from hw.families import ECP5, ICE40
from hw.ram_contents import CODECS, find_blocks, read_blocks, write_blocks, write_parameters

BITS = {family: np.random.default_rng(family.ram_bits).integers(0, 2, family.ram_bits, dtype=np.uint8)
        for family in (ICE40, ECP5)}
HEADINGS = {ICE40: (".ram_data 6 19", ".ram_data 19 6"), ECP5: (".bram_init 3", ".bram_init 30")}


def configuration(family, *contents):
    """As nextpnr writes it, with something around the RAMs."""
    blocks = ["\n".join([heading, *CODECS[family].lines(bits), "", ""])
              for heading, bits in zip(HEADINGS[family], contents)]
    return ".comment before\n" + "".join(blocks) + ".sym 5 after\n"


@pytest.mark.parametrize(("family", "bit", "line", "text", "parameter", "place"), [
    # Bit 1 of the first row is column 8: the lowest four bits of its number are reversed.
    (ICE40, 1, 0, "0" * 61 + "100", "INIT_0", 8),
    (ICE40, 256 * 10 + 17, 10, "0" * 57 + "1000000", "INIT_A", 24),
    (ICE40, 4095, 15, "8" + "0" * 63, "INIT_F", 255),
    # Bit 9 is the first of the second word of nine; bit 18 the first of the third, behind two that are not used.
    (ECP5, 9, 0, "000 001 000 000 000 000 000 000", "INITVAL_00", 9),
    (ECP5, 18, 0, "000 000 001 000 000 000 000 000", "INITVAL_00", 20),
    (ECP5, 18431, 255, "000 000 000 000 000 000 000 100", "INITVAL_3F", 317),
])
def test_one_bit(family, bit, line, text, parameter, place):
    bits = np.zeros(family.ram_bits, np.uint8)
    bits[bit] = 1
    codec = CODECS[family]
    lines = codec.lines(bits)
    assert lines[line] == text
    assert not re.search("[1-9a-f]", "".join(lines[:line] + lines[line + 1:]))
    np.testing.assert_array_equal(codec.bits(lines), bits)
    found = codec.parameters(bits)
    assert found[parameter][::-1].index("1") == place
    assert "".join(found.values()).count("1") == 1
    assert all(re.fullmatch(codec.parameter, name) for name in found)
    assert set(map(len, found.values())) == {256 if family is ICE40 else 320}


@pytest.mark.parametrize("family", [ICE40, ECP5])
def test_blocks_of_a_configuration(family):
    codec, bits = CODECS[family], BITS[family]
    text = configuration(family, bits, 1 - bits)
    first, second = HEADINGS[family]
    blocks = read_blocks(text, codec)
    assert list(blocks) == [first, second]
    np.testing.assert_array_equal(blocks[first], bits)
    np.testing.assert_array_equal(blocks[second], 1 - bits)
    assert write_blocks(text, {second: bits}, codec) == configuration(family, bits, bits)
    assert write_blocks(text, {}, codec) == text


@pytest.mark.parametrize("family", [ICE40, ECP5])
def test_parameters_of_a_netlist(family):
    codec, bits = CODECS[family], BITS[family]

    def netlist(one, two):
        cells = {
            name: {"type": "RAM", "parameters": {"A": "1", **codec.parameters(value), "Z": "0"},
                   "connections": {"INIT_0": [1]}}
            for name, value in (("rom.memory.0.1", one), ("rom.memory.0.10", two))
        }
        # A net may have a cell's name.
        return json.dumps({"cells": cells, "netnames": {"rom.memory.0.1": {"bits": [2]}}}, indent=2) + "\n"

    assert write_parameters(netlist(bits, bits), {"rom.memory.0.1": 1 - bits}, codec) == netlist(1 - bits, bits)
    assert write_parameters(netlist(bits, bits), {"rom.memory.0.10": 1 - bits}, codec) == netlist(bits, 1 - bits)
    assert write_parameters(netlist(bits, bits), {}, codec) == netlist(bits, bits)


def placed(**bels):
    cells = {name: {"attributes": {"NEXTPNR_BEL": bel}} for name, bel in bels.items()}
    return json.dumps({"modules": {"top": {"cells": cells}}})


def test_places():
    netlist = placed(a_RAM="X6/Y19/ram", b_RAM="X19/Y6/ram")
    assert find_blocks(["b", "a"], netlist, "", CODECS[ICE40]) == {"b": ".ram_data 19 6", "a": ".ram_data 6 19"}
    # The numbers of the blocks are written lowest bit first.
    text = ("\n.tile_group MIB_R25C42:MIB_EBR0 MIB_R25C43:MIB_EBR1\nword: EBR0.WID 001101000\n"
            "\n.tile_group MIB_R25C46:MIB_EBR4 MIB_R25C47:MIB_EBR5\nword: EBR2.WID 110000000\n")
    netlist = placed(a="X46/Y25/EBR2", b="X42/Y25/EBR0")
    assert find_blocks(["a", "b"], netlist, text, CODECS[ECP5]) == {"a": ".bram_init 3", "b": ".bram_init 44"}


@pytest.mark.parametrize("family", [ICE40, ECP5])
def test_cell_that_is_not_placed(family):
    with pytest.raises(KeyError, match="rom"):
        find_blocks(["rom"], placed(), "", CODECS[family])

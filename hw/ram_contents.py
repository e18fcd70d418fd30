"""The contents of block RAM in what the tools write: Yosys's and nextpnr's netlists, and nextpnr's configuration.

Contents are arrays of ``family.ram_bits`` bits in the order of Yosys's libraries, as ``hw.rom_mapping`` gives them. A
block of RAM in a configuration is known by its heading there, as ``.ram_data 19 3``.
"""

import json
import re
from abc import ABC, abstractmethod

import numpy as np

from .families import ECP5, ICE40

__all__ = ["CODECS", "RamCodec", "find_blocks", "read_blocks", "write_blocks", "write_parameters"]


class RamCodec(ABC):
    """How a family's tools write the contents of a block RAM.

    ``parameter`` is the pattern of the cell's parameters with contents, ``suffix`` what nextpnr appends to its name;
    ``block`` matches a block in a configuration, its heading and its lines.
    """

    parameter: str
    suffix = ""
    block: str

    @abstractmethod
    def parameters(self, bits):
        """Return the values of the cell's parameters by name, as binary digits."""

    @abstractmethod
    def lines(self, bits):
        """Return the lines below the heading in a configuration."""

    @abstractmethod
    def bits(self, lines):
        """Return the contents; the inverse of ``lines``."""

    @abstractmethod
    def headings(self, bels, configuration):
        """Return the heading of each cell, given nextpnr's place of it, both by name."""


class _Ice40(RamCodec):
    """16 rows of 256 bits; the lowest four bits of a column's number are in Yosys's order from the highest on."""

    parameter = r"INIT_[0-9A-F]"
    suffix = "_RAM"
    block = r"^(\.ram_data \d+ \d+)\n((?:[0-9a-f]{64}\n){16})"

    #: Yosys's place of each bit of a row.
    _ORDER = np.array([column & 0xF0 | int(f"{column & 15:04b}"[::-1], 2) for column in range(256)])

    def parameters(self, bits):
        return {f"INIT_{row:X}": _digits(values) for row, values in enumerate(self._rows(bits))}

    def lines(self, bits):
        return [f"{int(_digits(values), 2):064x}" for values in self._rows(bits)]

    def bits(self, lines):
        rows = np.array([_values(f"{int(line, 16):0256b}") for line in lines])
        return rows[:, self._ORDER].reshape(-1)

    def headings(self, bels, configuration):
        return {name: ".ram_data {} {}".format(*re.match(r"X(\d+)/Y(\d+)/ram$", bel).groups())
                for name, bel in bels.items()}

    def _rows(self, bits):
        # The order is its own inverse.
        return bits.reshape(16, 256)[:, self._ORDER]


class _Ecp5(RamCodec):
    """Words of nine bits; in parameters, two of them take 20 bits."""

    parameter = r"INITVAL_[0-9A-F]{2}"
    block = r"^(\.bram_init \d+)\n((?:(?:[0-9a-f]{3} ?){8}\n){256})"

    #: The number of a RAM's block, first bit first, below the tiles in which the RAM is, the first of them first.
    _NUMBER = re.compile(r"^\.tile_group MIB_R(\d+)C(\d+):.*\nword: (EBR\d)\.WID ([01]{9})$", re.MULTILINE)

    def parameters(self, bits):
        pairs = np.pad(bits.reshape(64, 16, 18), ((0, 0), (0, 0), (0, 2)))
        return {f"INITVAL_{row:02X}": _digits(values) for row, values in enumerate(pairs.reshape(64, 320))}

    def lines(self, bits):
        words = [f"{word:03x}" for word in bits.reshape(2048, 9) @ (1 << np.arange(9))]
        return [" ".join(words[start:start + 8]) for start in range(0, 2048, 8)]

    def bits(self, lines):
        words = np.array([int(word, 16) for line in lines for word in line.split()])
        return (words[:, None] >> np.arange(9) & 1).astype(np.uint8).reshape(-1)

    def headings(self, bels, configuration):
        numbers = {
            f"X{column}/Y{row}/{site}": int(number[::-1], 2)
            for row, column, site, number in self._NUMBER.findall(configuration)
        }
        return {name: f".bram_init {numbers[bel]}" for name, bel in bels.items()}


#: Of each family.
CODECS = {ICE40: _Ice40(), ECP5: _Ecp5()}


def _digits(bits):
    """Bits, lowest first, as a binary number."""
    return (bits[::-1] + ord("0")).astype(np.uint8).tobytes().decode()


def _values(digits):
    """The inverse of ``_digits``."""
    return np.frombuffer(digits.encode(), np.uint8)[::-1] - ord("0")


def find_blocks(names, placed, configuration, codec):
    """Return the heading in ``configuration`` of the RAM of each cell in ``names``, which are those before placement.

    ``placed`` is nextpnr's netlist as text. Raises ``KeyError`` for a cell that is not there.
    """
    (module,) = json.loads(placed)["modules"].values()
    bels = {name: module["cells"][name + codec.suffix]["attributes"]["NEXTPNR_BEL"] for name in names}
    return codec.headings(bels, configuration)


def read_blocks(configuration, codec):
    """Return the contents of every block RAM in a configuration, by heading."""
    return {
        heading: codec.bits(lines.splitlines())
        for heading, lines in re.findall(codec.block, configuration, re.MULTILINE)
    }


def write_blocks(configuration, contents, codec):
    """Return a configuration with other ``contents``, by heading, in the block RAMs that are named there."""
    def replaced(match):
        bits = contents.get(match[1])
        return match[0] if bits is None else "\n".join([match[1], *codec.lines(bits), ""])

    return re.sub(codec.block, replaced, configuration, flags=re.MULTILINE)


def write_parameters(netlist, contents, codec):
    """Return a netlist (JSON of Yosys or nextpnr) with other ``contents``, by the cell's name there.

    Nothing else in the text changes.
    """
    line = re.compile(rf'( +"({codec.parameter})": )"[^"]*"(,?)$')
    lines = netlist.split("\n")
    parameters = None
    for number, text in enumerate(lines):
        if text.endswith("{"):
            name = text.strip()[1:-4]
            if name in contents:
                parameters = codec.parameters(contents[name])
            elif name == "connections":
                parameters = None
        elif parameters is not None and (match := line.match(text)):
            lines[number] = f'{match[1]}"{parameters[match[2]]}"{match[3]}'
    return "\n".join(lines)

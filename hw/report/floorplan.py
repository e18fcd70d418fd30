"""Where nextpnr put each cell, and to which block of the design the cell belongs."""

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PlacedCell", "block_of", "read_floorplan"]

#: The outputs that are carries.
CARRIES = ("COUT", "FCO")

@dataclass(frozen=True)
class PlacedCell:
    """A cell of ``kind`` (of a family's ``placed``) on site ``slot`` of tile ``(x, y)``; ``block`` names its owner."""

    kind: str
    block: str
    x: int
    y: int
    slot: int


def read_floorplan(placed, netlist, family):
    """Return the ``PlacedCell`` of every cell in nextpnr's JSON at ``placed``, in its order; of every site if several.

    ``netlist`` is Yosys's JSON, which still knows the design's submodules; the part is of ``family``.
    """
    (module,) = json.loads(Path(placed).read_text())["modules"].values()
    owners = _Owners(module["cells"], _submodules(json.loads(Path(netlist).read_text())),
                     family.anonymous)
    return [
        PlacedCell(family.placed[cell["type"]], owners.block(name), *place)
        for name, cell in module["cells"].items() if cell["type"] in family.placed
        for place in family.sites(cell["attributes"].get("NEXTPNR_BEL", ""))
    ]


def _submodules(netlist):
    """Every submodule's path in the hierarchy that Yosys flattened."""
    return {
        name for module in netlist["modules"].values() for name, cell in module["cells"].items()
        if cell["type"] == "$scopeinfo"
    }


def block_of(name, submodules):
    """Return the block that a cell called ``name`` belongs to, given the paths of all ``submodules``.

    A block is a submodule of ``hw.board_top.SerialAccelerator`` or of the accelerator in it; what is in no submodule is
    ``"board"``.
    """
    levels = name.split(".")
    while levels and ".".join(levels) not in submodules:
        del levels[-1]
    # Amaranth appends a number where a submodule has the name of a signal.
    levels = [level.split("$")[0] for level in levels]
    if levels[:1] == ["serial"]:
        del levels[0]
    return ".".join(levels[:2 if levels[:1] == ["accelerator"] else 1]) or "board"


class _Owners:
    """The blocks of a netlist's cells.

    A register keeps its name through synthesis, a lookup table does not: it belongs to the block of what it feeds.
    """

    def __init__(self, cells, submodules, anonymous):
        self._anonymous = anonymous
        self._cells = cells
        self._submodules = submodules
        self._blocks = {}
        self._readers = {}
        for name, cell in cells.items():
            for bit in _bits(cell, "input"):
                self._readers.setdefault(bit, []).append(name)

    def block(self, name):
        """The block of the cell called ``name``."""
        chain = []
        while name not in self._blocks:
            cell = self._cells[name]
            chain.append(name)
            readers = [reader for bit in _bits(cell, "output") for reader in self._readers.get(bit, ())]
            following = next((reader for reader in readers if reader not in chain), None)
            if self._keeps_its_name(name, cell) or following is None:
                self._blocks[name] = block_of(name, self._submodules)
            else:
                name = following
        for cell in chain:
            self._blocks[cell] = self._blocks[name]
        return self._blocks[name]

    def _keeps_its_name(self, name, cell):
        # On the iCE40 a register shares the cell of a lookup table, which then has the register's name.
        has_register = int(cell["parameters"].get("DFF_ENABLE", "0"), 2) == 1
        # A name that a tool gave says nothing: two RAMs that nextpnr merged have one.
        return has_register or not (name.startswith("$") or cell["type"].startswith(self._anonymous))


def _bits(cell, direction):
    # A carry last: what it feeds is the next cell of a chain, which may end in one that nextpnr added.
    for port, bits in sorted(cell["connections"].items(), key=lambda item: item[0] in CARRIES):
        if cell["port_directions"][port] == direction:
            yield from bits

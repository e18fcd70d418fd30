"""The GateMate parts of Cologne Chip: Yosys, nextpnr-himbaechel and gmpack of Peppercorn."""

import re

from ..pll.gatemate import gatemate_settings
from .family import Family, RamShape, numbered_site

__all__ = ["GATEMATE"]

#: Half of a tile's logic, or all of it.
LOGIC = re.compile(r"(X\d+Y\d+/CPE_LT_)([ULF])")
HALVES = {"L": (0,), "U": (1,), "F": (0, 1)}


def _synthesis(part, name, multipliers):
    # The part has no multipliers but those that its logic makes: products are treated like any other logic.
    return [
        f"synth_gatemate -luttree -nomult -top {name} -run begin:vlog",
        # Registers get their names back, and the hierarchy stays: both go where the command writes files itself.
        "autoname",
    ]


def _pin_lines(pins, pull_ups, low_voltage, clock, clock_mhz):
    # As with Gowin, the clock behind the PLL has the frequency of nextpnr's --freq.
    return [f'NET "{port}" Loc = "{pin}"{" | PULLUP=true" if port in pull_ups else ""};' for port, pin in pins.items()]


def _netlist_arguments(board, name):
    return ["--device", board.part.nextpnr, "--json", f"{name}.json", "--vopt", f"ccf={name}.ccf"]


def _sites(bel):
    match = LOGIC.match(bel)
    if not match:
        return numbered_site(bel)
    ((x, y, _),) = numbered_site(match[1])
    return tuple((x, y, slot) for slot in HALVES[match[2]])


def _shapes():
    """A block RAM is half of a cell of 40 Kbit, which Yosys takes where it needs two halves for one word."""
    for width, depth in ((1, 16384), (2, 8192), (5, 4096), (10, 2048), (20, 1024), (40, 512)):
        yield RamShape(width, depth, 1, 129)
        yield RamShape(width, 2 * depth, 2, 257)
        if width <= 5:
            yield RamShape(width, 4 * depth, 4, 513)
    yield RamShape(80, 512, 2, 257)


#: A logic cell is half of a CPE: a tree of LUTs with four inputs, or half of an adder's two bits.
GATEMATE = Family(
    name="GateMate", nextpnr="yowasp-nextpnr-himbaechel-gatemate", packer="yowasp-gmpack", extra="gatemate",
    constraints="ccf", configuration="txt", bitstream="bit", routers=("router2", "router1"), placement_seconds=1800,
    synthesis=_synthesis, pin_lines=_pin_lines, netlist_arguments=_netlist_arguments,
    result_arguments=lambda name: ["--vopt", f"out={name}.txt"],
    pack_arguments=lambda board, name: [f"{name}.txt", f"{name}.bit"],
    pll_settings=gatemate_settings,
    ram_cells={"CC_BRAM_20K": 1, "CC_BRAM_40K": 2}, ram_bits=20480,
    ram_shapes=tuple(sorted(_shapes(), key=lambda shape: (shape.width, shape.depth))), ram_byte=1, ram_tiles=(3, 8),
    tile_cells=(1, 2),
    cells={
        "CPE_LT": "logic_cells", "CPE_FF": "flip_flops", "RAM_HALF": "block_rams", "PLL": "plls",
        "GLBOUT": "global_buffers", "GPIO": "pins",
    },
    placed={
        "CPE_L2T4": "logic cell", "CPE_L2T5": "logic cell", "CPE_ADDF": "logic cell", "CPE_ADDF2": "logic cell",
        "CPE_MX4": "logic cell", "CPE_MULT": "logic cell", "RAM": "block RAM", "RAM_HALF": "block RAM", "PLL": "PLL",
        "CPE_IBUF": "pin", "CPE_OBUF": "pin",
    },
    sites=_sites, anonymous=("CPE_L2T", "CPE_ADDF", "CPE_MX", "CPE_MULT", "CPE_BRIDGE", "CPE_CPLINES"),
    logic_share=0.7,
)

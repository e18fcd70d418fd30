"""What a part could do at most: by its logic, by the ports of its memory, and by the clock."""

from dataclasses import dataclass

__all__ = ["STRUCTURES", "Roof", "Structure", "roof_of"]

#: Share of a part's logic cells that an array can take.
LOGIC_SHARE = 0.8


@dataclass(frozen=True)
class Structure:
    """The best array that was measured alone on a part: logic cells a synapse, and its clock in MHz."""

    cells_per_synapse: float
    clock_mhz: float


#: By part, measured with Yosys 0.70 and nextpnr 0.11.1 before this project's arrays were made: PEs of 63 lanes with
#: popcounts in carry chains, weights in block RAM, and nothing around them. UP5K: 7 x 3 PEs, a register behind every
#: adder level, 84 % of the part, mean of two seeds; HX8K: 8 x 4, behind every other level, 77 %, mean of three;
#: LFE5U-25F: 8 x 2, behind every level and behind the block RAMs, 10 %, one seed.
STRUCTURES = {
    "iCE40UP5K": Structure(3.35, 72.5),
    "iCE40HX8K": Structure(2.94, 130.9),
    "LFE5U-25F": Structure(2.46, 122.0),
}


@dataclass(frozen=True)
class Roof:
    """A part's limits: synapses a cycle by logic, weight bits a cycle by block RAM ports, and the clock in MHz.

    ``synapses`` and ``clock_mhz`` are ``None`` where no array was measured on the part.
    """

    synapses: float | None
    port_bits: int
    clock_mhz: float | None

    def gops(self, columns):
        """Binary operations a nanosecond of an array whose weight words ``columns`` pixels share."""
        if self.synapses is None:
            return None
        return 2e-3 * min(self.synapses, self.port_bits * columns) * self.clock_mhz


def roof_of(part):
    """Return the ``Roof`` of a ``hw.boards.Part``."""
    widest = max(shape.width // shape.blocks for shape in part.family.ram_shapes)
    structure = STRUCTURES.get(part.name)
    if structure is None:
        return Roof(None, part.block_rams * widest, None)
    return Roof(LOGIC_SHARE * part.logic_cells / structure.cells_per_synapse, part.block_rams * widest,
                structure.clock_mhz)

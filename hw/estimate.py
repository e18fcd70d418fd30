"""What a program needs of a part, before synthesis: RAM blocks exactly, logic cells from a calibrated formula."""

from dataclasses import dataclass

from .boards import LARGE_RAM_SHAPE

__all__ = ["CALIBRATION", "ERROR", "MemoryNeed", "Resources", "estimate", "logic_terms", "memory_needs", "ram_count"]

#: Builds that the formula was fitted to: network of the zoo, board, rows, columns, lanes, drain, and the logic cells
#: after packing. ``python -m hw.build.calibrate`` measures them again.
CALIBRATION = (
    ("cnn-fashion", "ice40", 12, 3, 16, 2, 4740),
    ("cnn-fashion", "ice40", 8, 3, 48, 1, 5976),
    ("cnn-fashion", "ice40", 8, 1, 32, 1, 2535),
    ("cnn-fashion", "ice40", 4, 5, 16, 1, 4153),
    ("cnn-fashion", "ice40", 16, 3, 16, 2, 5625),
    ("cnn-fashion", "ice40", 6, 3, 32, 1, 4571),
    ("cnn-fashion", "ice40-hx8k", 6, 3, 48, 1, 5016),
    ("cnn-fashion", "ice40-hx8k", 24, 1, 16, 2, 3472),
    ("mlp-fashion", "ice40", 8, 1, 32, 4, 1826),
    ("mlp-fashion", "ice40", 16, 1, 24, 4, 2307),
    ("mlp-fashion", "ice40", 32, 1, 8, 4, 2446),
    ("mlp-fashion", "ice40-hx8k", 22, 1, 16, 2, 2401),
)

#: Logic cells of each unit of ``logic_terms``: the least squares of the relative errors on ``CALIBRATION``.
COEFFICIENTS = (668.28, 788.70, 1.469, 3.794, 10.452, 5.574)

#: No build of ``CALIBRATION`` is further from the formula than this share of its logic cells. Fitted to all but one of
#: them, the formula was up to 13 % off on that one: a shape unlike these may be so too.
ERROR = 0.06

#: Widest word and words of a block RAM in that width.
BLOCK_RAM_SHAPE = (16, 256)


@dataclass(frozen=True)
class MemoryNeed:
    """The RAMs that one of a program's memories takes; ``bits_used`` of their ``bits_allocated`` hold contents."""

    name: str
    width: int
    depth: int
    copies: int
    block_rams: int
    large_rams: int
    bits_used: int
    bits_allocated: int


@dataclass(frozen=True)
class Resources:
    """Cells of a part, in the units of ``hw.boards.Part``."""

    logic_cells: int
    block_rams: int
    large_rams: int


def ram_count(width, depth, shape=BLOCK_RAM_SHAPE):
    """RAMs of ``shape`` (width, depth) in which Yosys puts a memory of ``width`` bits x ``depth`` words.

    Words that lie a whole RAM's depth apart share a physical word, so only the total of their widths is rounded up.
    """
    return -(-(-(-depth // shape[1]) * width) // shape[0])


def memory_needs(program, part):
    """Return the ``MemoryNeed`` of each of the program's memories on ``part``."""
    needs = []
    for memory in program.memories:
        large = memory.kind == "large" and part.large_rams > 0
        shape = LARGE_RAM_SHAPE if large else BLOCK_RAM_SHAPE
        count = memory.copies * ram_count(memory.width, memory.depth, shape)
        needs.append(MemoryNeed(
            memory.name, memory.width, memory.depth, memory.copies, 0 if large else count, count if large else 0,
            memory.bits_used, count * shape[0] * shape[1],
        ))
    return tuple(needs)


def estimate(program, part):
    """Return the ``Resources`` that ``program`` with its serial link needs on ``part``."""
    needs = memory_needs(program, part)
    return Resources(
        round(sum(count * cells for count, cells in zip(logic_terms(program), COEFFICIENTS, strict=True))),
        sum(need.block_rams for need in needs), sum(need.large_rams for need in needs),
    )


def logic_terms(program):
    """What a design's logic cells are proportional to.

    In order: one for each design, one for an input unit that forms windows, the array's synapses, the bits of its
    accumulators, the bits of its activations, and the bits that leave the drain register in a cycle.
    """
    engine = program.engine
    return (
        1, int(not program.image.flat), engine.synapses_per_cycle, engine.rows * engine.columns * program.sum_width,
        engine.columns * engine.lanes, engine.columns * engine.drain * program.threshold_width,
    )


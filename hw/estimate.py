"""What a program needs of a part, before synthesis: RAM blocks exactly, logic cells from a calibrated formula."""

from dataclasses import dataclass, replace

from sw.folding import window_patch

from .boards import LARGE_RAM_SHAPE
from .families import ECP5, GATEMATE, GOWIN, ICE40
from .memory_plan import MemoryPlan

__all__ = [
    "CALIBRATION", "ERROR", "MemoryNeed", "Resources", "block_ram_count", "estimate", "logic_terms", "memory_needs",
    "memory_plan", "ram_count", "window_cells",
]

#: Builds that the formula was fitted to: network of the zoo, board, rows, columns, lanes, drain, and the logic cells
#: after packing. ``python -m hw.build.calibrate`` measures them again: all but the first of the MLP on the iCE40 are
#: from before popcounts in carry chains, which take fewer.
CALIBRATION = (
    ("cnn-fashion", "ice40", 12, 3, 16, 2, 4740),
    ("cnn-fashion", "ice40", 8, 3, 48, 1, 5976),
    ("cnn-fashion", "ice40", 8, 1, 32, 1, 2535),
    ("cnn-fashion", "ice40", 4, 5, 16, 1, 4153),
    ("cnn-fashion", "ice40", 16, 3, 16, 2, 5625),
    ("cnn-fashion", "ice40", 6, 3, 32, 1, 4571),
    ("cnn-fashion", "ice40-hx8k", 6, 3, 48, 1, 5016),
    ("cnn-fashion", "ice40-hx8k", 24, 1, 16, 2, 3472),
    ("mlp-fashion", "ice40", 8, 1, 32, 4, 1736),
    ("mlp-fashion", "ice40", 16, 1, 24, 4, 2307),
    ("mlp-fashion", "ice40", 32, 1, 8, 4, 2446),
    ("mlp-fashion", "ice40-hx8k", 22, 1, 16, 2, 2401),
    ("cnn-fashion", "ulx3s-25f", 8, 3, 48, 1, 5951),
    ("cnn-fashion", "ulx3s-25f", 12, 3, 16, 2, 4867),
    ("cnn-fashion", "ulx3s-25f", 32, 3, 32, 4, 13853),
    ("cnn-fashion", "ulx3s-25f", 16, 7, 16, 2, 12114),
    ("cnn-fashion", "ulx3s-25f", 48, 3, 16, 4, 13992),
    ("cnn-fashion", "ulx3s-25f", 32, 5, 32, 4, 22415),
    ("cnn-fashion", "ulx3s-25f", 16, 1, 64, 2, 4766),
    ("cnn-fashion", "ulx3s-25f", 12, 7, 48, 2, 18008),
    ("mlp-fashion", "ulx3s-25f", 16, 1, 24, 4, 2341),
    ("mlp-fashion", "ulx3s-25f", 64, 1, 16, 4, 5745),
    ("cnn-fashion", "tang-nano-9k", 8, 3, 16, 2, 3624),
    ("cnn-fashion", "tang-nano-20k", 12, 3, 48, 2, 7761),
    ("cnn-fashion", "tang-nano-20k", 16, 1, 64, 2, 4579),
    ("cnn-fashion", "tang-nano-20k", 16, 5, 32, 2, 11735),
    ("cnn-fashion", "tang-nano-20k", 48, 3, 16, 4, 12699),
    ("mlp-fashion", "tang-nano-9k", 16, 1, 24, 4, 2241),
    ("mlp-fashion", "tang-nano-20k", 64, 1, 16, 4, 5352),
    ("cnn-fashion", "gatemate-evb", 8, 3, 16, 2, 6769),
    ("cnn-fashion", "gatemate-evb", 12, 3, 48, 2, 15725),
    ("cnn-fashion", "gatemate-evb", 16, 1, 64, 2, 10282),
    ("cnn-fashion", "gatemate-evb", 16, 5, 32, 2, 21997),
    ("cnn-fashion", "gatemate-evb", 48, 3, 16, 4, 20697),
    ("mlp-fashion", "gatemate-evb", 16, 1, 24, 4, 4467),
    ("mlp-fashion", "gatemate-evb", 64, 1, 16, 4, 8091),
)

#: Logic cells of each unit of ``logic_terms`` in each family, none below 0: the least squares of the relative errors on
#: its rows of ``CALIBRATION``.
COEFFICIENTS = {
    ICE40: (721.54, 625.96, 1.600, 3.663, 9.141, 4.200),
    ECP5: (545.51, 471.01, 2.271, 3.964, 7.219, 4.090),
    GOWIN: (637.27, 474.52, 1.923, 3.888, 10.748, 0.0),
    GATEMATE: (1284.75, 1537.39, 6.275, 0.0, 5.660, 17.376),
}

#: No build of ``CALIBRATION`` is further from the formula than this share of its logic cells. Fitted to all but one of
#: them, the formula was up to 15 % off on that one (Gowin 18 %, GateMate 21 %): a shape unlike these may be so too.
ERROR = 0.07

#: Logic cells of what a network with words has besides, in all, for each column, and for each column with slopes: from
#: ResNet-20 on the iCE40UP5K: for 28 x 28 x 1 with arrays of 8 x 3 x 16 (4,848 cells) and 8 x 1 x 16 (2,969), for
#: 32 x 32 x 3 with 8 x 3 x 16 and one or two window buffers (5,095 and 5,453).
WORD_CELLS, COLUMN_CELLS, SLOPE_CELLS = 574, 197, 86

#: Widest word of an iCE40's block RAM, and its words in that width.
BLOCK_RAM_SHAPE = (16, 256)

#: Memories that nothing writes.
ROMS = frozenset({"weights", "thresholds", "program", "store"})


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
    """RAMs of ``shape`` (width, depth, ...) in which Yosys puts a memory of ``width`` bits x ``depth`` words.

    Words that lie a whole RAM's depth apart share a physical word, so only the total of their widths is rounded up.
    """
    return -(-(-(-depth // shape[1]) * width) // shape[0])


def block_ram_count(family, width, depth, *, written=False):
    """Block RAMs of a family's part in which Yosys puts a memory that has one port to read it, and one to write it.

    It takes the shape of least cost: that of its RAMs, of the multiplexers behind them where the memory is deeper, and
    of the gates before their write enables.
    """
    best = None
    for shape in family.ram_shapes:
        unit = min(shape.width, family.ram_byte) if written else 1
        count = ram_count(-(-width // unit) * unit, depth, shape)
        stacked = -(-depth // shape.depth)
        cost = shape.cost * count + (stacked - 1) * width / 2 + (stacked / 2 if written and stacked > 1 else 0)
        if best is None or cost < best[0]:
            best = cost, shape.blocks * count
    return best[1]


def memory_plan(program, part):
    """Return the ``MemoryPlan`` of a program on ``part``: as many banks of features as there are large RAMs for, and
    the image if there is one more and the block RAMs do not suffice.
    """
    uses = {memory.name: memory for memory in program.memories}
    features, image = uses["features"], uses["input"]
    if not part.large_rams or features.kind != "large":
        return MemoryPlan(large_banks=features.copies)
    each = ram_count(features.width, features.depth, LARGE_RAM_SHAPE)
    plan = MemoryPlan(large_banks=min(features.copies, part.large_rams // each))
    spare = part.large_rams - plan.large_banks * each
    full = sum(need.block_rams for need in _needs(program, part, plan)) > part.block_rams
    if full and not program.image.flat and ram_count(image.width, image.depth, LARGE_RAM_SHAPE) <= spare:
        return replace(plan, large_image=True)
    return plan


def memory_needs(program, part):
    """Return the ``MemoryNeed`` of each of the program's memories on ``part``; of banks of features in both kinds of
    RAM, one of each.
    """
    return _needs(program, part, memory_plan(program, part))


def _needs(program, part, plan):
    needs = []
    for memory in program.memories:
        copies = _large_copies(memory, plan) if part.large_rams else 0
        needs += [
            _need(memory, part, count, large)
            for count, large in ((copies, True), (memory.copies - copies, False)) if count]
    return tuple(needs)


def _large_copies(memory, plan):
    if memory.name == "input":
        return int(plan.large_image)
    if memory.kind != "large":
        return 0
    return plan.large_banks if memory.name == "features" else memory.copies


def _need(memory, part, copies, large):
    each = ram_count(memory.width, memory.depth, LARGE_RAM_SHAPE) if large else block_ram_count(
        part.family, memory.width, memory.depth, written=memory.name not in ROMS)
    count = copies * each
    bits = LARGE_RAM_SHAPE[0] * LARGE_RAM_SHAPE[1] if large else part.family.ram_bits
    return MemoryNeed(
        memory.name, memory.width, memory.depth, copies, 0 if large else count, count if large else 0,
        memory.bits_used * copies // memory.copies, count * bits)


def estimate(program, part):
    """Return the ``Resources`` that ``program`` with its serial link needs on ``part``."""
    needs = memory_needs(program, part)
    coefficients = COEFFICIENTS[part.family]
    return Resources(
        round(sum(count * cells for count, cells in zip(logic_terms(program), coefficients, strict=True))
              + window_cells(program, part.family) + word_cells(program)),
        sum(need.block_rams for need in needs), sum(need.large_rams for need in needs),
    )


def window_cells(program, family):
    """Logic cells of the input unit's registers for the pixels of windows, exactly."""
    image = program.image
    if image.flat:
        return 0
    rows, columns = window_patch(image.kernel, image.stride, image.pool, program.engine.columns)
    bits = rows * columns * image.shape[2] * image.bits
    # Behind the pixels of the current group is a multiplexer; those fetched beside them take flip-flops alone.
    return bits * (program.engine.window_buffers if family is ICE40 else 1)


def word_cells(program):
    """Further logic cells of a network with words: post-processing of each column, word memory, fetches, the head."""
    if program.words is None:
        return 0
    each = COLUMN_CELLS + (SLOPE_CELLS if program.words.constants.bends else 0)
    return WORD_CELLS + each * program.engine.columns


def logic_terms(program):
    """What a design's logic cells are proportional to.

    In order: one for each design, one for an input unit that forms windows (beside ``window_cells``), the array's
    synapses, the bits of its accumulators, the bits of its activations, and the bits that leave the drain register in a
    cycle.
    """
    engine = program.engine
    return (
        1, int(not program.image.flat), engine.synapses_per_cycle, engine.rows * engine.columns * program.sum_width,
        engine.columns * engine.lanes, engine.columns * engine.drain * program.threshold_width,
    )


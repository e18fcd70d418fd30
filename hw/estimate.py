"""What a program needs of a part, before synthesis: RAM blocks exactly, logic cells from a calibrated formula."""

from dataclasses import dataclass, replace

from sw.folding import window_patch

from .boards import LARGE_RAM_SHAPE
from .calibration import load_calibration
from .families import ICE40
from .memory_plan import MemoryPlan

__all__ = [
    "CALIBRATION", "ERROR", "HELD_OUT_ERROR", "MemoryNeed", "Resources", "block_ram_count", "estimate", "exact_cells",
    "least_logic_cells", "logic_terms", "memory_needs", "memory_plan", "multiplexed_bits", "planned_needs", "ram_count",
    "window_cells",
]

CALIBRATION = load_calibration()

#: No build of ``CALIBRATION.arrays`` is further from the formula than this share of its logic cells.
ERROR = 0.065
#: Nor is any of ``CALIBRATION.held_out``, to which the formula was not fitted, further than this one.
HELD_OUT_ERROR = 0.1

#: Logic cells of each column of a network with words and slopes beside its other columns', measured on the iCE40.
SLOPE_CELLS = 86

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
    return _block_rams(family, width, depth, written)[0]


def _block_rams(family, width, depth, written):
    """The block RAMs of ``block_ram_count``, and how many of them lie one above the other."""
    best = None
    for shape in family.ram_shapes:
        unit = min(shape.width, family.ram_byte) if written else 1
        count = ram_count(-(-width // unit) * unit, depth, shape)
        stacked = -(-depth // shape.depth)
        cost = shape.cost * count + (stacked - 1) * width / 2 + (stacked / 2 if written and stacked > 1 else 0)
        if best is None or cost < best[0]:
            best = cost, shape.blocks * count, stacked
    return best[1:]


def multiplexed_bits(program, part):
    """Bits that come out of a program's block RAMs beside those that its memories read: multiplexers choose."""
    return sum(
        need.copies * need.width * (_block_rams(part.family, need.width, need.depth, need.name not in ROMS)[1] - 1)
        for need in memory_needs(program, part) if need.block_rams)


def memory_plan(program, part):
    """Return the ``MemoryPlan`` of a program on ``part``: as many banks of features as there are large RAMs for, and
    the image if there is one more and the block RAMs do not suffice.
    """
    uses = {memory.name: memory for memory in program.memories}
    features, image = uses.get("features"), uses.get("input")
    if features is None:
        return MemoryPlan(large_banks=0)
    if not part.large_rams or features.kind != "large":
        return MemoryPlan(large_banks=features.copies)
    each = ram_count(features.width, features.depth, LARGE_RAM_SHAPE)
    plan = MemoryPlan(large_banks=min(features.copies, part.large_rams // each))
    spare = part.large_rams - plan.large_banks * each
    full = sum(need.block_rams for need in planned_needs(program, part, plan)) > part.block_rams
    if full and program.windows is not None and ram_count(image.width, image.depth, LARGE_RAM_SHAPE) <= spare:
        return replace(plan, large_image=True)
    return plan


def memory_needs(program, part):
    """Return the ``MemoryNeed`` of each of the program's memories on ``part``; of banks of features in both kinds of
    RAM, one of each.
    """
    return planned_needs(program, part, memory_plan(program, part))


def planned_needs(program, part, plan):
    """As ``memory_needs``, with the memories where a ``MemoryPlan`` puts them."""
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
    coefficients = CALIBRATION.coefficients[part.family.name]
    return Resources(
        round(sum(count * cells for count, cells in zip(logic_terms(program, part), coefficients, strict=True))
              + exact_cells(program, part.family)),
        sum(need.block_rams for need in needs), sum(need.large_rams for need in needs),
    )


def least_logic_cells(family, rows, columns, lanes):
    """Logic cells that no design with an array of this shape is estimated to take fewer than."""
    each, _, synapse, *_ = CALIBRATION.coefficients[family.name]
    return each + synapse * rows * columns * lanes


def exact_cells(program, family):
    """Logic cells that the formula is not fitted to: registers of windows, and slopes."""
    unit = program.words
    slopes = SLOPE_CELLS * program.engine.columns if unit is not None and unit.constants.bends else 0
    return window_cells(program, family) + slopes


def window_cells(program, family):
    """Logic cells of the input unit's registers for the pixels of windows, exactly."""
    image = program.windows
    if image is None:
        return 0
    rows, columns = window_patch(image.kernel, image.stride, image.pool, program.engine.columns)
    bits = rows * columns * image.pixel_bits
    # Behind the pixels of the current group is a multiplexer; those fetched beside them take flip-flops alone.
    return bits * (program.engine.window_buffers if family is ICE40 else 1)


def logic_terms(program, part):
    """What a design's logic cells on ``part`` are proportional to.

    In order: one for each design, one for an input unit that forms windows (beside ``window_cells``), the array's
    synapses, the bits of its accumulators, the bits of its activations, the bits that leave the drain register in a
    cycle, one for a network with words, its columns, each of which has post-processing of its own, the bits that
    multiplexers behind RAMs leave out, and the bits of all memories' addresses.
    """
    engine, words = program.engine, int(program.words is not None)
    return (
        1, int(program.windows is not None), engine.synapses_per_cycle,
        engine.rows * engine.columns * program.sum_width, engine.columns * engine.lanes,
        engine.columns * engine.drain * program.threshold_width, words,
        words * engine.columns, multiplexed_bits(program, part),
        sum((memory.depth - 1).bit_length() for memory in program.memories),
    )

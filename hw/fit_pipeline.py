"""Engines in a row for a network on a board: where to cut the layers, and an array for each part of them.

All cuts are tried. For each, the arrays are sought with which the slowest engine has the fewest beats a frame and all
together stay below a number of logic cells, by a formula that needs no program. These are compiled, and sought again
with the formula corrected by their exact cycles, and with less room as long as they are estimated to need more than the
part has. Of all that fit, those with the fewest cycles a frame are taken.
"""

from dataclasses import dataclass
from itertools import combinations, product

from sw.engine import Engine
from sw.errors import FitError
from sw.folding import plan_layer
from sw.pipeline import compile_pipeline, pipeline_layers, stages_of

from .calibration import load_calibration
from .design import ONCE, design_resources
from .estimate import block_ram_count
from .shapes import KINDS, lacking_kinds, layer_beats, legal_shapes

__all__ = ["choose_pipeline"]

#: Cycles of a layer beside its beats, about: what begins and ends it.
AROUND_LAYER = 30
#: Bits of an accumulator, of a threshold, and of all memories' addresses, about.
SUM_BITS, THRESHOLD_BITS, ADDRESS_BITS = 10, 11, 55
#: Share by which the formula's limit is lowered at a time, and the share of the part at which it begins.
STEP, BEGIN = 0.97, 1.1


@dataclass(frozen=True)
class _Option:
    """An array for a run of layers: about its cycles, logic cells and block RAMs."""

    cycles: int
    cells: float
    block_rams: int
    shape: tuple[int, int, int]


def choose_pipeline(graph, board, count):
    """Return ``count`` ``Engine``s and the cuts between them, for ``sw.pipeline.compile_pipeline``.

    Raises ``FitError`` if none fit the board, and ``sw.errors.CompileError`` for a network that has no such cuts.
    """
    part = board.part
    share = part.family.logic_share
    layers = pipeline_layers(graph, count)
    known, found, refusal = {}, None, None
    for cuts in combinations(range(1, len(layers)), count - 1):
        bounds = (0, *cuts, len(layers))
        try:
            for run, ends in zip(stages_of(layers, cuts), zip(bounds, bounds[1:], strict=False), strict=True):
                if ends not in known:
                    known[ends] = _options(run, part, graph.inputs)
        except FitError as error:
            refusal = error
            continue
        options = [known[ends] for ends in zip(bounds, bounds[1:], strict=False)]
        best = _fitting(graph, layers, cuts, options, part, share)
        if best is not None and (found is None or best[0] < found[0]):
            found = best
    if found is None:
        raise refusal or FitError(
            f"network {graph.name} does not fit board {board.name} on {count} engines in a row: the {part.name} has "
            + ", ".join(f"{getattr(part, kind):,} {title}" for kind, title in KINDS.items())
            + "; use fewer engines, a larger board, or a network with fewer weights")
    return found[1:]


def _input_cycles(first, engine, image):
    """Cycles that a frame takes at the input, which a first engine cannot outrun: its transfers and, of an image that
    is stored once, the first layer, in which its windows are fetched.
    """
    if first.source == "features":
        return 0
    size = image.shape[0] * image.shape[1] * image.shape[2]
    if first.source == "flat":
        return -(-size // 8)
    plan = plan_layer(first, engine)
    return size + max(layer_beats(plan), first.out_shape[0] * (plan.fetch(0) + (plan.groups_x - 1) * plan.fetch(1)))


def _options(run, part, image):
    """All arrays for a run of layers that no other is better than in cycles, cells and RAMs."""
    each, window, synapse, sums, activations, drained, *_, addresses = load_calibration().coefficients[part.family.name]
    options = []
    for shape in legal_shapes(run, part, (None, None, None)):
        rows, columns, lanes = shape.rows, shape.columns, shape.lanes
        maps = 0 if run[0].source != "features" else columns * block_ram_count(
            part.family, lanes, 2 * plan_layer(run[0], Engine(rows, columns, lanes)).words, written=True)
        cells = (
            each + window * (run[0].source == "window") + synapse * rows * columns * lanes
            + sums * rows * columns * SUM_BITS + activations * columns * lanes + drained * columns * THRESHOLD_BITS
            + addresses * ADDRESS_BITS)
        options.append(_Option(
            max(_input_cycles(run[0], Engine(rows, columns, lanes), image), shape.beats + AROUND_LAYER * len(run)),
            cells, shape.block_rams + maps,
            (rows, columns, lanes)))
    kept = []
    for option in sorted(options, key=lambda one: (one.cycles, one.cells, one.block_rams)):
        if all(option.cells < other.cells or option.block_rams < other.block_rams for other in kept):
            kept.append(option)
    return kept


def _fitting(graph, layers, cuts, options, part, share):
    """((cycles, cells), engines, cuts) of the fastest arrays found for these cuts that fit, or ``None``."""
    cells, block_rams = BEGIN * share * part.logic_cells + ONCE * len(cuts), part.block_rams
    # What an engine's cycles are more than the formula's; large arrays wait more often for their drain.
    scales = [1.0] * len(options)
    best, known = None, {}
    while (chosen := _allocate(options, scales, cells, block_rams)) is not None:
        if chosen in known:
            if known[chosen]:
                break  # and nothing new will come
            cells *= STEP
            continue
        known[chosen] = False
        try:
            pipeline = _compile(graph, layers, cuts, [option.shape for option in chosen])
        except FitError:
            cells *= STEP
            continue
        cycles = [program.schedule.cycles_per_frame for program in pipeline.programs]
        scales = [own / option.cycles for own, option in zip(cycles, chosen, strict=True)]
        needs = design_resources(pipeline, part)
        lacking = lacking_kinds(needs, part, share)
        if not lacking:
            known[chosen] = True
            rank = pipeline.schedule.cycles_per_frame, needs.logic_cells
            if best is None or rank < best[0]:
                best = rank, tuple(program.engine for program in pipeline.programs), cuts
        if "block_rams" in lacking:
            block_rams -= max(1, (needs.block_rams - part.block_rams) // 2)
        if "logic_cells" in lacking:
            cells *= STEP
    return best


def _allocate(options, scales, cells, block_rams):
    """An option for each engine: those with which the slowest has the fewest cycles, of these those with the fewest
    cells; ``None`` if there are none within the limits.
    """
    limits = sorted({option.cycles * scale for own, scale in zip(options, scales, strict=True) for option in own})
    low, high, best = 0, len(limits), None
    while low < high:
        middle = (low + high) // 2
        found = _cheapest(options, scales, limits[middle], cells, block_rams)
        if found is None:
            low = middle + 1
        else:
            high, best = middle, found
    return best


def _cheapest(options, scales, cycles, cells, block_rams):
    """The options with the fewest cells in all, none of which takes more than ``cycles``; ``None`` without any."""
    choices = []
    for own, scale in zip(options, scales, strict=True):
        kept = []
        within = [option for option in own if option.cycles * scale <= cycles]
        for option in sorted(within, key=lambda one: (one.cells, one.block_rams)):
            if not kept or option.block_rams < kept[-1].block_rams:
                kept.append(option)
        choices.append(kept)
    fitting = [
        chosen for chosen in product(*choices)
        if sum(one.cells for one in chosen) <= cells and sum(one.block_rams for one in chosen) <= block_rams]
    return min(fitting, key=lambda chosen: sum(one.cells for one in chosen), default=None)


def _compile(graph, layers, cuts, shapes):
    """The pipeline of these arrays, each with the drain that holds up no pass, or the next smaller ones where a map
    would leave too fast.
    """
    drains = [_drains(run, shape) for run, shape in zip(stages_of(layers, cuts), shapes, strict=True)]
    refusal = None
    for depth in range(max(map(len, drains))):
        engines = [Engine(*shape, own[min(depth, len(own) - 1)]) for shape, own in zip(shapes, drains, strict=True)]
        try:
            return compile_pipeline(graph, engines, cuts)
        except FitError as error:
            refusal = error
    raise refusal


def _drains(run, shape):
    """Legal drains, from the smallest that holds up no pass of a layer with bits for results downwards."""
    rows, _, lanes = shape
    plans = [plan_layer(layer, Engine(*shape)) for layer in run if not layer.is_head]
    passes = [plan.kernel[0] * plan.kernel[1] * plan.words * plan.layer.planes for plan in plans]
    legal = [drain for drain in range(1, rows + 1) if rows % drain == 0 and lanes % drain == 0]
    enough = [drain for drain in legal if not passes or rows // drain <= min(passes)]
    most = enough[0] if enough else legal[-1]
    return [drain for drain in reversed(legal) if drain <= most]

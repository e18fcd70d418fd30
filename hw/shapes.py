"""The arrays that a network without words could have on a part: all legal shapes, and of each what fits."""

from dataclasses import dataclass
from itertools import product

from sw.compile import compile_graph
from sw.engine import Engine
from sw.errors import FitError
from sw.folding import drain_for, plan_layer

from .estimate import block_ram_count, estimate

__all__ = [
    "COLUMNS", "KINDS", "LANES", "ROWS", "Shape", "fitting_programs", "lacking_kinds", "layer_beats", "legal_shapes",
]

#: Shapes that are tried where the user fixes none. A weight word is rows x lanes bits, so more rows or lanes than
#: these take more block RAMs than any part here has.
ROWS = tuple(range(1, 65))
COLUMNS = tuple(range(1, 9))
LANES = (8, 16, 24, 32, 48, 64, 96, 128)
#: At fewer logic cells a synapse no array has been seen.
CELLS_OF_SYNAPSE = 2

#: Cells that a part can lack, by their fields in ``hw.estimate.Resources``.
KINDS = {"logic_cells": "logic cells", "block_rams": "block RAMs", "large_rams": "large RAMs"}


@dataclass(frozen=True)
class Shape:
    """An array before its drain is chosen: its beats a frame, and the block RAMs that it takes at the very least."""

    rows: int
    columns: int
    lanes: int
    beats: int
    block_rams: int

    def engine(self, drain, buffers):
        """The array with a drain and window buffers."""
        return Engine(self.rows, self.columns, self.lanes, drain, buffers)


def legal_shapes(layers, part, wanted):
    """All legal shapes with the rows, columns and lanes ``wanted`` (``None``: any), fewest beats first.

    Raises ``FitError`` if there is none.
    """
    shapes, refusal = [], None
    # More columns than a map has would never all be busy.
    widest = max(layer.out_shape[1] for layer in layers)
    ranges = (ROWS, tuple(columns for columns in COLUMNS if columns <= widest), LANES)
    tried = ((value,) if value is not None else values for value, values in zip(wanted, ranges))
    for rows, columns, lanes in product(*tried):
        if wanted != (rows, columns, lanes) and CELLS_OF_SYNAPSE * rows * columns * lanes > part.logic_cells:
            continue
        try:
            plans = [plan_layer(layer, Engine(rows, columns, lanes)) for layer in layers]
        except FitError as error:
            refusal = error
            continue
        block_rams = block_ram_count(part.family, rows * lanes, sum(plan.weight_words for plan in plans))
        if not part.large_rams:
            # Its largest map is what the feature memory must hold, whatever else.
            depth = max(plan.out_depth for plan in plans)
            block_rams += columns * block_ram_count(part.family, lanes, depth, written=True)
        shapes.append(Shape(rows, columns, lanes, sum(map(layer_beats, plans)), block_rams))
    if not shapes:
        raise refusal
    return sorted(shapes, key=lambda shape: shape.beats)


def layer_beats(plan):
    """Cycles of a layer in which the array is busy: passes, each over its taps inside the map, planes and words."""
    layer, pool = plan.layer, range(plan.layer.pool)
    down = sum(plan.taps_y(row, dy)[1] for row in range(layer.out_shape[0]) for dy in pool)
    across = sum(plan.taps_x(group, dx)[1] for group in range(plan.groups_x) for dx in pool)
    return layer.planes * plan.words * plan.groups_c * down * across


def fitting_programs(graph, layers, part, shape, share, *, drain=None, window_buffers=None, every=False):
    """The programs of a shape that fit, with their needs: the drain that never holds up a pass, and the smaller ones,
    each with as many window buffers as there is room for, and with ``every`` also with fewer.

    ``drain`` and ``window_buffers`` fix these unless ``None``.
    """
    if shape.block_rams > part.block_rams:
        return
    fastest = drain_for(layers, shape.rows, shape.columns, shape.lanes)
    for rows_a_cycle in range(fastest, 0, -1) if drain is None else (drain,):
        if shape.rows % rows_a_cycle or shape.lanes % rows_a_cycle:
            continue
        for buffers in (2, 1) if window_buffers is None else (window_buffers,):
            try:
                program = compile_graph(graph, shape.engine(rows_a_cycle, buffers))
            except FitError:  # a field of the program is too small for this shape
                return
            needs = estimate(program, part)
            lacking = lacking_kinds(needs, part, share)
            if not lacking:
                yield program, needs
            # One buffer saves registers, and nothing where an input has no windows.
            if program.windows is None or not (every or lacking == ["logic_cells"]):
                break


def lacking_kinds(needs, part, share):
    """The kinds of cells of which ``needs`` are more than the part has, of its logic cells only ``share``."""
    limits = {kind: getattr(part, kind) for kind in KINDS}
    limits["logic_cells"] = int(share * part.logic_cells)
    return [kind for kind, limit in limits.items() if getattr(needs, kind) > limit]

"""The array for a network on a board: of all legal shapes that fit, the one that needs the fewest cycles a frame."""

from dataclasses import dataclass
from itertools import product
from math import log2

from sw.compile import compile_graph
from sw.engine import Engine
from sw.errors import FitError
from sw.folding import drain_for, plan_layer
from sw.layers import chain_of_layers
from sw.residual.reader import has_words

from .boards import BOARDS
from .estimate import block_ram_count, estimate
from .fit_words import choose_word_engine

__all__ = ["choose_engine"]

#: Shapes that are tried where the user fixes none. A weight word is rows x lanes bits, so more rows or lanes than
#: these take more block RAMs than any part here has.
ROWS = tuple(range(1, 65))
COLUMNS = tuple(range(1, 9))
LANES = (8, 16, 24, 32, 48, 64, 96, 128)
#: At fewer logic cells a synapse no array has been seen.
CELLS_OF_SYNAPSE = 2

KINDS = {"logic_cells": "logic cells", "block_rams": "block RAMs", "large_rams": "large RAMs"}


@dataclass(frozen=True)
class _Shape:
    """An array before its drain is chosen: its beats a frame, and the block RAMs that it takes at the very least."""

    rows: int
    columns: int
    lanes: int
    beats: int
    block_rams: int

    def engine(self, drain, buffers):
        """The array with a drain and window buffers."""
        return Engine(self.rows, self.columns, self.lanes, drain, buffers)


def choose_engine(graph, board, *, rows=None, columns=None, lanes=None):
    """Return the ``Engine`` that runs the lowered ``graph`` on ``board`` in the fewest cycles a frame.

    ``rows``, ``columns`` and ``lanes`` fix the array as far as they are given. Among equally fast arrays the one with
    the fewest logic cells is taken. Cycles and RAMs of each shape are exact, its logic cells are estimated.

    Raises ``FitError`` if none fits, saying what is needed, what the part has, and the nearest that fits;
    ``UnsupportedLayerError`` for a network that no array runs.
    """
    wanted = (rows, columns, lanes)
    if has_words(graph):
        return choose_word_engine(graph, board, rows=rows, columns=columns, lanes=lanes)
    share = 1 if None not in wanted else board.part.family.logic_share
    layers = chain_of_layers(graph)
    shapes = _shapes(layers, board.part, wanted)
    found = _fastest(graph, layers, board.part, shapes, share)
    if found is None:
        raise FitError(_explain(graph, layers, board, wanted, shapes, share))
    return found


def _shapes(layers, part, wanted):
    """All legal shapes with the dimensions ``wanted`` (``None``: any), fewest beats first."""
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
        shapes.append(_Shape(rows, columns, lanes, sum(map(_beats, plans)), block_rams))
    if not shapes:
        raise refusal
    return sorted(shapes, key=lambda shape: shape.beats)


def _beats(plan):
    """Cycles of a layer in which the array is busy: passes, each over its taps inside the map, planes and words."""
    layer, pool = plan.layer, range(plan.layer.pool)
    down = sum(plan.taps_y(row, dy)[1] for row in range(layer.out_shape[0]) for dy in pool)
    across = sum(plan.taps_x(group, dx)[1] for group in range(plan.groups_x) for dx in pool)
    return layer.planes * plan.words * plan.groups_c * down * across


def _fastest(graph, layers, part, shapes, share):
    """The engine with the fewest cycles, then logic cells, of those that fit; ``None`` if none does."""
    best = None
    for shape in shapes:
        # A frame takes at least its beats: once these are above the best's cycles, so are all that follow.
        if best is not None and shape.beats > best[0][0]:
            break
        for program, needs in _fitting(graph, layers, part, shape, share):
            rank = (program.schedule.cycles_per_frame, needs.logic_cells)
            if best is None or rank < best[0]:
                best = rank, program.engine
    return None if best is None else best[1]


def _fitting(graph, layers, part, shape, share):
    """The programs of a shape that fit, with their needs: the drain that never holds up a pass, and the smaller ones,
    each with as many window buffers as there is room for.
    """
    if shape.block_rams > part.block_rams:
        return
    fastest = drain_for(layers, shape.rows, shape.columns, shape.lanes)
    for drain in range(fastest, 0, -1):
        if shape.rows % drain or shape.lanes % drain:
            continue
        for buffers in (2, 1):
            try:
                program = compile_graph(graph, shape.engine(drain, buffers))
            except FitError:  # a field of the program is too small for this shape
                return
            needs = estimate(program, part)
            lacking = _lacking(needs, part, share)
            if not lacking:
                yield program, needs
            # One buffer saves registers, and nothing where an input has no windows.
            if lacking != ["logic_cells"] or program.image.flat:
                break


def _lacking(needs, part, share):
    """The kinds of cells of which ``needs`` are more than the part has, of its logic cells only ``share``."""
    limits = {kind: getattr(part, kind) for kind in KINDS}
    limits["logic_cells"] = int(share * part.logic_cells)
    return [kind for kind, limit in limits.items() if getattr(needs, kind) > limit]


def _explain(graph, layers, board, wanted, shapes, share):
    """Why no shape fits, what is nearest, or where the network would fit."""
    part = board.part
    smallest = min(shapes, key=lambda shape: (shape.block_rams, shape.rows * shape.columns * shape.lanes))
    engine = smallest.engine(1, 1)
    given = any(value is not None for value in wanted)
    if smallest.block_rams > part.block_rams:
        lacking = f"at least {smallest.block_rams:,} block RAMs where the {part.name} has {part.block_rams:,}"
    else:
        needs = estimate(compile_graph(graph, engine), part)
        lacking = ("" if given else "at least ") + " and ".join(
            f"about {needs.logic_cells:,} logic cells where {int(share * part.logic_cells):,} of the {part.name}'s "
            f"{part.logic_cells:,} can be used" if kind == "logic_cells" else
            f"{getattr(needs, kind):,} {KINDS[kind]} where the {part.name} has {getattr(part, kind):,}"
            for kind in _lacking(needs, part, share)
        )
    subject = f"network {graph.name} with an array of {engine}" if given else f"network {graph.name}"
    text = f"{subject} does not fit board {board.name}: it needs {lacking}"
    if given and (nearest := _nearest(graph, layers, part, wanted)):
        return f"{text}; the nearest array that fits is {nearest}"
    others, seen = [], {part}
    for other in BOARDS.values():
        if other.part not in seen and _fits(graph, layers, other.part, wanted):
            others.append(other.name)
        seen.add(other.part)
    elsewhere = f"board {' or '.join(others)}, or " if others else ""
    return f"{text}; use {elsewhere}a network with fewer weights"


def _fits(graph, layers, part, wanted):
    """Whether any shape fits; the smallest are tried first."""
    shapes = sorted(_shapes(layers, part, wanted), key=lambda shape: shape.rows * shape.columns * shape.lanes)
    return any(True for shape in shapes for _ in _fitting(graph, layers, part, shape, part.family.logic_share))


def _nearest(graph, layers, part, wanted):
    """The engine that fits and whose dimensions are nearest to those ``wanted``, as ratios; the faster of two."""

    def distance(shape):
        pairs = zip(wanted, (shape.rows, shape.columns, shape.lanes))
        return sum(abs(log2(value / given)) for given, value in pairs if given is not None)

    for shape in sorted(_shapes(layers, part, (None, None, None)), key=lambda shape: (distance(shape), shape.beats)):
        for program, _ in _fitting(graph, layers, part, shape, part.family.logic_share):
            return program.engine
    return None

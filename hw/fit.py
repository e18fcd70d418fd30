"""The array for a network on a board: of all legal shapes that fit, the one that needs the fewest cycles a frame."""

from math import log2

from sw.compile import compile_graph
from sw.engine import Engine
from sw.errors import FitError
from sw.layers import chain_of_layers
from sw.residual.reader import has_words

from .boards import BOARDS
from .estimate import estimate
from .fit_words import choose_word_engine
from .shapes import KINDS, fitting_programs, lacking_kinds, legal_shapes

__all__ = ["choose_engine"]


def choose_engine(graph, board, *, rows=None, columns=None, lanes=None, drain=None, window_buffers=None):
    """Return the ``Engine`` that runs the lowered ``graph`` on ``board`` in the fewest cycles a frame.

    ``rows``, ``columns`` and ``lanes`` fix the array as far as they are given; if all three are, ``drain`` and
    ``window_buffers`` can be too. Among equally fast arrays the one with the fewest logic cells is taken. Cycles and
    RAMs of each shape are exact, its logic cells are estimated.

    Raises ``FitError`` if none fits, saying what is needed, what the part has, and the nearest that fits;
    ``UnsupportedLayerError`` for a network that no array runs.
    """
    wanted = (rows, columns, lanes)
    fixed = {"drain": drain, "window_buffers": window_buffers}
    if (drain, window_buffers) != (None, None):
        if None in wanted:
            raise FitError("array drain and window buffers can be fixed only with rows, columns and lanes")
        Engine(rows, columns, lanes, drain or 1, window_buffers or 2)  # refuses what no engine has
    if has_words(graph):
        return choose_word_engine(graph, board, rows=rows, columns=columns, lanes=lanes, **fixed)
    share = 1 if None not in wanted else board.part.family.logic_share
    layers = chain_of_layers(graph)
    shapes = legal_shapes(layers, board.part, wanted)
    found = _fastest(graph, layers, board.part, shapes, share, fixed)
    if found is None:
        raise FitError(_explain(graph, layers, board, wanted, shapes, share, fixed))
    return found


def _fastest(graph, layers, part, shapes, share, fixed):
    """The engine with the fewest cycles, then logic cells, of those that fit; ``None`` if none does."""
    best = None
    for shape in shapes:
        # A frame takes at least its beats: once these are above the best's cycles, so are all that follow.
        if best is not None and shape.beats > best[0][0]:
            break
        for program, needs in fitting_programs(graph, layers, part, shape, share, **fixed):
            rank = (program.schedule.cycles_per_frame, needs.logic_cells)
            if best is None or rank < best[0]:
                best = rank, program.engine
    return None if best is None else best[1]


def _explain(graph, layers, board, wanted, shapes, share, fixed):
    """Why no shape fits, what is nearest, or where the network would fit."""
    part = board.part
    smallest = min(shapes, key=lambda shape: (shape.block_rams, shape.rows * shape.columns * shape.lanes))
    engine = smallest.engine(fixed["drain"] or 1, fixed["window_buffers"] or 1)
    given = any(value is not None for value in wanted)
    if smallest.block_rams > part.block_rams:
        lacking = f"at least {smallest.block_rams:,} block RAMs where the {part.name} has {part.block_rams:,}"
    else:
        needs = estimate(compile_graph(graph, engine), part)
        lacking = ("" if given else "at least ") + " and ".join(
            f"about {needs.logic_cells:,} logic cells where {int(share * part.logic_cells):,} of the {part.name}'s "
            f"{part.logic_cells:,} can be used" if kind == "logic_cells" else
            f"{getattr(needs, kind):,} {KINDS[kind]} where the {part.name} has {getattr(part, kind):,}"
            for kind in lacking_kinds(needs, part, share)
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
    shapes = sorted(legal_shapes(layers, part, wanted), key=lambda shape: shape.rows * shape.columns * shape.lanes)
    return any(True for shape in shapes for _ in fitting_programs(graph, layers, part, shape, part.family.logic_share))


def _nearest(graph, layers, part, wanted):
    """The engine that fits and whose dimensions are nearest to those ``wanted``, as ratios; the faster of two."""

    def distance(shape):
        pairs = zip(wanted, (shape.rows, shape.columns, shape.lanes))
        return sum(abs(log2(value / given)) for given, value in pairs if given is not None)

    shapes = legal_shapes(layers, part, (None, None, None))
    for shape in sorted(shapes, key=lambda shape: (distance(shape), shape.beats)):
        for program, _ in fitting_programs(graph, layers, part, shape, part.family.logic_share):
            return program.engine
    return None

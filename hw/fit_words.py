"""The array for a network with words on a board: of some legal shapes that fit, the one with the fewest cycles."""

from itertools import product
from math import prod

from sw.compile import compile_graph
from sw.engine import Engine
from sw.errors import FitError

from .estimate import estimate

__all__ = ["choose_word_engine", "least_cycles", "word_program", "word_shapes"]

#: Shapes that are tried where the user fixes none: channels of residual networks are multiples of 8.
ROWS = (4, 8, 16, 32, 64)
COLUMNS = (1, 3, 5, 7)
LANES = (8, 16, 32, 64)
#: Share of a part's logic cells up to which a shape is chosen; the estimate's error for these networks is as small.
LOGIC_SHARE = 0.98
#: At fewer logic cells a synapse no array has been seen, at more it is a waste of a part.
CELLS_OF_SYNAPSE = 5


def choose_word_engine(graph, board, *, rows, columns, lanes, drain=None, window_buffers=None):
    """Return the ``Engine`` that runs the lowered ``graph`` on ``board`` in the fewest cycles a frame.

    ``rows``, ``columns`` and ``lanes`` fix the array unless ``None``; it has as many window buffers as there is room
    for, or ``window_buffers``. Its drain is 1.

    Raises ``FitError`` if none fits, with what the smallest one lacks, and ``UnsupportedLayerError`` for a network that
    no array runs.
    """
    if drain not in (None, 1):
        raise FitError(f"array drain of a network with words is 1, not {drain}: post-processing takes one row a cycle")
    share = 1 if None not in (rows, columns, lanes) else LOGIC_SHARE
    best, lacking, refusal = None, None, None
    for shape in word_shapes(board.part, (rows, columns, lanes)):
        # A frame takes at least its binary operations, most of them in 3 x 3 layers whose padded taps are skipped.
        if best is not None and best[0][0] < least_cycles(best[1], shape):
            break
        try:
            program, needs, missing = _roomiest(graph, board, shape, share, window_buffers)
        except FitError as error:
            refusal = error
            continue
        if missing:
            lacking = shape, missing
            continue
        rank = program.schedule.cycles_per_frame, needs.logic_cells
        if best is None or rank < best[0]:
            best = rank, program.binary_macs, program.engine
    if best is not None:
        return best[2]
    if lacking is None:
        raise refusal
    (rows, columns, lanes), missing = lacking
    raise FitError(f"network {graph.name} does not fit board {board.name}: an array of {rows} rows x {columns} columns "
                   f"x {lanes} lanes needs {' and '.join(missing)}; use a smaller array, a larger part, or a narrower "
                   f"network")


def word_shapes(part, wanted):
    """Shapes (rows, columns, lanes) to try on a part, with those ``wanted`` unless ``None``; most synapses first."""
    tried = ((value,) if value is not None else values
             for value, values in zip(wanted, (ROWS, COLUMNS, LANES), strict=True))
    shapes = sorted(product(*tried), key=lambda shape: -prod(shape))
    return [shape for shape in shapes
            if len(shapes) == 1 or prod(shape) * CELLS_OF_SYNAPSE <= part.logic_cells]


def least_cycles(binary_macs, shape):
    """Cycles that a frame of so many operations takes at least: padded taps, which are skipped, are less than 20 %."""
    return 0.8 * binary_macs / prod(shape)


def word_program(graph, board, shape, buffers):
    """The program of a shape with so many window buffers, and its needs. Raises ``FitError``."""
    engine = Engine(*shape, window_buffers=buffers)
    program = compile_graph(graph, engine, shared_store=board.flash is not None)
    return program, estimate(program, board.part)


def _roomiest(graph, board, shape, share, window_buffers):
    """The program of a shape with as many window buffers as fit, its needs, and what the part lacks even for one."""
    tried = ((2, LOGIC_SHARE), (1, share)) if window_buffers is None else ((window_buffers, share),)
    for buffers, limit in tried:
        program, needs = word_program(graph, board, shape, buffers)
        missing = _missing(needs, board.part, limit)
        if not missing:
            break
    return program, needs, missing


def _missing(needs, part, share):
    limits = (("logic_cells", "logic cells", int(share * part.logic_cells)),
              ("block_rams", "block RAMs", part.block_rams), ("large_rams", "large RAMs", part.large_rams))
    return [f"about {getattr(needs, kind):,} {name} where {limit:,} of the {part.name} can be used"
            for kind, name, limit in limits if getattr(needs, kind) > limit]

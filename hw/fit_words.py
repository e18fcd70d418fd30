"""The array for a network with words on a board: of some legal shapes that fit, the one with the fewest cycles."""

from itertools import product

from sw.compile import compile_graph
from sw.engine import Engine
from sw.errors import FitError

from .estimate import estimate

__all__ = ["choose_word_engine"]

#: Shapes that are tried where the user fixes none: channels of residual networks are multiples of 8.
ROWS = (4, 8, 16, 32, 64)
COLUMNS = (1, 3, 5, 7)
LANES = (8, 16, 32, 64)
#: Share of a part's logic cells up to which a shape is chosen; the estimate's error for these networks is as small.
LOGIC_SHARE = 0.98
#: At fewer logic cells a synapse no array has been seen, at more it is a waste of a part.
CELLS_OF_SYNAPSE = 5


def choose_word_engine(graph, board, *, rows, columns, lanes):
    """Return the ``Engine`` that runs the lowered ``graph`` on ``board`` in the fewest cycles a frame.

    ``rows``, ``columns`` and ``lanes`` fix the array unless ``None``; it has as many window buffers as there is room
    for.

    Raises ``FitError`` if none fits, with what the smallest one lacks, and ``UnsupportedLayerError`` for a network that
    no array runs.
    """
    share = 1 if None not in (rows, columns, lanes) else LOGIC_SHARE
    tried = ((value,) if value is not None else values
             for value, values in ((rows, ROWS), (columns, COLUMNS), (lanes, LANES)))
    shapes = sorted(product(*tried), key=lambda shape: -shape[0] * shape[1] * shape[2])
    best, lacking, refusal = None, None, None
    for shape in shapes:
        synapses = shape[0] * shape[1] * shape[2]
        if len(shapes) > 1 and synapses * CELLS_OF_SYNAPSE > board.part.logic_cells:
            continue
        # A frame takes at least its binary operations, most of them in 3 x 3 layers whose padded taps are skipped.
        if best is not None and best[0][0] < 0.8 * best[1] / synapses:
            break
        try:
            program, needs, missing = _roomiest(graph, board, shape, share)
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


def _roomiest(graph, board, shape, share):
    """The program of a shape with as many window buffers as fit, its needs, and what the part lacks even for one."""
    for buffers, limit in ((2, LOGIC_SHARE), (1, share)):
        engine = Engine(*shape, window_buffers=buffers)
        program = compile_graph(graph, engine, shared_store=board.flash is not None)
        needs = estimate(program, board.part)
        missing = _missing(needs, board.part, limit)
        if not missing:
            break
    return program, needs, missing


def _missing(needs, part, share):
    limits = (("logic_cells", "logic cells", int(share * part.logic_cells)),
              ("block_rams", "block RAMs", part.block_rams), ("large_rams", "large RAMs", part.large_rams))
    return [f"about {getattr(needs, kind):,} {name} where {limit:,} of the {part.name} can be used"
            for kind, name, limit in limits if getattr(needs, kind) > limit]

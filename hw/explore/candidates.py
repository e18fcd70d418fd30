"""The arrays that a network could have on a board: their exact cycles and RAMs, and their estimated logic cells."""

from dataclasses import dataclass

from sw.engine import Engine
from sw.errors import FitError
from sw.layers import chain_of_layers
from sw.residual.reader import has_words, word_network

from ..estimate import Resources, least_logic_cells
from ..fit import choose_engine
from ..fit_words import LOGIC_SHARE, least_cycles, word_program, word_shapes
from ..shapes import fitting_programs, lacking_kinds, legal_shapes

__all__ = ["Candidate", "find_candidates", "front"]

#: An array is left out if another one is better by this factor in cycles and in logic cells: no error of the estimate
#: makes it the best.
MARGIN = 1.1


@dataclass(frozen=True)
class Candidate:
    """An ``Engine`` with the cycles of a frame and the ``Resources`` that the estimate gives it."""

    engine: Engine
    cycles: int
    needs: Resources

    @property
    def shape(self):
        """Rows, columns and lanes."""
        return self.engine.rows, self.engine.columns, self.engine.lanes


def find_candidates(graph, board, *, wanted=(None, None, None), share=None, tell=lambda done, total: None):
    """Return a ``Candidate`` for each array that fits ``board`` by estimate and that none is far better than.

    ``wanted`` are rows, columns and lanes, ``None`` for any; an array takes at most ``share`` of the part's logic
    cells, unless given the family's, or all of them for a given array. ``tell(done, total)`` is called for each shape.

    Raises ``FitError`` if none fits, as ``choose_engine``, and ``UnsupportedLayerError``.
    """
    words = has_words(graph)
    if share is None:
        share = LOGIC_SHARE if words else board.part.family.logic_share
        share = share if None in wanted else 1
    found = []
    shapes, programs = (_with_words if words else _without_words)(graph, board, wanted, share)
    for number, (least, shape) in enumerate(shapes, start=1):
        tell(number, len(shapes))
        cells = least_logic_cells(board.part.family, *shape)
        if any(MARGIN * each.cycles <= least and MARGIN * each.needs.logic_cells <= cells for each in found):
            continue
        found += [Candidate(program.engine, program.schedule.cycles_per_frame, needs)
                  for program, needs in programs(shape)]
    if not found:
        # It says what is needed, and what is nearest.
        rows, columns, lanes = wanted
        choose_engine(graph, board, rows=rows, columns=columns, lanes=lanes)
        raise FitError(f"network {graph.name}: no array fits board {board.name} in {100 * share:g} % of its logic "
                       f"cells; use a larger --logic-share")
    return found


def _without_words(graph, board, wanted, share):
    layers, part = chain_of_layers(graph), board.part
    shapes = {(shape.rows, shape.columns, shape.lanes): shape for shape in legal_shapes(layers, part, wanted)}

    def programs(shape):
        return fitting_programs(graph, layers, part, shapes[shape], share, every=True)

    return [(shape.beats, key) for key, shape in shapes.items()], programs


def _with_words(graph, board, wanted, share):
    macs = sum(layer.convolution.binary_macs for layer in word_network(graph).layers)

    def programs(shape):
        for buffers in (2, 1):
            try:
                program, needs = word_program(graph, board, shape, buffers)
            except FitError:  # a field of the program is too small for this shape
                return
            if not lacking_kinds(needs, board.part, share):
                yield program, needs

    return [(least_cycles(macs, shape), shape) for shape in word_shapes(board.part, wanted)], programs


def front(points):
    """Of ``points`` (cells, speed, ...), those faster than any other of as few cells; fewest cells first."""
    best, found = None, []
    for point in sorted(points, key=lambda point: (point[0], -point[1])):
        if best is None or point[1] > best:
            best = point[1]
            found.append(point)
    return found

"""``python -m hw.build.calibrate``: measure the logic cells of several arrays and fit the estimate to them.

Prints the tables that ``hw/estimate.py`` holds. Each row is a synthesis: the whole takes about an hour.
"""

import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np

from sw import zoo
from sw.compile import compile_graph
from sw.engine import Engine

from .. import flow
from ..board_top import BoardTop, board_pins
from ..boards import find_board
from ..estimate import logic_terms, window_cells

__all__ = ["fit_coefficients", "main", "measure"]

#: Network, board, rows, columns, lanes, drain: from a fifth of a part to more than all of it.
ARRAYS = (
    ("cnn-fashion", "ice40", 12, 3, 16, 2),
    ("cnn-fashion", "ice40", 8, 3, 48, 1),
    ("cnn-fashion", "ice40", 8, 1, 32, 1),
    ("cnn-fashion", "ice40", 4, 5, 16, 1),
    ("cnn-fashion", "ice40", 16, 3, 16, 2),
    ("cnn-fashion", "ice40", 6, 3, 32, 1),
    ("cnn-fashion", "ice40-hx8k", 6, 3, 48, 1),
    ("cnn-fashion", "ice40-hx8k", 24, 1, 16, 2),
    ("mlp-fashion", "ice40", 8, 1, 32, 4),
    ("mlp-fashion", "ice40", 16, 1, 24, 4),
    ("mlp-fashion", "ice40", 32, 1, 8, 4),
    ("mlp-fashion", "ice40-hx8k", 22, 1, 16, 2),
    ("cnn-fashion", "ulx3s-25f", 8, 3, 48, 1),
    ("cnn-fashion", "ulx3s-25f", 12, 3, 16, 2),
    ("cnn-fashion", "ulx3s-25f", 32, 3, 32, 4),
    ("cnn-fashion", "ulx3s-25f", 16, 7, 16, 2),
    ("cnn-fashion", "ulx3s-25f", 48, 3, 16, 4),
    ("cnn-fashion", "ulx3s-25f", 32, 5, 32, 4),
    ("cnn-fashion", "ulx3s-25f", 16, 1, 64, 2),
    ("cnn-fashion", "ulx3s-25f", 12, 7, 48, 2),
    ("mlp-fashion", "ulx3s-25f", 16, 1, 24, 4),
    ("mlp-fashion", "ulx3s-25f", 64, 1, 16, 4),
    ("cnn-fashion", "tang-nano-9k", 8, 3, 16, 2),
    ("cnn-fashion", "tang-nano-20k", 12, 3, 48, 2),
    ("cnn-fashion", "tang-nano-20k", 16, 1, 64, 2),
    ("cnn-fashion", "tang-nano-20k", 16, 5, 32, 2),
    ("cnn-fashion", "tang-nano-20k", 48, 3, 16, 4),
    ("mlp-fashion", "tang-nano-9k", 16, 1, 24, 4),
    ("mlp-fashion", "tang-nano-20k", 64, 1, 16, 4),
    ("cnn-fashion", "gatemate-evb", 8, 3, 16, 2),
    ("cnn-fashion", "gatemate-evb", 12, 3, 48, 2),
    ("cnn-fashion", "gatemate-evb", 16, 1, 64, 2),
    ("cnn-fashion", "gatemate-evb", 16, 5, 32, 2),
    ("cnn-fashion", "gatemate-evb", 48, 3, 16, 4),
    ("mlp-fashion", "gatemate-evb", 16, 1, 24, 4),
    ("mlp-fashion", "gatemate-evb", 64, 1, 16, 4),
)


def measure(network, board, rows, columns, lanes, drain):
    """Synthesise one array and return its logic cells after packing, how many of them follow from ``logic_terms``, and
    these.
    """
    board = find_board(board)
    family = board.part.family
    program = compile_graph(zoo.load(network).graph, Engine(rows, columns, lanes, drain))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log"
        flow.write_rtlil(BoardTop(program, board), folder, "design")
        flow.synthesise(folder, "design", board.part, log=log, multipliers=program.words is not None)
        pins = flow.pin_constraints(board_pins(board, program), board)
        (folder / f"design.{family.constraints}").write_text(pins)
        cells = flow.count_cells(folder, "design", board, log=log)
    (logic, _) = cells["logic_cells"]
    return logic, logic - window_cells(program, family), logic_terms(program)


def fit_coefficients(terms, cells):
    """Return the coefficients with the least squares of the relative errors, and each row's relative error.

    None is negative: nothing saves cells, and where the rows cannot tell two terms apart, that would only fit noise.
    """
    terms, cells = np.array(terms, float), np.array(cells, float)
    best = None
    # The terms are few enough for every choice of those that count.
    for chosen in product((False, True), repeat=terms.shape[1]):
        coefficients = np.zeros(terms.shape[1])
        shares = terms[:, chosen] / cells[:, None]
        coefficients[list(chosen)], *_ = np.linalg.lstsq(shares, np.ones(len(cells)), rcond=None)
        errors = terms @ coefficients / cells - 1
        if min(coefficients) >= 0 and (best is None or errors @ errors < best[1] @ best[1]):
            best = coefficients, errors
    return best


def main():
    """Measure every array and print the tables."""
    measured = {}
    for array in ARRAYS:
        cells, fitted, terms = measure(*array)
        all_terms, all_cells = measured.setdefault(find_board(array[1]).part.family, ([], []))
        all_terms.append(terms)
        all_cells.append(fitted)
        print(f"    {(*array, cells)!r},".replace("'", '"'), flush=True)
    for family, (all_terms, all_cells) in measured.items():
        coefficients, errors = fit_coefficients(all_terms, all_cells)
        print(f"{family.name}: {', '.join(f'{value:.3f}' for value in coefficients)}")
        print(f"errors in percent: {', '.join(f'{100 * error:+.1f}' for error in errors)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

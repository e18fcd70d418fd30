"""``python -m hw.build.calibrate``: measure the logic cells of several arrays and fit the estimate to them.

Writes the table that ``hw/estimate.py`` reads, ``hw/calibration.json``. Each row is a synthesis: all of them take about
half an hour of two cores. The rows of ``HELD_OUT`` are measured and compared, and not fitted to.
"""

import argparse
import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path

import numpy as np

from sw import zoo
from sw.compile import compile_graph
from sw.engine import Engine
from sw.files import write_atomic

from .. import flow
from ..board_top import BoardTop, board_pins
from ..boards import find_board
from ..calibration import PATH, Calibration, load_calibration
from ..estimate import exact_cells, logic_terms
from ..families import FAMILIES
from ..tools import ToolError

__all__ = ["ARRAYS", "HELD_OUT", "calibrate", "fit_coefficients", "fitted", "main", "measure", "relative_error"]

#: Network, board, rows, columns, lanes, drain: from the smallest that anybody would build to more than all of a part.
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
    ("mlp-small-fashion", "icestick", 4, 1, 8, 1),
    ("resnet20-fashion", "ice40", 8, 3, 16, 1),
    ("resnet20-fashion", "ice40", 8, 1, 16, 1),
    ("resnet20-fashion", "ice40", 16, 1, 16, 1),
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
    ("cnn-fashion", "ulx3s-25f", 4, 1, 16, 1),
    ("resnet20-fashion", "ulx3s-25f", 8, 7, 16, 1),
    ("resnet20-fashion", "ulx3s-25f", 16, 1, 16, 1),
    ("cnn-fashion", "tang-nano-9k", 8, 3, 16, 2),
    ("cnn-fashion", "tang-nano-20k", 12, 3, 48, 2),
    ("cnn-fashion", "tang-nano-20k", 16, 1, 64, 2),
    ("cnn-fashion", "tang-nano-20k", 16, 5, 32, 2),
    ("cnn-fashion", "tang-nano-20k", 48, 3, 16, 4),
    ("mlp-fashion", "tang-nano-9k", 16, 1, 24, 4),
    ("mlp-fashion", "tang-nano-20k", 64, 1, 16, 4),
    ("mlp-fashion", "tang-nano-9k", 4, 1, 8, 1),
    ("resnet20-fashion", "tang-nano-20k", 8, 5, 16, 1),
    ("resnet20-fashion", "tang-nano-20k", 8, 1, 16, 1),
    ("cnn-fashion", "gatemate-evb", 8, 3, 16, 2),
    ("cnn-fashion", "gatemate-evb", 12, 3, 48, 2),
    ("cnn-fashion", "gatemate-evb", 16, 1, 64, 2),
    ("cnn-fashion", "gatemate-evb", 16, 5, 32, 2),
    ("cnn-fashion", "gatemate-evb", 48, 3, 16, 4),
    ("cnn-fashion", "gatemate-evb", 24, 1, 16, 2),
    ("cnn-fashion", "gatemate-evb", 6, 3, 32, 1),
    ("cnn-fashion", "gatemate-evb", 8, 1, 48, 1),
    ("cnn-fashion", "gatemate-evb", 4, 1, 8, 1),
    ("mlp-fashion", "gatemate-evb", 16, 1, 24, 4),
    ("mlp-fashion", "gatemate-evb", 64, 1, 16, 4),
    ("mlp-fashion", "gatemate-evb", 8, 1, 32, 4),
    ("mlp-fashion", "gatemate-evb", 32, 1, 8, 4),
    ("mlp-fashion", "gatemate-evb", 4, 1, 8, 1),
    ("resnet20-fashion", "gatemate-evb", 8, 5, 16, 1),
    ("resnet20-fashion", "gatemate-evb", 8, 1, 16, 1),
)

#: The same of arrays that the formula is not fitted to: other shapes, and a network that is not among those above.
HELD_OUT = (
    ("cnn-fashion", "ice40", 10, 3, 16, 2),
    ("cnn-fashion", "ice40", 8, 5, 16, 1),
    ("cnn-fashion", "ice40-hx8k", 16, 1, 48, 1),
    ("mlp-fashion", "ice40", 24, 1, 16, 4),
    ("mlp-small-fashion", "icestick", 8, 1, 16, 2),
    ("cnn-fashion", "ice40", 4, 1, 8, 1),
    ("resnet20-fashion", "ice40", 8, 1, 32, 1),
    ("cnn-fashion", "ulx3s-25f", 24, 3, 32, 4),
    ("cnn-fashion", "ulx3s-25f", 12, 5, 48, 2),
    ("cnn-fashion", "ulx3s-25f", 24, 5, 16, 2),
    ("mlp-fashion", "ulx3s-25f", 48, 1, 32, 4),
    ("mlp-fashion", "ulx3s-25f", 4, 1, 8, 1),
    ("resnet20-fashion", "ulx3s-25f", 16, 3, 16, 1),
    ("cnn-fashion", "tang-nano-20k", 8, 5, 32, 1),
    ("cnn-fashion", "tang-nano-9k", 16, 1, 32, 2),
    ("mlp-fashion", "tang-nano-20k", 32, 1, 32, 4),
    ("cnn-fashion", "tang-nano-20k", 4, 1, 16, 1),
    ("resnet20-fashion", "tang-nano-20k", 8, 3, 16, 1),
    ("cnn-fashion", "gatemate-evb", 12, 3, 32, 1),
    ("cnn-fashion", "gatemate-evb", 24, 3, 16, 2),
    ("mlp-fashion", "gatemate-evb", 32, 1, 32, 4),
    ("cnn-fashion", "gatemate-evb", 4, 1, 16, 1),
    ("resnet20-fashion", "gatemate-evb", 8, 3, 16, 1),
)


def _program(network, board, *array):
    board = find_board(board)
    return compile_graph(zoo.load(network).graph, Engine(*array), shared_store=board.flash is not None), board


def measure(network, board, rows, columns, lanes, drain):
    """Synthesise one array and return its logic cells after packing."""
    program, board = _program(network, board, rows, columns, lanes, drain)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log"
        flow.write_rtlil(BoardTop(program, board), folder, "design")
        flow.synthesise(folder, "design", board.part, log=log, multipliers=program.words is not None)
        pins = flow.pin_constraints(board_pins(board, program), board)
        (folder / f"design.{board.part.family.constraints}").write_text(pins)
        (used, _) = flow.count_cells(folder, "design", board, log=log)["logic_cells"]
    return used


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


def fitted(family, arrays):
    """Return the coefficients of ``logic_terms`` that fit a family's rows of ``arrays`` (``Calibration``)."""
    terms, cells = [], []
    for array, used in arrays.items():
        program, board = _program(*array)
        if board.part.family is family:
            terms.append(logic_terms(program, board.part))
            cells.append(used - exact_cells(program, family))
    coefficients, _ = fit_coefficients(terms, cells)
    return tuple(round(float(value), 3) for value in coefficients)


def relative_error(array, used, coefficients):
    """How far the formula with a family's ``coefficients`` is off for an array with ``used`` logic cells."""
    program, board = _program(*array)
    found = sum(count * each for count, each in zip(logic_terms(program, board.part), coefficients, strict=True))
    return (found + exact_cells(program, board.part.family)) / used - 1


def calibrate(families, jobs, known, tell=print):
    """Return ``known``, a ``Calibration``, with the rows of ``families`` measured anew and the formula fitted to them.

    ``jobs`` arrays are synthesised at a time; none with 0, which only fits again. ``tell`` gets a line for each. Those
    that the tools do not end have no row.
    """
    wanted = [array for array in (*ARRAYS, *HELD_OUT) if find_board(array[1]).part.family in families]
    found = {array: cells for rows in (known.arrays, known.held_out) for array, cells in rows.items()}
    if jobs:
        with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
            running = {pool.submit(measure, *array): array for array in wanted}
            for number, future in enumerate(as_completed(running), start=1):
                array = running[future]
                try:
                    found[array] = future.result()
                    what = f"{found[array]:,} logic cells"
                except ToolError as error:
                    found.pop(array, None)
                    what = str(error)
                tell(f"{number}/{len(wanted)}: {' '.join(map(str, array))}: {what}")
    arrays, held_out = ({array: found[array] for array in rows if array in found} for rows in (ARRAYS, HELD_OUT))
    coefficients = {**known.coefficients, **{family.name: fitted(family, arrays) for family in families}}
    return Calibration(arrays, held_out, coefficients)


def main(arguments=None):
    """Run the command and return its exit code."""
    names = {family.name.lower(): family for family in FAMILIES}
    parser = argparse.ArgumentParser(prog="hw.build.calibrate", description=__doc__.split("\n\n")[0].split(": ")[1])
    parser.add_argument("--family", choices=names, action="append", help="only these families (default: all)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N",
                        help="syntheses at a time; 0 only fits the formula to the table again (default: 1)")
    given = parser.parse_args(arguments)
    families = [names[name] for name in given.family or names]
    table = calibrate(families, given.jobs, load_calibration(), tell=lambda line: print(line, flush=True))
    write_atomic(PATH, table.text())
    for title, rows in (("fitted", table.arrays), ("held out", table.held_out)):
        for array, used in rows.items():
            family = find_board(array[1]).part.family
            if family in families:
                error = relative_error(array, used, table.coefficients[family.name])
                print(f"{title}: {' '.join(map(str, array))}: {used:,} logic cells, formula {100 * error:+.1f} %")
    return 0


if __name__ == "__main__":
    sys.exit(main())

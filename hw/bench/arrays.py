"""Bare arrays: ours in two forms and the naive one, in the same harness on the same part."""

from ..array import Array
from ..boards import find_board
from ..popcount_stages import popcount_stages
from .harness import Echo, place_core, port_widths
from .naive import NaiveArray

__all__ = ["measure_array"]

#: Limit of each try of place and route.
ROUTE_SECONDS = 300


def measure_array(row, folder):
    """Return what ``row``'s array takes in each of its forms, for JSON; files go to ``folder``.

    ``logic_cells`` are those of the array alone: what the harness takes around nothing is taken off.
    """
    board = find_board(row.board)
    family = board.part.family
    stages = popcount_stages(board.part, row.lanes, row.clock_mhz)
    shape = {"rows": row.rows, "columns": row.columns, "lanes": row.lanes, "sum_width": row.sum_width}
    cores = {
        "own": Array(**shape, stages=stages, popcount=family.popcount(row.lanes)),
        "portable": Array(**shape, stages=stages, popcount="portable"),
        "naive": NaiveArray(**shape),
    }
    width_in, width_out = port_widths(cores["naive"])
    options = {"clock_mhz": row.clock_mhz, "seconds": ROUTE_SECONDS}
    harness = place_core(Echo(inputs=width_in, outputs=width_out), board, folder / "harness", **options)["logic_cells"]
    forms = {}
    for form in row.forms:
        found = place_core(cores[form], board, folder / form, **options)
        forms[form] = found | {"logic_cells": found["logic_cells"] - harness}
    return {
        "part": board.part.name, "synapses": row.rows * row.columns * row.lanes, "harness_cells": harness,
        "popcount": family.popcount(row.lanes), "stages": stages, "forms": forms,
    }

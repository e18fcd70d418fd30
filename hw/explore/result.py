"""What a search found, as one JSON document and as a table."""

import shlex
from dataclasses import asdict

from ..shapes import KINDS
from ..tools import tool_versions
from .candidates import front

__all__ = ["SCHEMA_VERSION", "build_command", "make_result", "table"]

SCHEMA_VERSION = 1


def make_result(setting, candidates, done, goal):
    """Return everything that was found as a dictionary for JSON; ``done`` is what ``search`` returns."""
    options, board = setting.options, setting.board
    estimated = {candidate.engine: candidate for candidate in candidates}
    trials = [trial for _, trial in done]
    best = goal.best(trials)
    points = [(each.needs.logic_cells, _speed(each.cycles, setting.clock_mhz), each) for each in candidates]
    return {
        "schema_version": SCHEMA_VERSION,
        "board": board.name, "board_title": board.title, "part": board.part.name, "network": setting.entry.graph.name,
        "goal": "fewest logic cells" if options.frames_per_second else "most frames/s",
        "frames_per_second_wanted": options.frames_per_second,
        "clock_mhz": setting.clock_mhz, "clock_is_fixed": options.clock_mhz is not None,
        "cells_available": {kind: getattr(board.part, kind) for kind in KINDS},
        "candidates": [_candidate(each, setting.clock_mhz) for each in candidates],
        "front": [_candidate(each, setting.clock_mhz) for _, _, each in front(points)],
        "builds": [_build(trial, estimated.get(trial.engine)) for trial in trials],
        "best": None if best is None else _build(best, estimated.get(best.engine)) | {
            "command": build_command(setting, best)},
        "tools": tool_versions(board.part.family.tools),
    }


def _speed(cycles, clock_mhz):
    return 1e6 * clock_mhz / cycles


def _candidate(candidate, clock_mhz):
    return {"array": asdict(candidate.engine), "cycles_per_frame": candidate.cycles,
            "frames_per_second": _speed(candidate.cycles, clock_mhz), "cells_estimated": asdict(candidate.needs)}


def _build(trial, candidate):
    return {
        "array": asdict(trial.engine), "cycles_per_frame": trial.cycles, "clock_mhz": trial.clock_mhz,
        "clock_mhz_estimates": trial.estimates, "problems": trial.problems, "seed": trial.seed,
        "meets_clock": trial.meets_clock, "frames_per_second": trial.frames_per_second, "cells": trial.cells,
        "cells_estimated": None if candidate is None else asdict(candidate.needs), "failure": trial.failure,
        "seconds": trial.seconds,
    }


def build_command(setting, trial):
    """The command that builds a trial's design again, bit for bit."""
    engine = trial.engine
    words = ["python", "-m", "hw.build", "--board", setting.board.name, "--network",
             setting.options.network or setting.entry.graph.name]
    for name in ("rows", "columns", "lanes", "drain", "window_buffers"):
        words += [f"--{name.replace('_', '-')}", str(getattr(engine, name))]
    return shlex.join([*words, "--clock-mhz", f"{trial.clock_mhz:g}", "--seed", str(trial.seed)])


HEADER = ("array", "drain", "buffers", "clock MHz", "reached MHz", "seed", "cycles", "frames/s", "logic cells",
          "estimated", "off", "block RAMs")


def table(result):
    """The header and the rows of a table of the builds, best first, as strings."""
    return HEADER, [_row(build) for build in sorted(result["builds"], key=_rank)]


def _rank(build):
    return -build["frames_per_second"], build["cells"].get("logic_cells", 0), build["clock_mhz"]


def _row(build):
    array, cells = build["array"], build["cells"]
    estimated = build["cells_estimated"] and build["cells_estimated"]["logic_cells"]
    used = cells.get("logic_cells")
    reached = max(build["clock_mhz_estimates"].values(), default=None)
    speed = f"{build['frames_per_second']:,.0f}" if build["meets_clock"] else "none" if build["failure"] else "too slow"
    return (
        f"{array['rows']} x {array['columns']} x {array['lanes']}", str(array["drain"]), str(array["window_buffers"]),
        f"{build['clock_mhz']:g}", "" if reached is None else f"{reached:.1f}",
        "" if build["seed"] is None else str(build["seed"]), f"{build['cycles_per_frame']:,}", speed,
        "" if used is None else f"{used:,}", "" if estimated is None else f"{estimated:,}",
        "" if None in (used, estimated) else f"{100 * (estimated / used - 1):+.1f} %",
        "" if used is None else f"{cells['block_rams']:,}")

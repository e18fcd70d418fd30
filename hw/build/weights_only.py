"""Another network's weights in a finished build, without synthesis and place and route."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from sw.compile import compile_graph
from sw.errors import ArtifactError
from sw.program import load_program
from sw.structure import differences

from ..patch import patch
from ..ram_contents import CODECS
from .plan import OptionError, Plan, board_and_clock, load_network, output_folder, plan_report
from .progress import Progress
from .stages import output_files, pack_bitstream, publish, write_hardware, write_report, write_verilog

__all__ = ["WEIGHTS_STEPS", "replace_weights"]

WEIGHTS_STEPS = (
    "load network", "compile program", "generate hardware", "replace contents", "write Verilog", "pack bitstream",
    "write report",
)

#: What a build's report says of place and route, and of the tools that did it.
KEPT = ("clock_mhz_estimate", "seed", "seeds_tried", "critical_path", "cells", "tools")

#: Files of a build that are read.
NEEDED = ("rtlil", "netlist", "placed_netlist", "textual_bitstream", "program", "program_contents")

REMEDY = "build it without --weights-only"


def replace_weights(options, *, stream=None, verbose=False):
    """Put another network into a finished build, and return the report and the folder.

    The build is in ``options.out`` or the folder named after board and network. The network must differ from the
    build's in nothing but weights, thresholds and constants; then the files are what a whole build would have made of
    it, except that fields as wide as the build's are kept where the network would do with narrower ones. Array and
    clock are the build's. Files change only when all of them are made. Progress goes to ``stream``.

    Raises ``OptionError`` and ``sw.errors.CompileError`` if there is no such build, or the network does not fit it,
    and ``hw.tools.ToolError`` if a tool fails.
    """
    progress = Progress(WEIGHTS_STEPS, stream, verbose=verbose)
    board, _ = board_and_clock(options)
    if board.part.family not in CODECS:
        raise OptionError(f"--weights-only is for {' and '.join(family.name for family in CODECS)}, and board "
                          f"{board.name} has a part of {board.part.family.name}; {REMEDY}")
    if options.seed is not None:
        raise OptionError("--seed is for place and route, which --weights-only leaves out; give one of them")
    if options.engines != 1:
        raise OptionError(f"--weights-only is for a build of one engine, and --engines asks for {options.engines}; "
                          f"{REMEDY}")
    entry = load_network(options, progress)
    out = output_folder(options, board, entry)
    report = _finished_report(out, board)
    built = _built_program(out)
    _require_options(options, report, built, out)
    with progress.step("compile program"):
        program = compile_graph(entry.graph, built.engine, shared_store=board.flash is not None, least=built)
    _require_structure(program, built, out)
    plan = Plan(board, report["clock_mhz_constraint"], entry, program)
    with tempfile.TemporaryDirectory(dir=out, prefix=".unfinished-") as folder:
        found = _make_files(plan, report, Path(folder), out, progress)
        made = [name for name in found["files"].values() if (Path(folder) / name).is_file()]
        publish(Path(folder), out, made)
    return found, out


def _make_files(plan, built, folder, out, progress):
    """Make every file but the logs and the pins in ``folder``, and return the report."""
    logs = (out / "logs").resolve()
    write_hardware(plan, folder, progress)
    with progress.step("replace contents"):
        try:
            patch(out, folder, "design", plan.board.part.family, log=logs / "contents.log")
        except ValueError as error:
            raise OptionError(f"the build in {out} cannot take other weights: {error}; {REMEDY}") from error
    write_verilog(folder, logs, progress)
    files = pack_bitstream(plan, folder, logs, progress) | {"contents_log": "logs/contents.log"}
    report = plan_report(plan, progress) | {name: built[name] for name in KEPT} | {
        "kind": "build", "files": files, "built_for": built.get("built_for", built["network"])}
    return write_report(report, plan, folder, progress)


def _finished_report(out, board):
    """The report of the build in ``out``, which is for ``board`` and has all files that are needed."""
    try:
        report = json.loads((out / "report.json").read_text())
        found, complete = report["board"], {"network", "clock_mhz_constraint", *KEPT} <= set(report)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OptionError(
            f"no finished build in {out} ({error}); give the folder of one with --out, or {REMEDY}") from error
    if found != board.name:
        raise OptionError(
            f"the build in {out} is for board {found}, not {board.name}; give --board {found}, or another --out")
    if "engines" in report:
        raise OptionError(f"the build in {out} has {len(report['engines'])} engines in a row, and --weights-only is "
                          f"for one; {REMEDY}")
    if not complete:
        raise OptionError(f"the build in {out} has a report without place and route; {REMEDY}")
    files = output_files(board.part.family)
    missing = [files[what] for what in NEEDED if not (out / files[what]).is_file()]
    if missing:
        raise OptionError(f"the build in {out} lacks {', '.join(missing)}; {REMEDY}")
    return report


def _built_program(out):
    try:
        return load_program(out)
    except ArtifactError as error:
        raise OptionError(f"the build in {out} cannot be read: {error}; {REMEDY}") from error


def _require_options(options, report, built, out):
    wanted = {name: getattr(options, name) for name in ("rows", "columns", "lanes")}
    engine = replace(built.engine, **{name: value for name, value in wanted.items() if value is not None})
    if engine != built.engine:
        raise OptionError(f"the build in {out} has an array of {built.engine}, not of {engine}; leave out --rows, "
                          f"--columns and --lanes, or {REMEDY}")
    clock = report["clock_mhz_constraint"]
    if options.clock_mhz is not None and board_and_clock(options)[1] != clock:
        raise OptionError(f"the build in {out} has a clock of {clock:g} MHz, not {options.clock_mhz:g} MHz; leave out "
                          f"--clock-mhz, or {REMEDY}")


def _require_structure(program, built, out):
    found = differences(built, program)
    if found:
        raise OptionError("\n".join([
            f"{program.network} does not fit the build in {out}, which is for {built.network}; {REMEDY}; it differs:",
            *(f"  - {line}" for line in found)]))

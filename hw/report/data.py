"""The report as data: one JSON document with every figure, whose schema is ``schema.json`` beside this file.

A check gives what needs no synthesis; a build adds what the tools found.
"""

from dataclasses import asdict

from ..design import design_needs, design_resources, programs_of
from ..protocol import encode_reply, encode_request
from ..tools import tool_versions

__all__ = ["SCHEMA_VERSION", "build_report", "check_report"]

SCHEMA_VERSION = 1

#: Where a frame's cycles go, by the field of ``sw.schedule.LayerSchedule``.
CYCLE_CAUSES = {
    "array": "issue_cycles", "post_processing": "drain_stalls", "feature_writes": "write_stalls",
    "input": "input_stalls", "prefetch": "fetch_stalls", "fill_and_drain": "gap_cycles",
}


#: Share of a layer's cycles from which on the report says that post-processing is its bottleneck.
HELD_UP = 0.05


def check_report(program, board, *, clock_mhz, accuracy, steps):
    """Return what is known of ``program``, or a ``Pipeline``, on ``board`` before synthesis, as a dictionary for JSON.

    ``clock_mhz`` is the constrained clock, ``accuracy`` the network's ``{"float", "integer", "images"}`` (fractions),
    without ``float`` if there was no such model, empty if it was not measured, and ``steps`` maps each step to its
    seconds.
    """
    schedule, programs = program.schedule, programs_of(program)
    frames_per_second = 1e6 * clock_mhz / schedule.cycles_per_frame
    # Ten bits a byte on the wire; the host waits for each reply before it sends the next request.
    exchange = len(encode_request(bytes(program.input_bytes))) + len(encode_reply(0, bytes(program.result_bytes)))
    exchange_seconds = 10 * exchange / board.baud + schedule.latency_cycles / (1e6 * clock_mhz)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "check",
        "board": board.name,
        "board_title": board.title,
        "network": program.network,
        "part": f"{board.part.name}-{board.package.upper()}",
        "array": asdict(programs[0].engine) if len(programs) == 1 else None,
        **({} if len(programs) == 1 else {"engines": _engines(programs)}),
        "synapses_per_cycle": sum(part.engine.synapses_per_cycle for part in programs),
        "binary_macs_per_frame": program.binary_macs,
        "cycles_per_frame": schedule.cycles_per_frame,
        "latency_cycles": schedule.latency_cycles,
        "array_utilisation": schedule.utilisation,
        "array_utilisation_3x3": schedule.utilisation_3x3,
        "clock_mhz_constraint": clock_mhz,
        "clock_margin": board.part.family.clock_margin,
        "clock_note": board.part.family.note,
        "frames_per_second": frames_per_second,
        "latency_us": schedule.latency_cycles / clock_mhz,
        "link": {
            "baud": board.baud,
            "input_bytes": program.input_bytes,
            "result_bytes": program.result_bytes,
            "frames_per_second": 1 / exchange_seconds,
        },
        "layers": [_layer(layer) for layer in schedule.layers],
        "cycles_by_cause": {
            cause: sum(getattr(layer, name) for layer in schedule.layers) for cause, name in CYCLE_CAUSES.items()},
        "held_up_by_post_processing": [
            layer.name for layer in schedule.layers if layer.drain_stalls > HELD_UP * layer.cycles],
        "memories": [asdict(need) for need in design_needs(program, board.part)],
        "cells_estimated": asdict(design_resources(program, board.part)),
        "cells_available": {
            "logic_cells": board.part.logic_cells,
            "block_rams": board.part.block_rams,
            "large_rams": board.part.large_rams,
        },
        "accuracy": {
            key: accuracy[key] for key in ("float", "integer", "images") if key in accuracy} if accuracy else None,
        "tools": tool_versions(board.part.family.tools),
        "steps": steps,
    }


def _engines(programs):
    """Each engine of a row: ``cycles`` are those of a frame, were it alone."""
    cycles = [program.schedule.cycles_per_frame for program in programs]
    return [
        {"array": asdict(program.engine), "layers": list(program.layer_names), "cycles": own,
         "share_of_slowest": own / max(cycles), "utilisation": program.schedule.utilisation}
        for program, own in zip(programs, cycles, strict=True)]


def _layer(layer):
    return {
        "name": layer.name,
        "kind": layer.kind,
        "is_3x3": layer.is_3x3,
        "binary_macs": layer.binary_macs,
        "ideal_cycles": layer.ideal_cycles,
        "issue_cycles": layer.issue_cycles,
        "stall_cycles": layer.stall_cycles,
        "stalls": {"write": layer.write_stalls, "drain": layer.drain_stalls, "input": layer.input_stalls,
                   "fetch": layer.fetch_stalls},
        "gap_cycles": layer.gap_cycles,
        "cycles": layer.cycles,
        "utilisation": layer.utilisation,
    }


def build_report(check, placement, *, files, steps):
    """Return ``check`` with what place and route found: a ``hw.flow.Placement``.

    ``files`` maps what a file is to its name in the output folder; ``steps`` maps each step to its seconds.
    """
    return check | {
        "kind": "build",
        "clock_mhz_estimate": placement.clock_mhz,
        "seed": placement.seed,
        "seeds_tried": [{"seed": seed, "clock_mhz_estimate": clock} for seed, clock in placement.tried.items()],
        "critical_path": [
            {"cell": hop.cell, "net": hop.net, "kind": hop.kind, "delay_ns": hop.delay_ns}
            for hop in placement.critical_path
        ],
        "cells": {
            "used": {kind: used for kind, (used, _) in placement.cells.items()},
            "available": {kind: available for kind, (_, available) in placement.cells.items()},
        },
        "files": files,
        "steps": steps,
    }

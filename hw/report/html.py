"""The report as one page: a template filled with a report's figures and plots."""

import functools
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from . import plots

__all__ = ["render_page"]

CELL_TITLES = {
    "logic_cells": "logic cells",
    "flip_flops": "flip-flops",
    "block_rams": "block RAMs",
    "large_rams": "large RAMs (SPRAM)",
    "multipliers": "multipliers (DSP)",
    "plls": "PLLs",
    "global_buffers": "global buffers",
    "pins": "pins",
}


def render_page(report, floorplan, part):
    """Return the HTML page of a build's ``report``; ``floorplan`` are its ``PlacedCell``s on a ``Part``.

    The page needs nothing but itself: no script, no font, no picture from elsewhere.
    """
    used, available = report["cells"]["used"], report["cells"]["available"]
    cells = [
        (title, used[kind], available[kind], report["cells_estimated"].get(kind))
        for kind, title in CELL_TITLES.items() if available.get(kind)
    ]
    blocks = _blocks(floorplan)
    colours = {block["name"]: block["colour"] for block in blocks}
    return _template().render(
        report=report,
        cells=cells,
        blocks=blocks,
        large_rams=bool(available.get("large_rams")),
        flip_flops="flip_flops" in used,
        path=_path(report["critical_path"]),
        plots={
            "cycles": plots.cycles_per_layer(report["layers"]),
            "utilisation": plots.utilisation(cells),
            "memory": plots.memory_map(report["memories"], available, block_ram_bits=part.family.ram_bits),
            "floorplan": plots.floorplan(floorplan, part.tiles, colours, block_ram=part.family.ram_tiles,
                                         grid=part.family.tile_cells),
        },
    )


def _blocks(floorplan):
    """The blocks, most logic cells first, each with its colour and its cells by kind."""
    counts = {}
    for cell in floorplan:
        if cell.kind != "pin":
            kinds = counts.setdefault(cell.block, {})
            kinds[cell.kind] = kinds.get(cell.kind, 0) + 1
    ordered = sorted(counts, key=lambda name: (-counts[name].get("logic cell", 0), name))
    colours = plots.BLOCK_COLOURS
    return [
        {"name": name, "colour": colours[index % len(colours)], "cells": counts[name]}
        for index, name in enumerate(ordered)
    ]


def _path(hops):
    """The critical path in a line: where from, where to, and its time in cells and in wires."""
    if not hops:
        return None
    routing = sum(hop["delay_ns"] for hop in hops if hop["kind"] == "routing")
    total = sum(hop["delay_ns"] for hop in hops)
    return {
        "start": hops[0]["cell"], "end": hops[-1]["cell"], "total_ns": total, "routing_ns": routing,
        "logic_ns": total - routing, "levels": sum(hop["kind"] == "logic" for hop in hops),
    }


@functools.cache
def _template():
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["grouped"] = lambda number: f"{number:,}"
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    environment.filters["fixed"] = lambda number, digits=1: f"{number:,.{digits}f}"
    return environment.from_string((files(__package__) / "page.html").read_text())

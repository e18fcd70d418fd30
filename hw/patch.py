"""Other ROM contents in a design that is placed and routed: the netlists and the configuration, without nextpnr."""

from pathlib import Path

import numpy as np

from .ram_contents import CODECS, find_blocks, read_blocks, write_blocks, write_parameters
from .rom_mapping import logic_of, rom_contents

__all__ = ["patch"]


def patch(built, folder, name, family, *, log):
    """Write the configuration and both netlists of a build to ``folder``, with the contents of another design's ROMs.

    The build is ``built/name.*``, the RTLIL that it was made from included; the other design is ``folder/name.il``.
    The two may differ only in the words of ROMs that can be replaced (``hw.memory.Rom``). Where those lie is read from
    the placed netlist. First the build's own words are looked up there: unless every RAM holds what its design says,
    nothing is written.

    Raises ``ValueError`` if the designs differ in more, or the build does not hold what its design says, and
    ``hw.tools.ToolError`` if Yosys fails.
    """
    built, folder = Path(built), Path(folder)
    design = (built / f"{name}.il").read_text()
    if logic_of(design) != logic_of((folder / f"{name}.il").read_text()):
        raise ValueError("the logic around the ROMs is another one; it may come from another version of Popforge")
    codec = CODECS[family]
    suffixes = family.configuration, "json", "placed.json"
    configuration, netlist, placed = ((built / f"{name}.{suffix}").read_text() for suffix in suffixes)

    before = folder / "before"
    before.mkdir()
    (before / f"{name}.il").write_text(design)
    old = rom_contents(before, name, family, log=log)
    new = rom_contents(folder, name, family, log=log)
    try:
        headings = find_blocks(old, placed, configuration, codec)
        blocks = read_blocks(configuration, codec)
        strange = [cell for cell, bits in old.items() if not np.array_equal(blocks[headings[cell]], bits)]
    except (KeyError, ValueError) as error:
        raise ValueError(f"its placed netlist and its configuration do not fit its design ({error})") from error
    if strange:
        raise ValueError(f"its configuration does not hold what its design has in block RAM {strange[0]}"
                         f"{f' and {len(strange) - 1} more' if len(strange) > 1 else ''}")

    for suffix, text in zip(suffixes, (
        write_blocks(configuration, {headings[cell]: bits for cell, bits in new.items()}, codec),
        write_parameters(netlist, new, codec),
        write_parameters(placed, {cell + codec.suffix: bits for cell, bits in new.items()}, codec),
    )):
        (folder / f"{name}.{suffix}").write_text(text)

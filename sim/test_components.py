"""Components as Verilog in Verilator; ``tests/hw`` has the same components in Amaranth's simulator."""

import xml.etree.ElementTree as ElementTree

import pytest

from sim.cells import CELLS, cell_models
from sim.components import Components, components
from sim.simulate import FOLDER
from sim.verilate import build, run


@pytest.mark.slow
def test_components():
    """All in one simulation: starting it costs more than it does."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    cells = FOLDER / "cells.v"
    cells.write_text(cell_models(*CELLS))
    runner, target = build(Components(), name="components", folder=FOLDER, sources=[cells])
    results = run(runner, target, name="components", module="sim.components_bench")
    tested = {case.get("name").partition("/")[0] for case in ElementTree.parse(results).iter("testcase")}
    assert tested == set(components())

"""Components as Verilog in Verilator; ``tests/hw`` has the same components in Amaranth's simulator."""

import xml.etree.ElementTree as ElementTree

import pytest

from sim.components import Components, components
from sim.simulate import FOLDER
from sim.verilate import build, run


@pytest.mark.slow
def test_components():
    """All in one simulation: starting it costs more than it does."""
    runner, target = build(Components(), name="components", folder=FOLDER)
    results = run(runner, target, name="components", module="sim.components_bench")
    tested = {case.get("name").partition("/")[0] for case in ElementTree.parse(results).iter("testcase")}
    assert tested == set(components())

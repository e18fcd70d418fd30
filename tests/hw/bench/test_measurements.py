"""Small rows through all the tools: a bare array, and a whole design with its cycles counted."""

import numpy as np
import pytest

from hw.bench import designs
from hw.bench.arrays import measure_array
from hw.bench.figures import figures
from hw.bench.rows import ROWS, ArrayRow, DesignRow
from hw.tools import ToolError
from sw import zoo
from sw.compile import compile_graph
from sw.engine import Engine
from sw.graph_file import save_graph
from tests.sw.networks import random_images


@pytest.mark.slow
def test_array(tmp_path):
    found = measure_array(ArrayRow("small", "ice40", 2, 2, 16, 8, clock_mhz=12.0), tmp_path)
    assert (found["part"], found["synapses"], found["popcount"]) == ("iCE40UP5K", 64, "ice40")
    cells = [found["forms"][form]["logic_cells"] for form in ("own", "portable", "naive")]
    # Two LUTs a synapse are the least that is known, and the harness around it is not among them.
    assert 128 < cells[0] < cells[2] < 6 * 64
    assert cells[0] <= cells[1] <= cells[2]
    # 64 bits of words, 7 of control, 32 of sums, 2 that end a pass, and one that loads.
    assert 2 * 32 + 7 + 32 + 2 + 1 <= found["harness_cells"] < 120
    assert all(form["clock_mhz"] > 12 for form in found["forms"].values())


@pytest.fixture
def network(tmp_path, tiny_mlp):
    """A folder with a network and images."""
    folder = tmp_path / "network"
    save_graph(tiny_mlp, folder)
    images = random_images(3, tiny_mlp.inputs.shape, 12)
    np.savez(folder / "sample.npz", images=images, labels=np.zeros(12, np.int64))
    return folder


@pytest.mark.slow
def test_design(network, tmp_path, monkeypatch):
    row = DesignRow("small", "ice40", str(network), 4, 1, 8)
    found = designs.measure_design(row, tmp_path / "out")
    engine = Engine(**found["array"])
    assert (engine.rows, engine.columns, engine.lanes) == (4, 1, 8)
    schedule = compile_graph(zoo.load(str(network)).graph, engine).schedule
    assert found["cycles_per_frame"] == schedule.cycles_per_frame and found["macs"] == 64 * 16 + 16 * 3
    assert found["counted"] == {
        "frames": designs.FRAMES, "cycles_per_frame": [schedule.cycles_per_frame] * (designs.FRAMES - 1),
        "latency_cycles": schedule.latency_cycles}
    assert found["cells"]["used"]["logic_cells"] > 200 and found["clock_mhz_estimate"] >= found["clock_mhz"] == 24
    monkeypatch.setitem(ROWS, "small", row)
    assert figures("small", found)["counted_as_scheduled"] is True

    def hang(module, arguments, *, log, timeout):
        raise ToolError(f"{module} timed out after {timeout} s")

    monkeypatch.setattr(designs, "run_module", hang)
    assert designs._count(row, tmp_path) == {"reason": "sim.cycles timed out after 1500 s"}

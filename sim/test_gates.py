"""The netlist after synthesis computes what the RTL does, to the bit and to the cycle."""

import pytest

from hw.boards import find_board
from sim.gates import GateLevel, cell_models
from sim.prepare import make_job
from sim.simulate import FOLDER, simulate
from sw.engine import Engine
from tests.sw.networks import random_cnn, random_images


@pytest.mark.slow
@pytest.mark.parametrize("popcount", ["portable", "ice40"])
def test_network_of_cells(popcount):
    graph = random_cnn(21, (6, 6, 1), 8, (8, 8), pools=(2,), classes=3)
    job = make_job(graph, Engine(4, 3, 8, 2), random_images(7, graph.inputs.shape, 9))
    device = GateLevel(job.program, popcount)
    netlist = device.write(FOLDER / f"gates-{popcount}", find_board("ice40").part)
    simulate(job, name="all", tests=".*", device=device, sources=[netlist, cell_models()])

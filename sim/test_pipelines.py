"""Small networks on engines in a row, of unlike shapes: scores, maps, links and cycles of the RTL, and its recovery."""

import pytest

from sim.prepare import make_pipeline_job
from sim.simulate import simulate
from sw import ir
from sw.engine import Engine
from tests.sw.networks import random_cnn, random_images

SHAPES = {
    "two engines": (random_cnn(21, (11, 10, 1), 2, (8, 12, 6), pools=(1,), classes=4),
                    [Engine(4, 3, 8, 2), Engine(3, 2, 16)], (1,)),
    "three engines": (random_cnn(22, (10, 9, 1), 4, (24, 12, 8), pools=(2,), stride=(1, 1, 2), classes=5),
                      [Engine(4, 2, 16, 4), Engine(3, 3, 24, 3), Engine(2, 1, 8, popcount_stages=1)], (1, 2)),
}
#: Frames with every kind of gap and stall, recovery from bad ones, and the maps of some.
TESTS = {"module": "sim.frames_bench,sim.pipeline_bench", "tests": "frames/|recovery/|pipeline_bench.maps"}


def job_of(graph, engines, cuts, frames=18):
    return make_pipeline_job(graph, engines, random_images(9, graph.inputs.shape, frames), cuts=cuts)


@pytest.mark.parametrize("name", SHAPES)
def test_pipeline(name):
    simulate(job_of(*SHAPES[name]), name="all", **TESTS)


def test_another_weight_is_found():
    """The hardware of one network, and what the reference makes of another, in which one weight is another."""
    graph, *shape = SHAPES["two engines"]
    first = graph.nodes[1]
    weights = first.weights.copy()
    weights[3, 1, 1, 0] *= -1
    other = ir.Graph((graph.inputs, ir.Conv(first.name, first.source, weights, first.stride, first.padding,
                                            first.pad_value), *graph.nodes[2:]), graph.name)
    with pytest.raises(RuntimeError, match=r"pipeline_bench failed(.|\n)*Mismatch: frame 1: conv1: channel 3 of pixel"):
        simulate(job_of(other, *shape), name="another weight", module="sim.pipeline_bench", tests="maps",
                 built_from=job_of(graph, *shape).program)

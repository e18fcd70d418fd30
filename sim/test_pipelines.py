"""Small networks on engines in a row, of unlike shapes: scores, maps, links and cycles of the RTL, and its recovery."""

import dataclasses

import pytest

from sim.prepare import make_pipeline_job
from sim.simulate import simulate
from sw.engine import Engine
from sw.pipeline import Pipeline
from tests.sw.networks import random_cnn, random_images, random_mlp

SHAPES = {
    "two engines": (random_cnn(21, (11, 10, 1), 2, (8, 12, 6), pools=(1,), classes=4),
                    [Engine(4, 3, 8, 2), Engine(6, 2, 16, 2)], (1,)),
    "three engines": (random_cnn(22, (10, 9, 1), 3, (24, 12, 8), pools=(2,), stride=(1, 1, 2), classes=5),
                      [Engine(8, 2, 16, 4), Engine(6, 3, 24, 3), Engine(4, 1, 8, 1, popcount_stages=1)], (1, 2)),
    "vectors": (random_mlp(23, (70, 20, 12, 4)), [Engine(5, 1, 16), Engine(4, 1, 8), Engine(4, 1, 8)], (1, 2)),
}


def job_of(name, frames=18):
    graph, engines, cuts = SHAPES[name]
    return make_pipeline_job(graph, engines, random_images(9, graph.inputs.shape, frames), cuts=cuts)


@pytest.mark.parametrize("name", SHAPES)
def test_pipeline(name):
    job = job_of(name)
    simulate(job, name="frames", tests="frames/|recovery/")
    simulate(job, name="maps", tests="maps", module="sim.pipeline_bench")


def test_corrupted_weight_of_the_first_engine_is_found():
    job = job_of("vectors", 9)
    first, *others = job.program.programs
    weights = first.weights.copy()
    weights[:, ::3] ^= 1
    wrong = Pipeline((dataclasses.replace(first, weights=weights), *others))
    with pytest.raises(RuntimeError, match="simulations of sim.pipeline_bench failed"):
        simulate(job, name="corrupted", tests="maps", module="sim.pipeline_bench", built_from=wrong)

"""Small networks with words on engines of many shapes: scores, bits, words and cycles of the RTL, and its recovery."""

import pytest

from sim.prepare import make_job
from sim.simulate import simulate
from tests.sw.networks import random_images
from tests.sw.test_residual_program import NETWORKS

#: Of each network in ``NETWORKS``, whether its store is shared with the words.
SHARED = {
    "identity", "shuffle", "colours, one window buffer", "average and pad", "tiles", "slopes",
    "reduced sums, many classes",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_network(name):
    graph, engine = NETWORKS[name]
    job = make_job(graph, engine, random_images(7, graph.inputs.shape, 18),
                   shared_store=name in SHARED and engine.columns <= 4)
    simulate(job, name="all", tests=".*")

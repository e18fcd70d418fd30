"""The shipped networks on the arrays that the default build gives them, with real images."""

import pytest

from hw.boards import find_board
from hw.fit import choose_engine
from sim.prepare import make_job
from sim.simulate import simulate
from sw import zoo

#: Images of each network: an equal share for each of the nine kinds of gaps and stalls.
FRAMES = 126


@pytest.mark.parametrize("name", zoo.names())
def test_network(name):
    """Scores, class and cycle of every result; every binary map of three images; recovery from bad frames."""
    entry = zoo.load(name)
    engine = choose_engine(entry.graph, find_board("ice40"))
    job = make_job(entry.graph, engine, entry.images[:FRAMES])
    simulate(job, name="all", tests=".*")

"""The shipped networks on the arrays that the default build gives them, with real images."""

import pytest

from hw.boards import find_board
from hw.fit import choose_engine
from sim.driver import PERIOD
from sim.prepare import make_job
from sim.simulate import simulate
from sim.verilate import cycles_per_second
from sw import zoo

#: Images of each network: an equal share for each of the nine kinds of gaps and stalls.
FRAMES = 126
#: Simulated cycles a second that the default network reaches at least.
SLOWEST = 20_000


@pytest.mark.parametrize("name", zoo.names())
def test_network(name):
    """Scores, class and cycle of every result; every binary map of three images; recovery from bad frames."""
    entry = zoo.load(name)
    engine = choose_engine(entry.graph, find_board("ice40"))
    job = make_job(entry.graph, engine, entry.images[:FRAMES])
    results = simulate(job, name="all", tests=".*")
    speed = cycles_per_second(results, period=PERIOD)
    print(f"{name} on {engine}: {FRAMES} images, {speed:,.0f} simulated cycles a second")
    if name == zoo.default():
        assert speed > SLOWEST

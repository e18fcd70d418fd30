"""The shipped networks on the arrays that the default build gives them, with real images."""

import pytest

from hw.boards import find_board
from hw.fit import choose_engine
from sim.driver import PERIOD
from sim.prepare import make_job
from sim.simulate import simulate
from sim.verilate import cycles_per_second
from sw import zoo
from sw.residual.reader import has_words

#: Images of each network: an equal share for each of the nine kinds of gaps and stalls. A residual network's frame is
#: longer.
FRAMES, WORD_FRAMES = 126, 54
#: Simulated cycles a second that the default network reaches at least.
SLOWEST = 20_000


@pytest.mark.parametrize("name", zoo.names())
def test_network(name):
    """Scores, class and cycle of every result; all bits and words of three images; recovery from bad frames."""
    entry = zoo.load(name)
    board = find_board("ice40")
    engine = choose_engine(entry.graph, board)
    frames = WORD_FRAMES if has_words(entry.graph) else FRAMES
    job = make_job(entry.graph, engine, entry.images[:frames], shared_store=board.flash is not None)
    results = simulate(job, name="all", tests=".*")
    speed = cycles_per_second(results, period=PERIOD)
    print(f"{name} on {engine}: {frames} images, {speed:,.0f} simulated cycles a second")
    if name == zoo.default():
        assert speed > SLOWEST

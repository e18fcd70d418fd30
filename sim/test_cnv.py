"""Imported networks of BNN-PYNQ's kind in RTL: a small one made by hand, and CNV itself where it is at hand."""

from pathlib import Path

import numpy as np
import pytest

from sim.prepare import make_job
from sim.simulate import simulate
from sw.engine import Engine
from sw.frontend.bnn_pynq import import_bnn_pynq
from tests.sw.networks import random_images
from tests.sw.pynq_archives import make

SHARED = Path(__file__).parents[2] / "shared" / "data"

#: Images: three for each of the nine kinds of gaps and stalls.
FRAMES = 27


def test_network_made_by_hand(tmp_path):
    """Scores, class and cycle of every result; all bits of three images; recovery from bad frames."""
    np.savez(tmp_path / "net.npz", **make(
        9, [(8, 3, 3, 3), (12, 3, 3, 8), (10, 2, 2, 12), (20, 2, 2, 10), (14, 20), (8, 14)]))
    graph = import_bnn_pynq(tmp_path / "net.npz", (13, 13, 3), "small-cnv")
    job = make_job(graph, Engine(8, 3, 8, 2), random_images(7, graph.inputs.shape, FRAMES))
    simulate(job, name="all", tests=".*")


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real data sets beside the project is absent")
def test_cnv():
    """Scores, class and cycle of every result, and all bits of three images, which are from the training set."""
    graph = import_bnn_pynq(SHARED / "networks" / "bnn_pynq_cnvW1A1_cifar10.npz", (32, 32, 3), "cnv")
    with np.load(SHARED / "cifar10_train4000_lossless.npz") as arrays:
        images = arrays["x"][:FRAMES]
    simulate(make_job(graph, Engine(16, 3, 64, 4), images), name="all", tests="frames|maps")

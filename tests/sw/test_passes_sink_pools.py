import numpy as np

from sw import ir
from sw.passes import sink_pools
from sw.reference import run
from tests.sw.networks import random_images

CONV = ir.Conv("conv", "image", np.random.default_rng(1).choice([-1, 1], (2, 2, 2, 1)))
IMAGE = ir.Input("image", (6, 5, 1), 4)


def network(*middle, size=2):
    """``middle`` ends in a node named ``last``, of 2 x 2 pixels."""
    return ir.Graph((IMAGE, CONV, *middle, ir.Conv("head", "last", np.ones((1, size, size, 2))),
                     ir.Scores("scores", "head", [0])), "net")


def sources(graph):
    return {node.name: node.sources for node in graph.nodes}


def test_pool_goes_behind_sign_and_threshold():
    for bits in (ir.Sign("last", "pool"), ir.Threshold("last", "pool", [3, -7])):
        given = network(ir.MaxPool("pool", "conv", 2), bits)
        sunk = sink_pools(given)
        assert [node.name for node in sunk.nodes] == ["image", "conv", "last", "pool", "head", "scores"]
        assert sources(sunk) == {"image": (), "conv": ("image",), "last": ("conv",), "pool": ("last",),
                                 "head": ("pool",), "scores": ("head",)}
        images = random_images(1, (6, 5, 1), count=50)
        assert np.array_equal(run(sunk, images).scores, run(given, images).scores)
        assert len(np.unique(run(given, images).scores)) > 2


def test_pool_stays_before_batch_norm():
    norm = ir.BatchNorm("norm", "pool", [1, -1], [0, 0], [0, 0], [1, 1], 0)
    given = network(ir.MaxPool("pool", "conv", 2), norm, ir.Sign("last", "norm"))
    assert ir.equal(sink_pools(given), given)


def test_all_that_take_the_bits_take_the_pool():
    nodes = (IMAGE, CONV, ir.MaxPool("pool", "conv", 2), ir.Threshold("last", "pool", [3, -7]),
             ir.Select("other", "last", [1, 0]), ir.Add("add", "last", "other", 3), ir.GlobalSum("sum", "add"),
             ir.Scores("scores", "sum", [0, 0]))
    given = ir.Graph(nodes, "net")
    sunk = sink_pools(given)
    assert [node.name for node in sunk.nodes][2:4] == ["last", "pool"]
    assert sources(sunk) == sources(given) | {"last": ("conv",), "pool": ("last",), "other": ("pool",),
                                              "add": ("pool", "other")}
    images = random_images(1, (6, 5, 1), count=50)
    assert np.array_equal(run(sunk, images).scores, run(given, images).scores)


def test_pool_that_others_take_stays():
    given = network(ir.MaxPool("last", "conv", 2), ir.Sign("aside", "last"))
    assert ir.equal(sink_pools(given), given)

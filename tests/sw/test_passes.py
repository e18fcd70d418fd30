import itertools

import numpy as np
import pytest

from sw import ir
from sw.errors import UnsupportedLayerError
from sw.graph_file import load_graph
from sw.passes import INTEGER_PASSES, PASSES, check_supported, lower, verify_lowered
from sw.reference import run
from tests.sw import scalar_model
from tests.sw.networks import random_cnn, random_images, random_mlp
from tests.sw.residuals import random_residual
from tests.sw.trained import random_trained

PLACES = ("before", "between", "after", "none", "no norm")


@pytest.mark.parametrize("places", [*itertools.product(PLACES, repeat=2), ("before",) * 3, ()], ids="-".join)
def test_lowered_graph_means_the_same(places):
    for seed in range(3):
        given = random_trained(seed, places)
        lowered = lower(given)
        assert verify_lowered(lowered) is lowered
        assert (lowered.name, lowered.metadata) == (given.name, given.metadata)
        images = random_images(seed, given.inputs.shape, count=2)
        scores = run(lowered, images).scores
        for image, found in zip(images, scores):
            assert found.tolist() == scalar_model.classify(given, image)[0]


def test_lowered_kinds():
    kinds = [type(node).__name__ for node in lower(random_trained(1, ("before", "between", "after", "none"))).nodes]
    layer = ["Conv", "Threshold", "MaxPool"]
    assert kinds == ["Input", *layer, *layer, "Conv", "Threshold", "Conv", "Threshold", "Conv", "Scores"]


@pytest.mark.parametrize("graph", [random_cnn(1, pools=(2,)), random_mlp(2), lower(random_trained(3))])
def test_a_lowered_graph_is_its_own(graph):
    assert ir.equal(lower(graph), graph)


def test_passes_leave_what_they_are_given():
    given, twin = random_trained(4), random_trained(4)
    lower(given)
    assert ir.equal(given, twin)


def test_dump(tmp_path):
    given = random_trained(5)
    lowered = lower(given, dump=tmp_path)
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert folders == ["0-given", *(f"{index}-{step.__name__}" for index, step in enumerate(PASSES, start=1))]
    assert ir.equal(load_graph(tmp_path / "0-given"), given)
    assert ir.equal(load_graph(tmp_path / folders[-1]), lowered)


def ones(*shape):
    return np.ones(shape, np.int8)


def norm(name, source, channels=2):
    array = np.ones(channels)
    return ir.BatchNorm(name, source, array, array, array, array, 0.5)


def network(*nodes, end="last"):
    """An image 6 x 6, a convolution ``conv`` of 2 channels, then ``nodes``, then scores of ``end``."""
    body = (ir.Input("image", (6, 6, 1), 8), ir.Conv("conv", "image", ones(2, 3, 3, 1)), *nodes)
    height, width, channels = ir.Graph(body, "body").shape(end)
    return ir.Graph((*body, ir.Conv("head", end, ones(3, height, width, channels)),
                     ir.Scores("scores", "head", [0, 0, 0])), "net")


SIGN = ir.Sign("last", "conv")

UNSUPPORTED = {
    "no sign": (network(norm("last", "conv")),
                ["conv: its sums reach head without a sign; put a SignActivation between them"]),
    "two signs": (network(ir.Sign("sign", "conv"), ir.Sign("last", "sign")),
                  ["last: sign already gives bits; leave out this Sign"]),
    "norm behind sign": (network(ir.Sign("sign", "conv"), norm("last", "sign")),
                         ["last: a batch norm behind sign, which gives bits; put it before"]),
    "two norms": (network(norm("a", "conv"), norm("b", "a"), ir.Sign("last", "b")),
                  ["b: a already normalises; leave out one of the two"]),
    "two pools": (network(ir.MaxPool("a", "conv", 2), ir.Sign("sign", "a"), ir.MaxPool("last", "sign", 2)),
                  ["last: a already pools; use one pool of size 4"]),
    "threshold behind norm": (network(norm("a", "conv"), ir.Threshold("last", "a", [0, 0])),
                              ["last: a Threshold behind batch norm a; use a Sign there"]),
    "image not convolved": (
        ir.Graph((ir.Input("image", (2, 2, 1), 8), ir.Sign("a", "image"), ir.Conv("head", "a", ones(1, 2, 2, 1)),
                  ir.Scores("scores", "head", [0])), "net"),
        ["a: Sign of the image itself; begin with a convolution or a fully connected layer"]),
    "nothing": (ir.Graph((ir.Input("image", (2, 2, 1), 8), ir.Sign("a", "image")), "net"),
                ["image: the network has no convolution or fully connected layer",
                 "a: Sign of the image itself; begin with a convolution or a fully connected layer"]),
    "no scores": (network(SIGN).replace(nodes=network(SIGN).nodes[:-1]),
                  ["head: it does not give scores; end with a fully connected layer and a ScoreHead"]),
    "norm of scores": (
        ir.Graph((*network(SIGN).nodes[:-1], norm("b", "head", 3), ir.Scores("scores", "b", [0, 0, 0])), "net"),
        ["b: BatchNorm between head and the scores; the ScoreHead's offsets suffice"]),
    "branch": (
        ir.Graph((*network(SIGN).nodes[:-2], ir.Conv("head", "conv", ones(1, 4, 4, 2)),
                  ir.Scores("scores", "head", [0])), "net"),
        ["head: takes conv, not the layer before it, last; branches are not supported, so make the network a chain"]),
    "unknown kind": (
        network(ir.Unary("strange", "conv"), ir.Sign("last", "strange")),
        [("strange: Unary in a network that still has a BatchNorm or Sign; leave it out, or give integers throughout "
          "(Affine and Threshold in their place)")]),
    "residual": (
        network(norm("a", "conv"), ir.Sign("sign", "a"), ir.Add("last", "sign", "sign", 2)),
        [("last: Add in a network that still has a BatchNorm or Sign; leave it out, or give integers throughout "
          "(Affine and Threshold in their place)")]),
    "all at once": (
        network(ir.MaxPool("a", "conv", 2), ir.MaxPool("b", "a", 2), ir.Conv("more", "b", ones(2, 1, 1, 2)),
                norm("n", "more"), ir.Conv("last", "n", ones(2, 1, 1, 2))),
        ["b: a already pools; use one pool of size 4",
         "conv: its sums reach more without a sign; put a SignActivation between them",
         "more: its sums reach last without a sign; put a SignActivation between them",
         "last: its sums reach head without a sign; put a SignActivation between them"]),
}


@pytest.mark.parametrize(("graph", "reasons"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_unsupported(graph, reasons):
    with pytest.raises(UnsupportedLayerError) as caught:
        lower(graph)
    assert list(caught.value.reasons) == reasons


@pytest.mark.parametrize("graph", [
    network(ir.Conv("more", "conv", ones(2, 1, 1, 2)), ir.MaxPool("a", "more", 2), ir.MaxPool("last", "a", 2)),
    network(ir.Threshold("a", "conv", [0, 9999]), ir.Add("last", "a", "conv", 9)),
    ir.Graph((ir.Input("image", (2, 2, 1), 8),), "net"),
])
def test_integers_are_lowered_whatever_they_are(graph):
    assert ir.equal(lower(graph), graph)


@pytest.mark.parametrize("place", ["none", "before"])
@pytest.mark.parametrize(("groups", "bits"), [(2, 1), (1, 3), (4, 2)])
def test_groups_and_multi_bit_weights_are_lowered(place, groups, bits):
    """In a chain with batch norms of either sign; behind a pool, the next layer's groups take the inverted bits."""
    random = np.random.default_rng(groups)

    def conv(name, source, channels):
        weights = 2 * random.integers(0, 2**bits, (4, 2, 2, channels // groups)) - (2**bits - 1)
        return ir.Conv(name, source, weights, groups=groups, weight_bits=bits)

    pool = [ir.MaxPool("pool", "one", 2)] if place == "before" else []
    nodes = [ir.Input("image", (7, 7, 4), 2), conv("one", "image", 4), *pool]
    nodes += [ir.BatchNorm("norm", nodes[-1].name, [1, -1, -2, 2], [1, 2, -3, 4], [3, 1, 0, 2], [1, 2, 3, 4], 0.5),
              ir.Sign("bits", "norm"), conv("two", "bits", 4), ir.Sign("more", "two")]
    side = ir.Graph(tuple(nodes), "so-far").shape("more")[0]
    nodes += [ir.Conv("head", "more", random.choice([-1, 1], (3, side, side, 4))),
              ir.Scores("scores", "head", [0, 0, 0])]
    graph = ir.Graph(tuple(nodes), "net")
    lowered = lower(graph)
    assert verify_lowered(lowered) is lowered
    images = random_images(1, (7, 7, 4), count=3)
    for image, scores in zip(images, run(lowered, images).scores):
        assert scores.tolist() == scalar_model.classify(graph, image)[0]


def test_dump_of_integers(tmp_path):
    given = random_residual(1)
    lowered = lower(given, dump=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "0-given", *(f"{index}-{step.__name__}" for index, step in enumerate(INTEGER_PASSES, start=1))]
    assert ir.equal(load_graph(tmp_path / "0-given"), given)
    assert ir.equal(load_graph(tmp_path / "3-sink_pools"), lowered)


def test_supported_graph_is_returned():
    graph = random_trained(6, PLACES[:3])
    assert check_supported(graph) is graph


@pytest.mark.parametrize(("graph", "reasons"), [
    (network(SIGN), [
        "last: Sign of conv stands behind conv, where the lowered form has Threshold or Scores; run sw.passes.lower",
        "head: Conv of last stands behind last, where the lowered form has nothing; run sw.passes.lower"]),
    (network(ir.Threshold("last", "conv", [0, 2297])), [
        "last: a threshold is 1 too far from 0 for the sums of conv; clamp it to one beyond their reach"]),
    (ir.Graph(network(ir.Threshold("last", "conv", [-2296, 2296])).nodes[:3], "net"), [
        "last: the last node must be Scores"]),
    (UNSUPPORTED["branch"][0], [
        "last: Sign of conv stands behind conv, where the lowered form has Threshold or Scores; run sw.passes.lower",
        "head: Conv of conv stands behind last, where the lowered form has nothing; run sw.passes.lower"]),
])
def test_not_lowered(graph, reasons):
    with pytest.raises(UnsupportedLayerError) as caught:
        verify_lowered(graph)
    assert list(caught.value.reasons) == reasons

"""The nodes of residual networks in the integer model: rows by hand, and random graphs against the scalar model."""

import numpy as np
import pytest

from sw import ir
from sw.reference import evaluate, run, runner, trace
from tests.sw import scalar_model
from tests.sw.networks import random_images
from tests.sw.residuals import random_residual


@pytest.mark.parametrize("seed", range(25))
def test_random_graphs_equal_the_scalar_model(seed):
    graph = random_residual(seed)
    images = random_images(seed, graph.inputs.shape, count=2)
    result = run(graph, images, trace=True)
    assert set(result.maps) == {node.name for node in graph.nodes}
    for index, image in enumerate(images):
        expected = scalar_model.evaluate(graph, image)
        for name, values in result.maps.items():
            assert values[index].tolist() == expected[name], name
        assert (result.scores[index].tolist(), result.classes[index]) == scalar_model.classify(graph, image)


@pytest.mark.parametrize("seed", range(25))
def test_values_keep_within_their_ranges(seed):
    graph = random_residual(seed)
    for name, values in run(graph, random_images(seed, graph.inputs.shape, count=8), trace=True).maps.items():
        limits = graph.range(name)
        assert limits.low <= values.min(), name
        assert values.max() <= limits.high, name
        assert not limits.odd or np.all(values % 2 == 1), name


def test_random_graphs_have_every_node_of_integers():
    kinds = {type(node) for seed in range(25) for node in random_residual(seed).nodes}
    assert kinds == set(ir.KINDS) - {ir.BatchNorm, ir.Sign}


def ladder(node, low, high):
    """What a node makes of the integers from ``low`` to ``high`` in a row, one channel; ``words`` is its source."""
    width = high - low + 1
    words = ir.Affine("words", "image", [1], [0], 0, 32)
    graph = ir.Graph((ir.Input("image", (1, width, 1), 8), ir.GlobalSum("sum", "image"), words, node), "net")
    return evaluate(graph, node.name, np.arange(low, high + 1).reshape(1, 1, -1, 1)).ravel().tolist()


AFFINE = {
    # (2x + 1) / 4, to the nearest, halves up: 1/4 at 0, -1/4 at -1, 3/4 at 1, -3/4 at -2, ...
    "nearest": (ir.Affine("n", "words", [2], [1], 2, 8), [-1, -1, 0, 0, 1, 1]),
    "halves go up": (ir.Affine("n", "words", [1], [0], 1, 8), [-1, -1, 0, 0, 1, 1]),
    "halves of the negative": (ir.Affine("n", "words", [-1], [0], 1, 8), [2, 1, 1, 0, 0, -1]),
    "no shift": (ir.Affine("n", "words", [3], [-5], 0, 8), [-14, -11, -8, -5, -2, 1]),
    "saturates": (ir.Affine("n", "words", [3], [0], 0, 3), [-4, -4, -3, 0, 3, 3]),
    "saturates after rounding": (ir.Affine("n", "words", [2], [2], 2, 2), [-1, 0, 0, 1, 1, 1]),
    "shift beyond all": (ir.Affine("n", "words", [1], [0], 61, 8), [0] * 6),
    "a large offset": (ir.Affine("n", "words", [1], [-(1 << 60)], 60, 8), [-1] * 6),
    "prelu": (ir.Slopes("n", "words", [4], [1], 2, 8), [-1, 0, 0, 0, 1, 2]),
    "negative slope": (ir.Slopes("n", "words", [1], [-2], 1, 8), [3, 2, 1, 0, 1, 1]),
    "prelu saturates": (ir.Slopes("n", "words", [9], [9], 0, 4), [-8, -8, -8, 0, 7, 7]),
    "hardtanh": (ir.Clip("n", "words", -2, 1), [-2, -2, -1, 0, 1, 1]),
    "square": (ir.Power("n", "words", 2), [9, 4, 1, 0, 1, 4]),
    "cube": (ir.Power("n", "words", 3), [-27, -8, -1, 0, 1, 8]),
    "table of even length": (ir.Table("n", "words", [5, 6, 7, 8], 1, 0), [5, 5, 6, 7, 8, 8]),
    "table of odd length": (ir.Table("n", "words", [5, 6, 7], 1, 0), [5, 5, 5, 6, 7, 7]),
    "table does not round": (ir.Table("n", "words", [5, 6, 7, 8], 1, 1), [5, 6, 6, 7, 7, 8]),
    "table falls": (ir.Table("n", "words", [5, 6, 7, 8], -3, 1), [8, 8, 8, 7, 5, 5]),
    "table of a far shift": (ir.Table("n", "words", [5, 6, 7, 8], 1, 40), [6, 6, 6, 7, 7, 7]),
    "threshold": (ir.Threshold("n", "words", [-1]), [-1, -1, 1, 1, 1, 1]),
    "stride": (ir.Subsample("n", "words", 4), [-3, 1]),
    "sum": (ir.GlobalSum("n", "words"), [-3]),
    "average": (ir.AveragePool("n", "words", 1), [-3, -2, -1, 0, 1, 2]),
    "select": (ir.Select("n", "words", [0, -1]), [-3, 0, -2, 0, -1, 0, 0, 0, 1, 0, 2, 0]),
}


@pytest.mark.parametrize(("node", "expected"), AFFINE.values(), ids=AFFINE)
def test_from_minus_3_to_2(node, expected):
    assert ladder(node, -3, 2) == expected


@pytest.mark.parametrize(("total", "mean"), [
    (-6, -1), (-3, -1), (-2, 0), (-1, 0), (0, 0), (1, 0), (2, 1), (5, 1), (6, 2)])
def test_average_rounds_half_up(total, mean):
    """Of 2 x 2 pixels; a third row and column are dropped."""
    graph = ir.Graph((ir.Input("image", (3, 3, 1), 8), ir.AveragePool("n", "image", 2)), "net")
    pixels = np.full((1, 3, 3, 1), 99)
    pixels[0, :2, :2, 0] = [[total + 3, -1], [-1, -1]]
    assert evaluate(graph, "n", pixels).tolist() == [[[[mean]]]]


@pytest.mark.parametrize("bits", [2, 8, 32])
def test_addition_saturates(bits):
    graph = ir.Graph((ir.Input("image", (1, 1, 1), 8), ir.Affine("a", "image", [1 << 24], [0], 0, 32),
                      ir.Add("n", "a", "a", bits)), "net")
    most = 2 ** (bits - 1) - 1
    for value in (most, most // 2 + 1, most // 2, 0, -most // 2, -most // 2 - 1, -most - 1):
        found = evaluate(graph, "n", *[np.full((1, 1, 1, 1), value)] * 2)
        assert found.item() == scalar_model.saturated(2 * value, bits)
        assert found.dtype == np.int32


@pytest.mark.parametrize("swapped", [False, True])
def test_one_pixel_is_added_to_all(swapped):
    sources = ("sum", "image") if swapped else ("image", "sum")
    graph = ir.Graph((ir.Input("image", (2, 2, 2), 1), ir.GlobalSum("sum", "image"), ir.Add("n", *sources, 4),
                      ir.Compare("c", "image", "sum"), ir.GlobalSum("s", "n"),
                      ir.Scores("scores", "s", [0, 0])), "net")
    maps = trace(graph, np.array([[[0, 255], [0, 255]], [[0, 0], [255, 255]]], np.uint8))
    assert maps["sum"].tolist() == [[[-2, 2]]]
    assert maps["n"].tolist() == [[[-3, 3], [-3, 3]], [[-3, 1], [-1, 3]]]
    assert maps["c"].tolist() == [[[1, -1], [1, -1]], [[1, -1], [1, -1]]]


def test_channels_of_groups():
    """Each group of two outputs sees its own two inputs; the weights tell them apart."""
    weights = np.array([[[[1, 3]]], [[[5, 7]]], [[[9, 11]]], [[[13, 15]]]])
    graph = ir.Graph((ir.Input("image", (1, 1, 4), 8), ir.Conv("n", "image", weights, groups=2, weight_bits=4)), "net")
    pixels = np.array([[[[1, 10, 100, 1000]]]], np.float32)
    assert evaluate(graph, "n", pixels).tolist() == [[[[31, 75, 11900, 16300]]]]


def wide(power, bits=8, side=1):
    """The cube of an 8-bit pixel, or its cube too, as one weight of 255 takes it."""
    nodes = [ir.Input("image", (side, side, 1), bits)]
    for index in range(power):
        nodes.append(ir.Power(f"power{index}", nodes[-1].name, 3))
    nodes.append(ir.Conv("conv", nodes[-1].name, np.full((1, side, side, 1), 255), weight_bits=8))
    nodes += [ir.Clip("clip", "conv", -5, 1 << 30), ir.Scores("scores", "clip", [0])]
    return ir.Graph(tuple(nodes), "net")


@pytest.mark.parametrize(("bits", "power", "kind"), [
    (8, 0, np.int32), (3, 1, np.int32), (8, 1, np.int64), (5, 2, np.int64), (6, 2, np.int64)])
def test_exact_at_any_width(bits, power, kind):
    """The sums need float32, float64 and int64, since they are odd and reach beyond 2**53."""
    graph = wide(power, bits)
    for pixel in (0, 1, 100, 128, 254, 255):
        value = 2 * (pixel >> (8 - bits)) - (2**bits - 1)
        maps = trace(graph, np.full((1, 1, 1), pixel, np.uint8))
        assert maps["conv"].item() == value ** 3**power * 255
        assert maps["conv"].dtype == kind
        assert maps["clip"].item() == min(max(maps["conv"].item(), -5), 1 << 30)
        assert maps["clip"].dtype == np.int32


def test_the_widest_sums_are_beyond_float64():
    assert ir.reach(wide(2, 6), "conv") > 1 << 53
    assert 1 << 24 < ir.reach(wide(2, 5), "conv") < 1 << 53


def test_32_bits_fit_int32_in_a_trace():
    nodes = (ir.Input("image", (1, 1, 1), 8), ir.Affine("low", "image", [1 << 30], [0], 0, 32),
             ir.Clip("clip", "low", -1, 1), ir.Scores("scores", "clip", [0]))
    low = trace(ir.Graph(nodes, "net"), np.zeros((1, 1, 1), np.uint8))["low"]
    assert (low.item(), low.dtype) == (-1 << 31, np.int32)


def test_batches_change_nothing(monkeypatch):
    graph = random_residual(3)
    images = random_images(3, graph.inputs.shape, count=11)
    whole = run(graph, images, trace=True)
    monkeypatch.setattr(runner, "_BATCH_ELEMENTS", 2000)
    parts = run(graph, images, trace=True)
    assert all(np.array_equal(whole.maps[name], parts.maps[name]) for name in whole.maps)
    assert np.array_equal(run(graph, images).scores, whole.scores)

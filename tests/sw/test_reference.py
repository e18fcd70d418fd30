import numpy as np
import pytest

from sw import ir
from sw.errors import CompileError, DataError
from sw.reference import reach, run, runner, trace
from tests.sw import scalar_model
from tests.sw.networks import random_cnn, random_images, random_mlp

GRAPHS = [
    random_cnn(1),
    random_cnn(2, shape=(7, 9, 2), bits=3, channels=(3, 5), pools=(1,), stride=(1, 2)),
    random_cnn(3, shape=(6, 6, 1), bits=1, channels=(4, 4, 2), pools=(2,), kernel=(3, 1, 2), padding=(1, 0, 1)),
    random_cnn(4, shape=(9, 4, 1), channels=(2,), kernel=(3,), stride=(2,), padding=(2,)),
    random_cnn(8, bits=5, levels=np.arange(256) * 11 % 32),
    random_mlp(5),
    random_mlp(6, sizes=((4, 3, 2), 7, 5), bits=8),
]


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_equals_the_scalar_model(graph):
    images = random_images(7, graph.inputs.shape, count=4)
    result = run(graph, images, trace=True)
    assert result.scores.dtype == np.int32
    assert set(result.maps) == {node.name for node in graph.nodes}
    for index, image in enumerate(images):
        expected = scalar_model.evaluate(graph, image)
        for name, values in result.maps.items():
            assert values.dtype == np.int32
            assert values[index].tolist() == expected[name], name
        assert (result.scores[index].tolist(), result.classes[index]) == scalar_model.classify(graph, image)


def test_bits_of_the_networks_vary():
    """The tests above, and those of the hardware, would see little if bits were constant."""
    for graph in GRAPHS:
        maps = run(graph, random_images(8, graph.inputs.shape, count=16), trace=True).maps
        for node in graph.nodes:
            if isinstance(node, ir.Threshold):
                assert 0.15 < (maps[node.name] > 0).mean() < 0.85, (graph.name, node.name)


def one_pixel(thresholds, offsets=(0, 0)):
    """Sums 0 or +-2 of two inputs of one bit, thresholds, and scores that tell the bits."""
    conv = ir.Conv("conv", "input", np.ones((2, 1, 1, 2), np.int8))
    return ir.Graph((ir.Input("input", (1, 1, 2), 1), conv, ir.Threshold("sign", "conv", thresholds),
                     ir.Conv("head", "sign", [[[[1, 1]]], [[[1, -1]]]]), ir.Scores("scores", "head", offsets)), "net")


@pytest.mark.parametrize(("image", "total"), [((0, 0), -2), ((0, 255), 0), ((127, 128), 0), ((128, 255), 2)])
def test_threshold_at_just_below_and_just_above(image, total):
    pixels = np.array([[image]], np.uint8)
    for threshold in range(-4, 5):
        maps = trace(one_pixel([threshold, threshold + 1]), pixels)
        assert maps["conv"].tolist() == [[[total, total]]]
        assert maps["sign"].tolist() == [[[1 if total >= threshold else -1, 1 if total > threshold else -1]]]


def test_sign_of_zero_is_plus_one():
    graph = one_pixel([0, 0])
    signs = graph.replace(nodes=(*graph.nodes[:2], ir.Sign("sign", "conv"), *graph.nodes[3:]))
    assert trace(signs, np.array([[[0, 255]]], np.uint8))["sign"].tolist() == [[[1, 1]]]


@pytest.mark.parametrize(("offsets", "scores", "winner"), [
    ((0, 2), [2, 2], 0), ((0, 3), [2, 3], 1), ((1, 2), [3, 2], 0), ((-2, 0), [0, 0], 0)])
def test_ties_go_to_the_lowest_class(offsets, scores, winner):
    result = run(one_pixel([-2, -2], offsets), np.zeros((1, 1, 1, 2), np.uint8))
    assert result.scores.tolist() == [scores]
    assert result.classes.tolist() == [winner]


@pytest.mark.parametrize(("pad_value", "expected"), [(0, 4 * 255), (-255, 4 * 255 - 5 * 255)])
def test_padded_taps(pad_value, expected):
    """The corner of a white image: four taps lie on it, five beside it."""
    conv = ir.Conv("conv", "input", np.ones((1, 3, 3, 1), np.int8), 1, 1, pad_value)
    head = ir.Conv("head", "conv", np.ones((1, 4, 4, 1), np.int8))
    graph = ir.Graph((ir.Input("input", (4, 4, 1), 8), conv, head, ir.Scores("scores", "head", [0])), "net")
    assert trace(graph, np.full((4, 4, 1), 255, np.uint8))["conv"][0, 0, 0] == expected


def test_sums_beyond_float32_are_exact():
    """Convolutions of sums: an odd total above 2**24, where float32 holds even integers only."""
    nodes = [ir.Input("input", (1, 1, 9), 8)]
    for index in range(3):
        nodes.append(ir.Conv(f"conv{index}", nodes[-1].name, np.ones((41, 1, 1, 41 if index else 9), np.int8)))
    graph = ir.Graph((*nodes, ir.Conv("head", "conv2", np.ones((1, 1, 1, 41), np.int8)),
                      ir.Scores("scores", "head", [0])), "net")
    pixels = np.arange(247, 256, dtype=np.uint8).reshape(1, 1, 9)
    expected = sum(2 * value - 255 for value in range(247, 256)) * 41**3
    assert expected > 1 << 24
    assert expected % 2
    assert run(graph, pixels[None]).scores.tolist() == [[expected]]


def test_batches_change_nothing(monkeypatch):
    graph = random_cnn(9)
    images = random_images(9, graph.inputs.shape, count=23)
    whole = run(graph, images, trace=True)
    monkeypatch.setattr(runner, "_BATCH_ELEMENTS", 5 * 64 * 36)
    parts = run(graph, images, trace=True)
    assert np.array_equal(whole.scores, parts.scores)
    assert all(np.array_equal(whole.maps[name], parts.maps[name]) for name in whole.maps)
    assert run(graph, images).maps == {}


def test_no_images():
    result = run(random_mlp(1), np.zeros((0, 1, 1, 16), np.uint8))
    assert result.scores.shape == (0, 4)
    assert result.classes.shape == (0,)


def test_batch_norm_is_evaluated():
    norm = ir.BatchNorm("norm", "conv", [2, -2], [1, 1], [-1, 0.5], [3.75, 4], 0.25)
    graph = one_pixel([0, 0])
    graph = graph.replace(nodes=(*graph.nodes[:2], norm, ir.Sign("sign", "norm"), *graph.nodes[3:]))
    maps = trace(graph, np.array([[[255, 255]]], np.uint8))
    assert maps["norm"].dtype == np.float64
    assert maps["norm"][0, 0] == pytest.approx([2 * 3 / 2 + 1, -2 * 1.5 / 4.25**0.5 + 1], rel=1e-14)


@pytest.mark.parametrize("images", [
    np.zeros((1, 8, 8, 1)), np.zeros((8, 8, 1), np.uint8), np.zeros((2, 8, 9, 1), np.uint8)])
def test_images_refused(images):
    with pytest.raises(DataError, match=r"^network random-cnn-1 takes uint8 images \(N, 8, 8, 1\), not .*$"):
        run(random_cnn(1), images)


def test_graphs_refused():
    graph = random_cnn(1)
    images = random_images(1, (8, 8, 1))
    with pytest.raises(CompileError, match="^network random-cnn-1: it must end in scores, not in head$"):
        run(graph.replace(nodes=graph.nodes[:-1]), images)
    ones = [1] * 4
    norm = ir.BatchNorm("norm", "conv1", ones, ones, ones, ones, 0)
    head = ir.Conv("head", "norm", np.ones((1, 8, 8, 4), np.int8))
    with pytest.raises(CompileError, match="^head: its source norm gives real numbers; put a sign between them$"):
        run(graph.replace(nodes=(*graph.nodes[:2], norm, head, ir.Scores("scores", "head", [0]))), images)
    large = ir.Scores("scores", "head", [(1 << 31) - 1] * 3)
    with pytest.raises(CompileError, match="^scores: its values can reach 2147483903, beyond 32 bits; use fewer"):
        run(graph.replace(nodes=(*graph.nodes[:-1], large)), images)


def test_reach():
    graph = random_cnn(1, bits=3, channels=(4, 5), pools=(1,))
    assert [reach(graph, name) for name in ("input", "conv1", "sign1", "pool1", "conv2")] == [7, 63, 1, 1, 36]

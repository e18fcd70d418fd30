"""The chain of layers that the engine sees, and every reason to refuse a network."""

import re

import numpy as np
import pytest

from sw import ir
from sw.errors import UnsupportedLayerError
from sw.layers import chain_of_layers
from tests.sw.networks import random_cnn, random_mlp


def ones(*shape):
    return np.ones(shape, np.int8)


def graph(*nodes, shape=(4, 4, 1), bits=1):
    return ir.Graph((ir.Input("input", shape, bits), *nodes), "made by hand")


def threshold(name, source, count):
    return ir.Threshold(name, source, np.zeros(count, np.int32))


def head(source, shape, classes=2, offset=0):
    """A fully connected layer that gives scores."""
    return ir.Conv("head", source, ones(classes, *shape)), ir.Scores("scores", "head", np.full(classes, offset))


def test_convolutions():
    network = random_cnn(1, (12, 11, 3), 8, (4, 6, 5), pools=(1,), classes=7, kernel=(3, 3, 1), stride=(1, 2, 1),
                         padding=(1, 1, 0))
    layers = chain_of_layers(network)
    rows = [(layer.name, layer.source, layer.stride, layer.padding, layer.pool, layer.step, layer.planes,
             layer.in_shape, layer.out_shape, layer.is_head, layer.is_3x3) for layer in layers]
    assert rows == [
        ("conv1", "window", 1, 1, 2, 2, 8, (12, 11, 3), (6, 5, 4), False, True),
        ("conv2", "features", 2, 1, 1, 2, 1, (6, 5, 4), (3, 3, 6), False, True),
        ("conv3", "features", 1, 0, 1, 1, 1, (3, 3, 6), (3, 3, 5), False, False),
        ("head", "features", 1, 0, 1, 1, 1, (3, 3, 5), (1, 1, 7), True, False),
    ]
    # Rows and columns that the pool drops do not count: 12 x 10 of conv1's 12 x 11 pixels remain.
    assert [layer.binary_macs for layer in layers] == [
        12 * 10 * 4 * 27 * 8, 3 * 3 * 6 * 9 * 4, 3 * 3 * 5 * 6, 7 * 3 * 3 * 5,
    ]
    assert [layer.largest_sum for layer in layers] == [27 * 255, 9 * 4, 6, 45]
    for index, layer in enumerate(layers[:-1], start=1):
        np.testing.assert_array_equal(layer.weights, network.node(f"conv{index}").weights)
        np.testing.assert_array_equal(layer.thresholds, network.node(f"sign{index}").thresholds)
        assert layer.offsets is None
    np.testing.assert_array_equal(layers[-1].offsets, network.node("scores").offsets)
    assert layers[-1].thresholds is None


def test_vector():
    network = random_mlp(2, ((2, 3, 5), 8, 4))
    layers = chain_of_layers(network)
    assert [(layer.source, layer.in_shape, layer.out_shape) for layer in layers] == [
        ("flat", (1, 1, 30), (1, 1, 8)), ("features", (1, 1, 8), (1, 1, 4)),
    ]
    weights = network.node("linear1").weights
    for y in range(2):
        for x in range(3):
            for channel in range(5):
                flattened = layers[0].weights[:, 0, 0, (y * 3 + x) * 5 + channel]
                np.testing.assert_array_equal(flattened, weights[:, y, x, channel])


@pytest.mark.parametrize(("shape", "kernel", "is_3x3"), [((3, 3), 3, False), ((3, 4), 3, True), ((5, 5), 5, False)])
def test_only_a_kernel_below_its_map_is_3x3(shape, kernel, is_3x3):
    rows, columns = shape[0] - kernel + 1, shape[1] - kernel + 1
    network = graph(
        ir.Conv("first", "input", ones(2, 1, 1, 1)), threshold("sign1", "first", 2),
        ir.Conv("second", "sign1", ones(2, kernel, kernel, 2)), threshold("sign2", "second", 2),
        *head("sign2", (rows, columns, 2)), shape=(*shape, 1))
    assert chain_of_layers(network)[1].is_3x3 is is_3x3


def one_convolution(shape=(6, 6, 1), bits=1, count=2, kernel=(3, 3), **options):
    conv = ir.Conv("conv", "input", ones(count, *kernel, shape[2]), **options)
    rows, columns, _ = conv.output_shape(shape)
    return conv, threshold("sign", "conv", count), *head("sign", (rows, columns, count)), shape, bits


def network_of(*parts):
    *nodes, shape, bits = parts
    return graph(*nodes, shape=shape, bits=bits)


def pooled():
    conv, sign, *_ = one_convolution((9, 9, 1), stride=2)
    return graph(conv, sign, ir.MaxPool("pool", "sign", 2), *head("pool", (2, 2, 2)), shape=(9, 9, 1))


def two_branches():
    return graph(
        ir.Conv("first", "input", ones(2, 3, 3, 1)), threshold("sign1", "first", 2),
        ir.Conv("aside", "input", ones(2, 3, 3, 1)), threshold("sign2", "aside", 2), *head("sign2", (2, 2, 2)))


def pool_of_another():
    return graph(
        ir.Conv("first", "input", ones(2, 1, 1, 1)), threshold("sign1", "first", 2),
        ir.MaxPool("pool", "first", 2), *head("pool", (2, 2, 2)))


def two_heads():
    return graph(*head("input", (1, 1, 8)), ir.Conv("aside", "input", ones(2, 1, 1, 8)),
                 ir.Scores("more", "aside", [0, 0]), shape=(1, 1, 8))


REASONS = {
    "kernel": (lambda: network_of(*one_convolution((1, 258, 1), kernel=(1, 257))),
               r"conv: kernel size 257 is above the engine's 256; use a smaller one"),
    "padding": (lambda: network_of(*one_convolution(kernel=(5, 5), padding=4, pad_value=-1)),
                r"conv: padding 4 is above the engine's 3; use a smaller one"),
    "stride": (lambda: network_of(*one_convolution((9, 9, 1), stride=3)),
               r"conv: stride 3 is above the engine's 2; use a smaller one"),
    "step": (pooled, r"conv: stride x pool 4 is above the engine's 2; use a smaller one"),
    "map": (lambda: network_of(*one_convolution((257, 3, 1))),
            r"conv: map side 257 is above the engine's 256; use a smaller one"),
    "input channels": (lambda: graph(*head("input", (1, 1, 4097)), shape=(1, 1, 4097)),
                       r"head: channel count 4097 is above the engine's 4096; use a smaller one"),
    "output channels": (lambda: network_of(*one_convolution((3, 4, 1), count=4097)),
                        r"conv: channel count 4097 is above the engine's 4096; use a smaller one"),
    "classes": (lambda: graph(*head("input", (1, 1, 8), classes=257), shape=(1, 1, 8)),
                r"head: 257 classes are above the engine's 256"),
    "score": (lambda: graph(*head("input", (1, 1, 8), offset=-32760), shape=(1, 1, 8)),
              r"head: a score can reach 32768, above the 16-bit result's 32767; use fewer inputs or smaller offsets"),
    "no scores": (lambda: graph(ir.Conv("conv", "input", ones(2, 4, 4, 1)), threshold("sign", "conv", 2)),
                  r"conv: the last layer must give scores; end the network with a score head"),
    "zero padding": (lambda: network_of(*one_convolution(bits=3, padding=1)),
                     (r"conv: zero padding of an n-bit image has no \+-1 planes; "
                     r"pad with black \(pad_value -7\) or use padding 0")),
    "dense image": (lambda: graph(*head("input", (4, 4, 1)), bits=8),
                    (r"head: a first layer over the whole image takes 1-bit inputs and no padding, not 8 bits and "
                    r"padding 0; use a smaller kernel, or 1-bit inputs")),
    "pad value": (lambda: graph(ir.Conv("head", "input", ones(2, 4, 4, 1), pad_value=-1),
                                ir.Scores("scores", "head", [0, 0])),
                  r"head: pad_value -1 is only for the first layer of an n-bit image; use 0"),
    "not lowered": (lambda: graph(ir.Conv("conv", "input", ones(2, 3, 3, 1)), ir.Sign("sign", "conv"),
                                  *head("sign", (2, 2, 2))),
                    (r"conv: Conv followed by Sign is not a convolution with a threshold or scores; "
                    r"run sw.passes.lower on the network")),
    "no convolution": (lambda: graph(ir.MaxPool("pool", "input", 2), threshold("sign", "pool", 1)),
                       r"pool: MaxPool followed by Threshold is not a convolution with a threshold or scores; .*"),
    "branch": (two_branches, r"aside: branches are not supported by the engine; layers must form a chain"),
    "pool aside": (pool_of_another, r"first: branches are not supported by the engine; layers must form a chain"),
    "head not last": (two_heads, (r"head: scores must be 1 x 1 and last, not 1 x 1; "
                                 r"end the network with a fully connected layer")),
    "no layers": (graph, r"input: the network has no layers"),
}


@pytest.mark.parametrize("name", REASONS)
def test_reason(name):
    make, pattern = REASONS[name]
    with pytest.raises(UnsupportedLayerError, match=pattern) as caught:
        chain_of_layers(make())
    assert re.fullmatch(pattern, caught.value.reasons[0])


def test_what_is_refused_gives_all_reasons_and_no_others():
    """What is behind a refused node is judged by itself, and not blamed for the branch."""
    network = graph(
        ir.Conv("stem", "input", ones(4, 3, 3, 2), padding=1, pad_value=-255), threshold("sign1", "stem", 4),
        ir.Conv("conv1", "sign1", ones(4, 3, 3, 2), padding=1, groups=2), threshold("sign2", "conv1", 4),
        ir.Conv("conv2", "sign2", ones(4, 3, 3, 4), stride=3, padding=1), threshold("sign3", "conv2", 4),
        ir.MaxPool("pool", "sign3", 2),
        ir.Conv("aside", "sign2", ones(4, 1, 1, 4)), threshold("sign4", "aside", 4),
        ir.Conv("wide", "sign4", 7 * ones(4, 1, 1, 4), weight_bits=3),
        ir.Conv("head", "wide", ones(2, 8, 8, 4)), ir.Scores("scores", "head", [0, 0]), shape=(8, 8, 2), bits=8)
    with pytest.raises(UnsupportedLayerError) as caught:
        chain_of_layers(network)
    assert list(caught.value.reasons) == [
        "conv1: a grouped convolution of 2 groups, which the engine does not have; use groups=1",
        "conv2: stride 3 is above the engine's 2; use a smaller one",
        "conv2: stride x pool 6 is above the engine's 2; use a smaller one",
        "aside: branches are not supported by the engine; layers must form a chain",
        ("wide: Conv followed by Conv is not a convolution with a threshold or scores; "
         "run sw.passes.lower on the network"),
        "wide: weights of 3 bits, which the engine does not have; use binary weights",
        "head: a convolution of 6-bit values, which the engine does not have; put a sign behind wide",
    ]


def test_what_is_not_lowered_is_listed_once_a_layer():
    norm = ir.BatchNorm("norm", "one", [1, 1], [0, 0], [0, 0], [1, 1], 0.5)
    network = graph(ir.Conv("one", "input", ones(2, 3, 3, 1), stride=2, padding=1), norm, ir.Sign("sign", "norm"),
                    ir.Conv("two", "sign", ones(2, 1, 1, 2)), ir.Conv("three", "two", ones(2, 1, 1, 2)))
    with pytest.raises(UnsupportedLayerError) as caught:
        chain_of_layers(network)
    lower = "is not a convolution with a threshold or scores; run sw.passes.lower on the network"
    assert list(caught.value.reasons) == [
        f"one: Conv followed by BatchNorm {lower}",
        "one: zero padding of an n-bit image has no +-1 planes; pad with black (pad_value -1) or use padding 0",
        f"two: Conv followed by Conv {lower}",
        "three: a convolution of 3-bit values, which the engine does not have; put a sign behind two",
        "three: the last layer must give scores; end the network with a score head",
    ]


def test_largest_values_are_accepted():
    network = graph(*head("input", (1, 1, 4096), classes=256, offset=32767 - 4096), shape=(1, 1, 4096))
    assert chain_of_layers(network)[0].largest_sum == 4096


def test_all_reasons_at_once():
    nodes = [
        ir.Conv("conv1", "input", ones(4, 3, 3, 1), stride=3, padding=1), threshold("sign1", "conv1", 4),
        ir.Conv("conv2", "sign1", ones(4, 5, 5, 4), padding=4), threshold("sign2", "conv2", 4),
        *head("sign2", (12, 12, 4), classes=300, offset=40000),
    ]
    with pytest.raises(UnsupportedLayerError) as caught:
        chain_of_layers(graph(*nodes, shape=(22, 22, 1), bits=8))
    reasons = caught.value.reasons
    assert [reason.split(":")[0] for reason in reasons] == ["conv1"] * 3 + ["conv2", "head", "head"]
    lines = str(caught.value).splitlines()
    assert lines == ["6 part(s) of the network are not supported:", *(f"  - {reason}" for reason in reasons)]

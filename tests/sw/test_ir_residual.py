"""The nodes of residual networks: shapes, ranges, widths, work, and what they refuse."""

import itertools

import numpy as np
import pytest

from sw import ir
from sw.errors import CompileError
from tests.sw import scalar_model
from tests.sw.residuals import random_residual

IMAGE = ir.Input("image", (6, 5, 4), 3)
BITS = ir.Threshold("bits", "image", np.zeros(4, np.int32))
SUM = ir.GlobalSum("sum", "image")
WORDS = ir.Affine("words", "image", [1] * 4, [0, 1, 2, 300], 0, 7)


def graph(*nodes):
    return ir.Graph((IMAGE, BITS, SUM, WORDS, *nodes), "net")


def ones(*shape):
    return np.ones(shape, np.int8)


R = ir.Range

# Pixels are odd within +-7, the words from -7 + 0 to 63.
ROWS = {
    "words": (WORDS, (6, 5, 4), R(-7, 63), 7),
    "affine": (ir.Affine("n", "image", [3, 0, -2, 1], [5, -90, 0, 1], 2, 8), (6, 5, 4), R(-22, 7), 6),
    "affine that saturates": (ir.Affine("n", "image", [99, 1, 1, 1], [0] * 4, 0, 4), (6, 5, 4), R(-8, 7), 4),
    "add": (ir.Add("n", "image", "words", 8), (6, 5, 4), R(-14, 70), 8),
    "add that saturates": (ir.Add("n", "image", "words", 4), (6, 5, 4), R(-8, 7), 4),
    "add of one pixel": (ir.Add("n", "image", "sum", 32), (6, 5, 4), R(-217, 217), 9),
    "add to one pixel": (ir.Add("n", "sum", "image", 32), (6, 5, 4), R(-217, 217), 9),
    "clip": (ir.Clip("n", "image", -4, 5), (6, 5, 4), R(-4, 5), 4),
    "clip to odd": (ir.Clip("n", "image", -3, 99), (6, 5, 4), R(-3, 7, odd=True), 3),
    "clip of bits": (ir.Clip("n", "bits", -9, 9), (6, 5, 4), R(-1, 1, odd=True), 1),
    "clip to one": (ir.Clip("n", "words", 9, 9), (6, 5, 4), R(9, 9), 5),
    "slopes": (ir.Slopes("n", "image", [4] * 4, [1, 0, -3, 2], 2, 8), (6, 5, 4), R(-3, 7), 4),
    "negative slopes": (ir.Slopes("n", "image", [-4] * 4, [4] * 4, 2, 8), (6, 5, 4), R(-7, 0), 4),
    "average": (ir.AveragePool("n", "image", 2), (3, 2, 4), R(-7, 7), 4),
    "average of 4": (ir.AveragePool("n", "words", 4), (1, 1, 4), R(-7, 63), 7),
    "average of 1": (ir.AveragePool("n", "image", 1), (6, 5, 4), R(-7, 7, odd=True), 3),
    "maximum": (ir.MaxPool("n", "image", 2), (3, 2, 4), R(-7, 7, odd=True), 3),
    "subsample": (ir.Subsample("n", "image", 2), (3, 3, 4), R(-7, 7, odd=True), 3),
    "subsample by 4": (ir.Subsample("n", "words", 4), (2, 2, 4), R(-7, 63), 7),
    "select": (ir.Select("n", "bits", [3, 3, 0, 1, 2]), (6, 5, 5), R(-1, 1, odd=True), 1),
    "select with zeros": (ir.Select("n", "image", [-1, 0, -1]), (6, 5, 3), R(-7, 7), 4),
    "concat": (ir.Concat("n", "image", "words"), (6, 5, 8), R(-7, 63), 7),
    "concat of odd": (ir.Concat("n", "bits", "image"), (6, 5, 8), R(-7, 7, odd=True), 3),
    "sum": (SUM, (1, 1, 4), R(-210, 210), 9),
    "square": (ir.Power("n", "words", 2), (6, 5, 4), R(0, 63**2), 13),
    "square of odd": (ir.Power("n", "image", 2), (6, 5, 4), R(1, 49, odd=True), 6),
    "cube": (ir.Power("n", "words", 3), (6, 5, 4), R(-343, 63**3), 19),
    "table": (ir.Table("n", "image", [5, -40, 3], 1, 1), (6, 5, 4), R(-40, 5), 7),
    "table of odd": (ir.Table("n", "image", [1, -1], 1, 1), (6, 5, 4), R(-1, 1, odd=True), 1),
    "compare": (ir.Compare("n", "words", "image"), (6, 5, 4), R(-1, 1, odd=True), 1),
    "compare with one pixel": (ir.Compare("n", "words", "sum"), (6, 5, 4), R(-1, 1, odd=True), 1),
    "conv of pixels": (ir.Conv("n", "image", ones(2, 3, 3, 4)), (4, 3, 2), R(-252, 252), 9),
    "grouped conv": (ir.Conv("n", "bits", ones(6, 3, 3, 2), groups=2), (4, 3, 6), R(-18, 18), 6),
    "depthwise conv": (ir.Conv("n", "words", ones(4, 1, 1, 1), groups=4), (6, 5, 4), R(-63, 63), 7),
    "conv of 3-bit weights": (ir.Conv("n", "words", [[[[1, -7, 3, 5]]], [[[-7, 7, 1, 1]]]], weight_bits=3),
                              (6, 5, 2), R(-16 * 63, 16 * 63), 11),
}


@pytest.mark.parametrize(("node", "shape", "values", "bits"), ROWS.values(), ids=ROWS)
def test_shape_range_and_width(node, shape, values, bits):
    net = graph(*[node] * (node not in (SUM, WORDS)))
    assert net.shape(node.name) == shape
    assert net.range(node.name) == values
    assert ir.reach(net, node.name) == max(-values.low, values.high)
    assert ir.value_bits(net, node.name) == bits


@pytest.mark.parametrize(("low", "high", "bits"), [
    (0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-3, 1, 3), (-128, 127, 8), (-128, 128, 9), (5, 6, 4), (-6, -5, 4)])
def test_signed_width(low, high, bits):
    assert ir.Range(low, high).bits == bits


@pytest.mark.parametrize("most", [1, 3, 7, 255])
def test_odd_width(most):
    assert 2 ** ir.Range(-most, most, odd=True).bits - 1 == most


FOUR = [1] * 4

REFUSED = {
    "affine shift": (lambda: ir.Affine("n", "image", FOUR, FOUR, 62, 8),
                     "n: shift must be an integer from 0 to 61, not 62"),
    "affine bits": (lambda: ir.Affine("n", "image", FOUR, FOUR, 0, 33), "n: bits must be an integer from 2 to 32, .*"),
    "affine one bit": (lambda: ir.Affine("n", "image", FOUR, FOUR, 0, 1), "n: bits must be .* 2 to 32, not 1"),
    "affine gain": (lambda: ir.Affine("n", "image", [1 << 31] * 4, FOUR, 0, 8),
                    "n: gain must be finite numbers that int32 holds exactly; round them first"),
    "affine offset": (lambda: ir.Affine("n", "image", FOUR, [1 << 70] * 4, 0, 8),
                      "n: offset must be finite numbers that int64 holds exactly; round them first"),
    "affine fraction": (lambda: ir.Affine("n", "image", [0.5] * 4, FOUR, 0, 8), "n: gain must be finite numbers .*"),
    "affine gains": (lambda: graph(ir.Affine("n", "image", [1], FOUR, 0, 8)),
                     "n: gain has 1 values for 4 channels; give each channel one"),
    "affine offsets": (lambda: graph(ir.Affine("n", "image", FOUR, [1], 0, 8)), "n: offset has 1 values for 4 .*"),
    "affine width": (lambda: graph(ir.Affine("n", "image", FOUR, [0, 0, 0, (1 << 62) - 8], 0, 8)),
                     "n: its values can reach 4611686018427387904, beyond 62 bits; use smaller factors, or a Clip .*"),
    "affine rounding": (lambda: graph(ir.Affine("n", "image", FOUR, [1 << 61] * 4, 61, 8)),
                        "n: its values can reach .*, beyond 62 bits; .*"),
    "add bits": (lambda: ir.Add("n", "image", "image", 40), "n: bits must be an integer from 2 to 32, not 40"),
    "add shapes": (lambda: graph(ir.Subsample("s", "image", 2), ir.Add("n", "image", "s", 8)),
                   "n: image is 6 x 5 x 4 and s is 3 x 3 x 4; give both one shape, or one of them 1 x 1 pixels .*"),
    "add channels": (lambda: graph(ir.Select("s", "sum", [0]), ir.Add("n", "image", "s", 8)),
                     "n: image is 6 x 5 x 4 and s is 1 x 1 x 1; .*"),
    "clip order": (lambda: ir.Clip("n", "image", 3, 2), "n: high must be an integer from 3 to .*, not 2"),
    "clip limit": (lambda: ir.Clip("n", "image", -(1 << 62), 2), "n: low must be an integer from .*"),
    "clip fraction": (lambda: ir.Clip("n", "image", -0.5, 2), "n: low must be an integer .*, not -0.5"),
    "slopes": (lambda: graph(ir.Slopes("n", "image", FOUR, [1, 2], 0, 8)), "n: negative has 2 values for 4 channels.*"),
    "positive slopes": (lambda: graph(ir.Slopes("n", "image", [1], FOUR, 0, 8)), "n: positive has 1 values for 4 .*"),
    "slopes' type": (lambda: ir.Slopes("n", "image", FOUR, [0.25] * 4, 0, 8), "n: negative must be finite numbers .*"),
    "slopes' shift": (lambda: ir.Slopes("n", "image", FOUR, FOUR, -1, 8), "n: shift must be .* 0 to 61, not -1"),
    "slopes' bits": (lambda: ir.Slopes("n", "image", FOUR, FOUR, 0, True), "n: bits must be .* 2 to 32, not True"),
    "average of 3": (lambda: ir.AveragePool("n", "image", 3),
                     "n: size must be a power of two, not 3; use a GlobalSum for a mean over the whole map"),
    "average of 0": (lambda: ir.AveragePool("n", "image", 0), "n: size must be an integer of at least 1, not 0"),
    "average size": (lambda: graph(ir.AveragePool("n", "image", 8)),
                     "n: size 8 is larger than the map 6 x 5; use a smaller pool or leave it out"),
    "stride": (lambda: ir.Subsample("n", "image", 0), "n: stride must be an integer of at least 1, not 0"),
    "select beyond": (lambda: graph(ir.Select("n", "image", [0, 4])),
                      "n: channels has number 4, but image has 4 channels, from 0 to 3"),
    "select below": (lambda: ir.Select("n", "image", [0, -2]),
                     "n: channels must be numbers from 0 on, or -1 for zeros, not -2"),
    "select none": (lambda: ir.Select("n", "image", []), "n: channels must be an array of 1 dimension.*"),
    "select zero bits": (lambda: graph(ir.Select("n", "bits", [0, -1])),
                         ("n: channels has a -1, a channel of zeros, but bits gives bits, of which zero is none; "
                          "select before the sign")),
    "select zero of pooled bits": (lambda: graph(ir.MaxPool("p", "bits", 2), ir.Select("n", "p", [-1])),
                                   "n: channels has a -1, a channel of zeros, but p gives bits, .*"),
    "concat shapes": (lambda: graph(ir.Concat("n", "image", "sum")),
                      "n: image is 6 x 5 x 4 and sum is 1 x 1 x 4; give both as many rows and columns"),
    "power": (lambda: ir.Power("n", "image", 4), "n: exponent must be an integer from 2 to 3, not 4"),
    "power's width": (lambda: graph(*[ir.Power(f"n{i}", f"n{i - 1}" if i else "words", 3) for i in range(4)]),
                      "n2: its values can reach .*, beyond 62 bits; .*"),
    "table": (lambda: ir.Table("n", "image", [], 1, 0), "n: table must be an array of 1 dimension.*"),
    "table's type": (lambda: ir.Table("n", "image", [0.5], 1, 0), "n: table must be finite numbers that int32 .*"),
    "table's multiplier": (lambda: ir.Table("n", "image", [1], 1 << 31, 0), "n: multiplier must be .*, not 2147483648"),
    "table's shift": (lambda: ir.Table("n", "image", [1], 1, 62), "n: shift must be .* 0 to 61, not 62"),
    "compare": (lambda: graph(ir.Compare("n", "sum", "image")),
                "n: sum is 1 x 1 x 4 and image is 6 x 5 x 4; give both one shape, or the right one 1 x 1 .*"),
    "sum's width": (lambda: graph(ir.Power("a", "words", 3), ir.Power("b", "a", 3), ir.GlobalSum("n", "b"),
                                  ir.GlobalSum("m", "n"), ir.Conv("k", "m", ones(1, 1, 1, 4)),
                                  ir.Power("o", "k", 2)),
                    "o: its values can reach .*, beyond 62 bits; .*"),
    "groups": (lambda: ir.Conv("n", "image", ones(3, 1, 1, 2), groups=2),
               "n: groups must divide the 3 output channels, not 2"),
    "no groups": (lambda: ir.Conv("n", "image", ones(3, 1, 1, 2), groups=0), "n: groups must be .* at least 1, not 0"),
    "grouped channels": (lambda: graph(ir.Conv("n", "image", ones(4, 1, 1, 4), groups=2)),
                         "n: weights take 8 channels, but image has 4"),
    "weight bits": (lambda: ir.Conv("n", "image", ones(1, 1, 1, 4), weight_bits=9),
                    "n: weight_bits must be an integer from 1 to 8, not 9"),
    "even weights": (lambda: ir.Conv("n", "image", 2 * ones(1, 1, 1, 4), weight_bits=3),
                     "n: weights of 3 bits must be odd integers from -7 to 7; quantise the latent weights"),
    "large weights": (lambda: ir.Conv("n", "image", 9 * ones(1, 1, 1, 4), weight_bits=3), "n: weights of 3 bits .*"),
    "weights of 1 bit": (lambda: ir.Conv("n", "image", 3 * ones(1, 1, 1, 4)), r"n: weights must be -1 or \+1; .*"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(make, message):
    with pytest.raises(CompileError, match=f"^{message}$"):
        make()


def test_largest_that_is_accepted():
    net = graph(ir.Affine("n", "image", FOUR, [0, 0, 0, (1 << 62) - 9], 0, 8), ir.Clip("c", "image", 2 - (1 << 62), 0))
    assert net.range("n") == ir.Range(-7, 127)


def test_weights_are_int16_above_one_bit():
    assert ir.Conv("n", "image", [[[[255, -255]]]], weight_bits=8).weights.dtype == np.int16
    assert ir.Conv("n", "image", [[[[1, -1]]]]).weights.dtype == np.int8


def test_real_numbers_have_no_width_and_no_place():
    norm = ir.BatchNorm("norm", "image", FOUR, FOUR, FOUR, FOUR, 0.5)
    for node in (ir.Affine("n", "norm", FOUR, FOUR, 0, 8), ir.Add("n", "image", "norm", 8), ir.Clip("n", "norm", 0, 1),
                 ir.Compare("n", "norm", "image"), ir.Select("n", "norm", [0])):
        net = graph(norm, node, ir.Threshold("t", "image", FOUR))
        with pytest.raises(CompileError, match="^n: its source norm gives real numbers; put a sign between them$"):
            ir.reach(net, "n")
        assert ir.reach(net, "norm") == 0
        assert ir.reach(net, "t") == 1
        assert net.range("norm") is None
        with pytest.raises(CompileError, match="^norm: it gives real numbers, which have no width; lower .*$"):
            ir.value_bits(net, "norm")


def test_real_numbers_are_refused_in_all_that_follows():
    norm = ir.BatchNorm("norm", "image", FOUR, FOUR, FOUR, FOUR, 0.5)
    net = graph(norm, ir.Clip("first", "norm", 0, 1), ir.Clip("second", "norm", 0, 1), ir.Sign("sign", "first"),
                ir.Add("both", "second", "sign", 8), ir.Threshold("apart", "norm", FOUR))
    problems = {"norm": None, "first": "first", "second": "second", "sign": "first", "both": "both", "apart": None}
    for name, culprit in problems.items():
        assert net.misuse(name) == (culprit and f"{culprit}: its source {'second' if name == 'both' else 'norm'} gives "
                                                f"real numbers; put a sign between them")


def test_the_last_misuse_is_named():
    norm = ir.BatchNorm("norm", "image", FOUR, FOUR, FOUR, FOUR, 0.5)
    net = graph(norm, ir.Clip("first", "norm", 0, 1), ir.Sign("one", "first"), ir.Clip("second", "norm", 0, 1),
                ir.Sign("two", "second"), ir.Add("both", "two", "one", 8))
    with pytest.raises(CompileError, match="^second: its source norm gives real numbers"):
        ir.reach(net, "both")


@pytest.mark.parametrize(("conv", "planes"), [
    (ir.Conv("n", "image", ones(4, 3, 3, 2), groups=2), 3),
    (ir.Conv("n", "bits", ones(4, 3, 3, 4)), 1),
    (ir.Conv("n", "bits", ones(4, 3, 3, 1), groups=4), 1),
    (ir.Conv("n", "words", ones(4, 3, 3, 4)), 7),
    (ir.Conv("n", "bits", 3 * ones(4, 3, 3, 4), weight_bits=5), 5),
    (ir.Conv("n", "words", ones(4, 3, 3, 4), weight_bits=8), 56),
])
def test_binary_macs(conv, planes):
    assert ir.binary_macs(graph(conv), "n") == 4 * 3 * conv.weights.size * planes


@pytest.mark.parametrize("seed", range(6))
def test_binary_macs_of_random_graphs(seed):
    net = random_residual(seed, steps=14)
    for node in net.nodes:
        if isinstance(node, ir.Conv):
            planes = node.weight_bits * ir.value_bits(net, node.source)
            pixels = scalar_model.needed_pixels(net, node.name)
            assert ir.binary_macs(net, node.name) == pixels * node.weights.size * planes


def test_pixels_that_pools_and_strides_drop_do_not_count():
    for last, pixels in ((ir.AveragePool("last", "n", 2), 3 * 2 * 4), (ir.Subsample("last", "n", 2), 3 * 3),
                         (ir.GlobalSum("last", "n"), 6 * 5), (ir.Add("last", "image", "n", 9), 6 * 5)):
        assert ir.binary_macs(graph(ir.Conv("n", "bits", ones(4, 1, 1, 4)), last), "n") == pixels * 16


def test_deep_residual_networks_take_no_exponential_time():
    nodes = list(itertools.accumulate(range(200), lambda node, i: ir.Add(f"add{i}", node.name, node.name, 8),
                                      initial=WORDS))
    assert ir.reach(graph(*nodes[1:]), "add199") == 128


def test_nodes_with_other_sources():
    add = ir.Add("n", "image", "words", 8)
    assert add.with_sources("a", "b").sources == ("a", "b")
    assert ir.Clip("n", "image", 0, 1).with_sources("a").sources == ("a",)
    assert IMAGE.with_sources() is IMAGE


def test_every_kind_is_listed():
    bases = (ir.Node, ir.Unary, ir.Pair)
    kinds = {kind for kind in vars(ir).values() if isinstance(kind, type) and issubclass(kind, ir.Node)} - set(bases)
    assert set(ir.KINDS) == kinds
    assert len(ir.KINDS) == len(kinds)

"""A residual network as the engine sees it: every part in its place, and what has none refused by name."""

import dataclasses

import numpy as np
import pytest
import torch

from sw import ir, models
from sw.errors import UnsupportedLayerError
from sw.frontend.integer_import import import_integers
from sw.nn.fixed import FixedPoint, set_fixed
from sw.passes import lower
from sw.residual.reader import has_words, word_network
from tests.sw.networks import random_cnn
from tests.sw.word_networks import Unit, random_residual


def changed(graph, name, **fields):
    """The graph with other fields of one node."""
    nodes = [dataclasses.replace(node, **fields) if node.name == name else node for node in graph.nodes]
    return ir.Graph(tuple(nodes), graph.name)


def reasons(graph):
    with pytest.raises(UnsupportedLayerError) as error:
        word_network(graph)
    return [line[4:] for line in str(error.value).splitlines()[1:]]


def test_parts():
    graph = random_residual(3, stem=8, stem_tiles=2, units=(
        Unit(16, tiles=4), Unit(32, "average", bend=True), Unit(8, "none", plain=True),
        Unit(16, "none")), thresholds=True)
    network = word_network(graph)
    stem, tiled, bent, plain, last = network.layers
    assert (network.word_bits, network.low, network.high, network.shift, network.bends) == (8, -128, 127, 9, True)
    assert (stem.inputs, stem.convolution.planes, stem.tiles, stem.accumulators, stem.keep) == (None, 4, 2, 8, True)
    assert (tiled.inputs, tiled.tiles, tiled.accumulators) == (0, 4, 4)
    assert (tiled.shortcut.source, tiled.shortcut.kind) == (0, "same")
    assert tiled.shortcut.channels.tolist() == list(range(16))
    assert (bent.shortcut.source, bent.shortcut.kind) == (1, "average")
    assert bent.shortcut.channels.tolist() == [-1] * 8 + list(range(16)) + [-1] * 8
    norm = graph.node("unit1.norm")
    assert bent.gain.tolist() == norm.gain.tolist()
    assert bent.offset.tolist() == [offset + 256 for offset in norm.offset.tolist()]
    assert bent.slopes.negative.tolist() == graph.node("unit1.slopes").negative.tolist()
    assert bent.slopes.before.tolist() == graph.node("unit1.before").offset.tolist()
    assert bent.thresholds.tolist() == graph.node("unit1.after.sign").thresholds.tolist()
    assert (plain.keep, plain.shift, plain.bits) == (False, None, "unit2.bits")
    assert (last.inputs, last.shortcut, last.bits, network.head.inputs) == (3, None, None, 4)
    assert plain.offset.tolist() == [-value for value in graph.node("unit2.bits").thresholds.tolist()]


def test_repeated_constants_of_a_tiled_stem():
    graph = random_residual(4, stem=4, stem_tiles=2)
    stem = word_network(graph).layers[0]
    assert stem.gain.tolist() == 2 * graph.node("stem.norm").gain.tolist()


@pytest.mark.parametrize(("method", "kinds"), [
    ("ir-net", ["same", "subsample"]), ("recu", ["average", "same"]), ("repbnn", ["average", "same"]),
    ("reactnet", ["average", "same"]),
])
def test_networks_of_the_library(method, kinds):
    torch.manual_seed(1)
    model = models.build("resnet8", method=method, stem_bits=1, widths=(8, 16))
    model.eval()
    set_fixed(model, FixedPoint(6, 8, 8))
    network = word_network(lower(import_integers(model, (28, 28, 1), "small")))
    assert sorted({layer.shortcut.kind for layer in network.layers if layer.shortcut}) == kinds
    assert [layer.tiles for layer in network.layers] == ([2, 4, 4, 4, 4] if method == "repbnn" else [1] * 5)
    assert network.bends == (method == "reactnet")


def test_permutations_are_names():
    """Every consumer of words and of bits in another order takes the channels that these are."""
    graph = random_residual(7, stem=8, units=(Unit(8, mix=True), Unit(16, "average", groups=2, shuffle=True, mix=True)),
                            thresholds=True)
    stem, first, second = word_network(graph).layers
    mixed, last = (graph.node(f"unit{index}.mix").channels.astype(int) for index in (0, 1))
    assert stem.taken.tolist() == [] and first.taken.tolist() == list(range(8))
    assert second.taken.tolist() == mixed[graph.node("unit1.shuffle").channels].tolist()
    assert second.shortcut.channels.tolist() == [-1] * 4 + mixed.tolist() + [-1] * 4
    thresholds = graph.node("unit0.mix.sign").thresholds
    assert [first.thresholds[channel] for channel in mixed] == thresholds.tolist()
    assert (first.bits, first.bit_channels.tolist()) == ("unit0.mix.sign", mixed.tolist())
    weights = graph.node("head").weights.reshape(3, 16)
    assert np.array_equal(word_network(graph).head.weights[:, last], weights)
    assert second.words == "unit1.clip"


def ftbnn(**changes):
    torch.manual_seed(1)
    model = models.build("resnet8", method="ftbnn", stem_bits=1, widths=(8, 16), **changes)
    model.eval()
    set_fixed(model, FixedPoint(6, 8, 8))
    return lower(import_integers(model, (28, 28, 1), "small"))


def test_groups_with_shuffle_of_the_library():
    network = word_network(ftbnn(groups=2, before=False, shortcut="average-pad"))
    assert [layer.conv.groups for layer in network.layers] == [1, 2, 2, 2, 2]
    assert network.layers[2].taken.tolist() == [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15]
    assert network.bends


def test_words_are_told_from_bits():
    assert has_words(random_residual(1))
    assert not has_words(random_cnn(1))
    assert not has_words(lower(random_cnn(1)))


WORDS, BITS, SUM = "stem.clip", "unit0.clip.sign", "sum"
ABSENT = [
    (ir.MaxPool("extra", BITS, 2), "a max pool"),
    (ir.Concat("extra", WORDS, WORDS), "a concatenation"),
    (ir.Select("extra", WORDS, [0, 1]), "a selection of channels"),
    (ir.Subsample("extra", WORDS, 2), "subsampling"),
    (ir.AveragePool("extra", WORDS, 2), "an average pool"),
    (ir.GlobalSum("extra", WORDS), "a sum over the map"),
    (ir.Power("extra", WORDS, 3), "a power of values"),
    (ir.Table("extra", WORDS, [1, 2], 1, 0), "a look-up table"),
    (ir.Compare("extra", WORDS, WORDS), "a run-time threshold"),
    (ir.Add("extra", WORDS, WORDS, 9), "an addition"),
    (ir.Affine("extra", WORDS, [1] * 8, [0] * 8, 0, 8), "a fixed-point batch norm"),
    (ir.Slopes("extra", WORDS, [1] * 8, [0] * 8, 0, 8), "a PReLU"),
    (ir.Clip("extra", WORDS, -1, 1), "a clip"),
    (ir.Threshold("extra", SUM, np.zeros(8, np.int32)), "a sign"),
    (ir.Scores("extra", SUM, [0] * 8), "scores"),
]


@pytest.mark.parametrize(("node", "what"), ABSENT, ids=lambda value: value if isinstance(value, str) else "")
def test_a_node_without_a_place_is_named(node, what):
    graph = random_residual(5)
    found = reasons(ir.Graph((*graph.nodes[:-1], node, graph.nodes[-1]), "extra"))
    assert any(reason.startswith(f"extra: {what} in a place where the engine has none; ") for reason in found), found


def test_the_rows_above_are_all_kinds():
    assert {type(node) for node, _ in ABSENT} == set(ir.KINDS) - {ir.Input, ir.Conv, ir.BatchNorm, ir.Sign}


def grouped_stem():
    graph = random_residual(5, (8, 8, 2), 2)
    return changed(graph, "stem.conv", weights=graph.node("stem.conv").weights[..., :1], groups=2)


def whole_image():
    graph = random_residual(5, (3, 3, 1), 1, units=())
    return changed(graph, "stem.conv", padding=0)


def added_to_all_pixels():
    """A shortcut of one pixel, which IR spreads over the map."""
    nodes = random_residual(5).nodes
    where = [node.name for node in nodes].index("unit0.add")
    mean = ir.GlobalSum("mean", "stem.clip")
    return changed(ir.Graph((*nodes[:where], mean, *nodes[where:]), "spread"), "unit0.add", right="mean")


GRAPH = random_residual(5, units=(Unit(8), Unit(16, "average")))
LAST = random_residual(5, (9, 9, 1), units=(Unit(8, "none"), Unit(8, "none")))
BENT = random_residual(5, units=(Unit(8, bend=True),))


def shuffled_sums():
    """A shuffle between a convolution and its batch norm."""
    nodes = random_residual(5).nodes
    where = [node.name for node in nodes].index("unit0.norm")
    shuffle = ir.Select("mixed", "unit0.conv", np.arange(8)[::-1].astype(np.int32))
    return changed(ir.Graph((*nodes[:where], shuffle, *nodes[where:]), "mixed"), "unit0.norm", source="mixed")


@pytest.mark.parametrize(("graph", "text"), [
    (shuffled_sums(), "unit0.conv: a convolution without a batch norm or a sign behind it; put one there"),
    (changed(GRAPH, "unit0.norm", gain=np.full(8, 40000)),
     "unit0.norm: a gain of 40000 is beyond 16 bits; the largest that fits is 32767"),
    (changed(GRAPH, "unit0.norm", shift=10), "network random-residual-5: its batch norms have shifts [9, 10], of"),
    (changed(GRAPH, "unit0.norm", bits=9), "unit0.norm: saturates to 9 bits, where the engine does to 10; export it"),
    (changed(random_residual(5, units=(Unit(8), Unit(8, "none"))), "unit1.norm", bits=7),
     "unit1.norm: saturates to 7 bits, where the engine does to 8; export it"),
    (changed(GRAPH, "unit0.add", bits=7), "network random-residual-5: its words have [7, 8] bits; export it"),
    (changed(GRAPH, "unit0.clip", high=50), "network random-residual-5: its words are limited to [(-64, 50), (-64"),
    (changed(LAST, "stem.clip", high=50), "network random-residual-5: its words are limited to [(-64, 50), (-64"),
    (ir.Graph(tuple(dataclasses.replace(node, high=128) if isinstance(node, ir.Clip) else node
                    for node in GRAPH.nodes),
               GRAPH.name), "network random-residual-5: its words are limited to -64 to 128; the engine's"),
    (changed(BENT, "unit0.slopes", shift=9), "unit0.slopes: a PReLU's slopes must have 10 bits behind the point"),
    (changed(BENT, "unit0.slopes", bits=6), "unit0.slopes: saturates to 6 bits, where the engine does to 8; export it"),
    (changed(BENT, "unit0.before", bits=8), "unit0.before: saturates to 8 bits, where the engine does to 10; export"),
    (changed(BENT, "unit0.after", bits=7), "unit0.after: saturates to 7 bits, where the engine does to 8; export it"),
    (changed(LAST, "unit1.conv", stride=3), "unit1.conv: stride 3 is above the engine's 2; use a smaller one"),
    (grouped_stem(), "stem.conv: a grouped convolution of the image, of 2 groups; use groups=1"),
    (whole_image(), "stem.conv: takes the whole image at once; use a kernel that is smaller than the image"),
    (added_to_all_pixels(), "unit0.add: adds mean to all pixels alike; give both maps one shape"),
    (changed(LAST, "unit1.conv", source="input", weights=np.ones((8, 3, 3, 1), np.int8), pad_value=-15),
     "unit1.conv: is a second convolution of the image, which is read once; let one take it"),
])
def test_refusals(graph, text):
    assert any(reason.startswith(text) for reason in reasons(graph)), reasons(graph)


@pytest.mark.parametrize(("method", "text"), [
    ("sd-bnn", "binarize.sum: a sum over the map in a place where the engine has none; use one, before the last layer"),
    ("ftbnn", "add: an addition in a place where the engine has none; add a shortcut behind a convolution's batch"),
    ("insta", "threshold.norm: a fixed-point batch norm in a place where the engine has none; put it behind"),
])
def test_methods_that_the_engine_does_not_run(method, text):
    model = models.build("resnet8", method=method, stem_bits=1, widths=(16, 32))
    model.eval()
    set_fixed(model, FixedPoint(6, 8, 8))
    found = reasons(lower(import_integers(model, (28, 28, 1), "small")))
    assert any(f"stage1_block1a.{text}" in reason or text in reason for reason in found), found
    assert all(": " in reason and "; " in reason for reason in found)


def test_network_without_a_pooled_head():
    graph = random_residual(6)
    body = [node for node in graph.nodes if node.name not in ("sum", "head", "scores")]
    rows, columns, count = graph.shape(body[-1].name)
    weights = np.ones((3, rows, columns, count), np.int8)
    bits = ir.Threshold("last", body[-1].name, np.zeros(count, np.int32))
    assert reasons(ir.Graph(tuple(body), "words")) == [
        f"{body[-1].name}: the last layer must give scores; end with sw.nn.head.PooledHead"]
    graph = ir.Graph((*body, bits, ir.Conv("head", "last", weights), ir.Scores("scores", "head", [0, 0, 0])), "flat")
    (reason,) = reasons(graph)
    assert reason == ("head: the last layer must be a fully connected one of the sums over the map; end with "
                      "sw.nn.head.PooledHead")

"""Folding of residual networks: order of channels, blocks that cover a layer, and maps that never destroy another."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from sw import ir
from sw.engine import Engine
from sw.errors import FitError
from sw.residual.blocks import Depths, fold_network
from sw.residual.reader import word_network
from tests.sw.test_residual_program import NETWORKS
from tests.sw.word_networks import Unit, random_residual

DEPTHS = Depths(weights=64, constants=64)


def folded(name, depths=DEPTHS):
    graph, engine = NETWORKS[name]
    network = word_network(graph)
    return network, engine, fold_network(network, engine, depths)


@pytest.mark.parametrize("name", NETWORKS)
def test_order_is_a_permutation_by_group_tile_and_row(name):
    _, engine, folds = folded(name)
    for fold in folds:
        layer = fold.layer
        assert sorted(fold.order.tolist()) == list(range(layer.out_shape[2]))
        place = 0
        for start in range(0, layer.accumulators, engine.rows):
            rows, first = min(engine.rows, layer.accumulators - start), place
            for _ in range(layer.tiles):
                part = fold.order[place:place + rows] % layer.accumulators
                assert part.tolist() == (fold.order[first:first + rows] % layer.accumulators).tolist()
                assert len(set((part // (layer.accumulators // layer.conv.groups)).tolist())) == 1
                place += rows


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("depths", [DEPTHS, Depths(weights=128, constants=32)])
def test_blocks_cover_each_layer_and_fit(name, depths):
    _, engine, folds = folded(name, depths)
    for fold in folds:
        assert sum(len(block.plan.layer.weights) for block in fold.blocks) == fold.layer.accumulators
        for block, following in pairwise([*fold.blocks, None]):
            assert block.plan.weight_words <= depths.weights
            assert block.count * engine.rows * fold.layer.tiles <= depths.constants
            if following:  # all but the last fill whole feature words
                channels = len(block.plan.layer.weights) * fold.layer.tiles
                assert channels % engine.lanes == 0
                assert following.feature == block.feature + channels // engine.lanes
                assert following.word == block.word + channels // 2


@pytest.mark.parametrize("name", NETWORKS)
def test_words_are_there_when_they_are_read(name):
    """Replays what each layer reads and writes, map by map."""
    network, _, folds = folded(name)
    memory = {}
    for number, fold in enumerate(folds):
        around = fold.layer.shortcut
        if around:
            source = folds[around.source]
            span = range(source.words, source.words + source.word_size)
            assert {memory[address] for address in span} == {around.source}
            if fold.words is not None and set(span) & set(range(fold.words, fold.words + fold.word_size)):
                # In place: each channel takes the word that it replaces.
                assert (fold.words, fold.word_size, around.kind) == (source.words, source.word_size, "same")
                assert np.array_equal(around.channels[fold.order], source.order)
        if fold.words is not None:
            memory |= dict.fromkeys(range(fold.words, fold.words + fold.word_size), number)
    last = folds[network.head.inputs]
    assert {memory[address] for address in range(last.words, last.words + last.word_size)} == {network.head.inputs}


@pytest.mark.parametrize("name", NETWORKS)
def test_bits_are_there_when_they_are_read(name):
    """Replays a layer's passes: every feature word of its input is still there when a pass takes it."""
    _, engine, folds = folded(name)
    memory = {}
    for number, fold in enumerate(folds):
        layer = fold.layer
        source = None if layer.inputs is None else folds[layer.inputs]
        for block in fold.blocks:
            for y in range(layer.out_shape[0]):
                for group in range(fold.groups_x):
                    start = (fold.features or 0) + (y * fold.groups_x + group) * fold.feature_pitch + block.feature
                    made = 0
                    for part in range(block.count):
                        if source:
                            for address in addresses_read(fold, source, block, part, y, group, engine):
                                assert memory[address] == layer.inputs, (layer.name, y, group)
                        made += min(engine.rows, len(block.plan.layer.weights) - part * engine.rows) * layer.tiles
                        if fold.features is not None:
                            words = made // engine.lanes if part < block.count - 1 else -(-made // engine.lanes)
                            memory |= dict.fromkeys(range(start, start + words), number)


def addresses_read(fold, source, block, part, y, group, engine):
    window = block.window + part // block.turn % block.windows * block.plan.words
    conv, (height, width, _) = fold.layer.conv, source.layer.out_shape
    for ky in range(conv.weights.shape[1]):
        for x in range(group * engine.columns, (group + 1) * engine.columns):
            for kx in range(conv.weights.shape[2]):
                row, column = y * conv.stride + ky - conv.padding, x * conv.stride + kx - conv.padding
                if 0 <= row < height and 0 <= column < width and x < fold.layer.out_shape[1]:
                    first = (row * source.groups_x + column // engine.columns) * source.feature_pitch + window
                    for word in range(block.plan.words):
                        yield source.features + first + word


def two_groupings():
    """Two grouped convolutions of the same bits, of which one takes them shuffled."""
    graph = random_residual(1, stem=16, units=(Unit(16, "none", groups=2), Unit(16, "none", groups=2, shuffle=True)))
    bits = graph.node("unit0.conv").source
    return ir.Graph(tuple(dataclasses.replace(node, source=bits) if node.name == "unit1.shuffle" else node
                          for node in graph.nodes), graph.name)


@pytest.mark.parametrize(("graph", "engine", "depths", "text"), [
    (random_residual(1), Engine(3, 3, 8), DEPTHS, "an even number of rows, at least 4, not 3"),
    (random_residual(1), Engine(2, 3, 8), DEPTHS, "an even number of rows, at least 4, not 2"),
    (random_residual(1, stem=5, units=(Unit(5),)), Engine(4, 3, 8), DEPTHS, "use an even number, not 5"),
    (random_residual(1, units=(Unit(8), Unit(32, "average", repeat=True), Unit(32))), Engine(4, 3, 16),
     Depths(weights=16, constants=64), "18 weight words and 8 constants, where a half of the memories holds 16 and 64"),
    (random_residual(1, stem=16, units=(Unit(16, groups=2),)), Engine(4, 3, 16), DEPTHS,
     "unit0.conv: 2 groups of 8 channels are no whole words of 16 lanes; use lanes that divide 8, fewer groups, or"),
    (random_residual(1, stem=16, units=(Unit(16, groups=2, shuffle=True), Unit(16, groups=2, shuffle=True))),
     Engine(8, 3, 8), DEPTHS,
     "unit0.conv: 2 groups of 8 channels, of which each group of unit1.conv takes 4, do not fill passes of 8 rows of"),
    (random_residual(1, stem=16, units=(Unit(16, groups=2, shuffle=True), Unit(16, groups=2, shuffle=True))),
     Engine(8, 3, 8), DEPTHS, "one group each; use an array of 4 rows, fewer groups, or 2 times as many channels"),
    (random_residual(1, stem=24, units=(Unit(24, groups=2, kernel=1), Unit(24))), Engine(8, 3, 4), DEPTHS,
     "unit0.conv: 2 groups of 12 channels do not fill passes of 8 rows of one group each; use an array of 12 rows, "),
    (random_residual(1, (4, 4, 1), stem=256, units=2 * (Unit(256, groups=8, shuffle=True, kernel=1),)),
     Engine(4, 1, 32), DEPTHS, "a feature word of 32 lanes takes 8 passes, of groups that the engine cannot take"),
    (two_groupings(), Engine(4, 3, 8), DEPTHS,
     "unit1.conv: a group takes channels of stem.conv that are not stored side by side; let all grouped convolutions"),
])
def test_what_does_not_fold(graph, engine, depths, text):
    with pytest.raises(FitError) as error:
        fold_network(word_network(graph), engine, depths)
    assert text in str(error.value)

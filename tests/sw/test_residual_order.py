"""The order of channels of residual networks: whose words a group reads, and what shuffles cost."""

import dataclasses

import numpy as np
import pytest

from sw import ir
from sw.compile import compile_graph
from sw.engine import Engine
from sw.residual.order import channel_orders
from sw.residual.reader import word_network
from tests.sw.test_residual_program import NETWORKS
from tests.sw.word_networks import Unit, random_residual

GROUPED = [name for name in NETWORKS if "groups" in name or "shuffle" in name]


@pytest.mark.parametrize("name", GROUPED)
def test_a_group_reads_feature_words_of_its_own_channels_only(name):
    graph, engine = NETWORKS[name]
    network = word_network(graph)
    orders = channel_orders(network, engine)
    for layer in network.layers:
        fan_in = layer.conv.weights.shape[3]
        for group in range(layer.conv.groups if layer.conv.groups > 1 else 0):
            own = set(layer.taken[group * fan_in:(group + 1) * fan_in].tolist())
            stored = orders[layer.inputs].reshape(-1, engine.lanes).tolist()
            words = [index for index, word in enumerate(stored) if own & set(word)]
            assert all(set(stored[index]) <= own for index in words)
            assert words == list(range(words[0], words[0] + fan_in // engine.lanes))


@pytest.mark.parametrize("name", GROUPED)
def test_a_pass_is_of_one_group(name):
    graph, engine = NETWORKS[name]
    network = word_network(graph)
    for layer, order in zip(network.layers, channel_orders(network, engine), strict=True):
        each = layer.accumulators // layer.conv.groups
        groups = order[:len(order) // engine.rows * engine.rows].reshape(-1, engine.rows) % layer.accumulators // each
        assert np.array_equal(groups.min(axis=1), groups.max(axis=1))


def unshuffled(graph):
    """The same network, its groups not mixed."""
    shuffles = {node.name: node.source for node in graph.nodes if node.name.endswith(".shuffle")}
    return ir.Graph(tuple(node.with_sources(*(shuffles.get(name, name) for name in node.sources))
                          for node in graph.nodes if node.name not in shuffles), graph.name)


SHUFFLED = Unit(32, groups=2, shuffle=True)
FOUR = Unit(64, groups=4, shuffle=True, kernel=1)


@pytest.mark.parametrize(("graph", "engine", "gap", "stalls"), [
    (random_residual(21, stem=32, units=(SHUFFLED,) * 4), Engine(4, 3, 16), 0, 0),  # groups as wide as a word
    (random_residual(22, stem=32, units=(SHUFFLED,) * 4), Engine(8, 3, 8), 0, 0),
    (random_residual(23, (6, 6, 1), stem=64, units=(FOUR,) * 3), Engine(4, 3, 16), 0, 0),
    (random_residual(24, stem=32, units=(SHUFFLED, Unit(64, "average", repeat=True, groups=2, shuffle=True),
                                         Unit(64, groups=2, shuffle=True))), Engine(8, 3, 16), 0, 0),
    # Blocks that end elsewhere: one more.
    (random_residual(25, stem=64, units=(Unit(128, "average", repeat=True, groups=2, shuffle=True),
                                         Unit(128, groups=2, shuffle=True))), Engine(8, 3, 16), 44, -8),
])
def test_a_shuffle_takes_no_beat(graph, engine, gap, stalls):
    """Beats and memory are those of the network without shuffles; ``gap`` are the cycles more that lie between blocks,
    a frame, and ``stalls`` those in which beats wait.
    """
    with_shuffles, without = (compile_graph(each, engine, False) for each in (graph, unshuffled(graph)))
    for mine, other in zip(with_shuffles.schedule.layers, without.schedule.layers, strict=True):
        assert mine.issue_cycles == other.issue_cycles, mine.name
    for kind, more in (("gap_cycles", gap), ("stall_cycles", stalls)):
        both = [sum(getattr(layer, kind) for layer in program.schedule.layers) for program in (with_shuffles, without)]
        assert both[0] - both[1] == more, kind
    assert with_shuffles.words.depth == without.words.depth
    assert with_shuffles.feature_depth == without.feature_depth


def test_words_that_are_shuffled_stay_in_place():
    units = (Unit(16, mix=True), Unit(16, mix=True), Unit(16))
    graph, engine = random_residual(25, stem=16, units=units), Engine(4, 3, 8)
    plain = random_residual(25, stem=16, units=tuple(dataclasses.replace(unit, mix=False) for unit in units))
    assert compile_graph(graph, engine, False).words.depth == compile_graph(plain, engine, False).words.depth

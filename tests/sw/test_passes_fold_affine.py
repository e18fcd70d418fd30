"""Fixed-point chains become thresholds, and mean the same."""

import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from sw import ir
from sw.layers import chain_of_layers
from sw.passes import fold_affine, lower, verify_lowered
from sw.reference import run, trace
from tests.sw import scalar_model
from tests.sw.networks import random_images
from tests.sw.residuals import random_fixed_point, random_residual

TAPS, BITS = 3, 2
REACH = TAPS * (2**BITS - 1)


def kinds(graph):
    return [type(node).__name__ for node in graph.nodes]


@hypothesis.settings(max_examples=150, deadline=None)
@hypothesis.given(st.integers(0, 10**6))
def test_networks_mean_the_same(seed):
    graph = random_fixed_point(seed)
    images = random_images(seed, graph.inputs.shape, count=6)
    given = run(graph, images, trace=True)
    for found in (fold_affine(graph), lower(graph)):
        result = run(found, images, trace=True)
        assert np.array_equal(result.scores, given.scores)
        for name, values in given.maps.items():
            if name.startswith("aside"):
                assert np.array_equal(result.maps[name], values), name
    assert given.scores[0].tolist() == scalar_model.classify(graph, images[0])[0]


def test_bits_of_the_networks_vary_and_most_fold():
    """The test above would see little if not."""
    before = after = varied = total = 0
    for seed in range(40):
        graph = random_fixed_point(seed)
        before += kinds(graph).count("Affine")
        after += kinds(lower(graph)).count("Affine")
        maps = run(graph, random_images(seed, graph.inputs.shape, count=8), trace=True).maps
        for node in graph.nodes:
            if isinstance(node, ir.Threshold):
                varied += int((maps[node.name].min(axis=(0, 1, 2)) < maps[node.name].max(axis=(0, 1, 2))).sum())
                total += graph.shape(node.name)[2]
    assert after < 0.4 * before
    assert varied > 0.3 * total


def single(gain, offset, shift, bits, threshold, *between, aside=()):
    """Three pixels of 2 bits, the sum of them, and the bit that it becomes, as a score."""
    nodes = [ir.Input("input", (1, 1, TAPS), BITS), ir.Conv("conv", "input", [[[[1, -1, 1]]]]),
             ir.Affine("affine", "conv", [gain], [offset], shift, bits), *between]
    nodes += [ir.Threshold("sign", nodes[-1].name, [threshold]), *aside,
              ir.Conv("head", "sign", [[[[1]]]]), ir.Scores("scores", "head", [0])]
    return ir.Graph(tuple(nodes), "net")


def every_sum():
    """All images of ``single``, and so all sums."""
    return 64 * np.array(list(itertools.product(range(4), repeat=TAPS)), np.uint8).reshape(-1, 1, 1, TAPS)


clips = st.tuples(st.integers(-20, 20), st.integers(0, 20)).map(
    lambda ends: lambda name, source: ir.Clip(name, source, ends[0], ends[0] + ends[1]))
slopes = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 3), st.integers(2, 6)).map(
    lambda given: lambda name, source: ir.Slopes(name, source, [given[0]], [given[1]], *given[2:]))


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(st.integers(-9, 9), st.integers(-60, 60), st.integers(0, 4), st.integers(2, 7), st.integers(-70, 70),
                  st.lists(clips | slopes, max_size=2))
def test_each_sum_gives_the_same_bit(gain, offset, shift, bits, threshold, makers):
    between = []
    for index, make in enumerate(makers):
        between.append(make(f"between{index}", between[-1].name if between else "affine"))
    graph = single(gain, offset, shift, bits, threshold, *between)
    folded = fold_affine(graph)
    assert kinds(folded) == ["Input", "Conv", "Threshold", "Conv", "Scores"]
    assert verify_lowered(folded) is folded
    assert abs(int(folded.node("sign").thresholds[0])) <= REACH + 1
    assert np.array_equal(run(folded, every_sum()).scores, run(graph, every_sum()).scores)


@pytest.mark.parametrize(("parameters", "between", "weight", "threshold"), [
    ((2, 1, 2, 8, 0), (), 1, -1),          # (2x + 1 + 2) >> 2 is 0 from -1 on: halves go up
    ((2, 1, 2, 8, 1), (), 1, 1),
    ((1, 0, 1, 8, 0), (), 1, -1),
    ((-1, 0, 1, 8, 0), (), -1, -1),        # -x >> 1, rounded, is 0 for x of 0 and 1, above it for less
    ((-1, 0, 0, 8, 3), (), -1, 3),
    ((1, 0, 0, 3, 4), (), 1, REACH + 1),   # beyond what saturation leaves
    ((1, 0, 0, 3, -4), (), 1, -REACH),
    ((0, 5, 0, 8, 5), (), 1, -REACH),      # constant bits
    ((0, 5, 0, 8, 6), (), 1, REACH + 1),
    ((-1, 0, 0, 8, 99), (), -1, REACH + 1),
    ((1, 0, 0, 8, 3), (ir.Clip("c", "affine", -2, 2),), 1, REACH + 1),
    ((1, 0, 0, 8, 2), (ir.Clip("c", "affine", -2, 2),), 1, 2),
    ((1, 0, 0, 8, -1), (ir.Slopes("s", "affine", [4], [1], 2, 8),), 1, -6),   # (x + 2) >> 2 is -1 from -6 on
    ((1, 0, 0, 8, 0), (ir.Slopes("s", "affine", [4], [0], 2, 8),), 1, -REACH),
])
def test_by_hand(parameters, between, weight, threshold):
    folded = fold_affine(single(*parameters, *between))
    assert folded.node("conv").weights.tolist() == [[[[weight, -weight, weight]]]]
    assert folded.node("sign").thresholds.tolist() == [threshold]


UNCHANGED = {
    "the words go elsewhere": single(1, 0, 0, 8, 0, aside=[ir.GlobalSum("aside", "affine")]),
    "the clip goes elsewhere": single(1, 0, 0, 8, 0, ir.Clip("c", "affine", -1, 1),
                                      aside=[ir.GlobalSum("aside", "c")]),
    "a negative slope": single(1, 0, 0, 8, 0, ir.Slopes("s", "affine", [1], [-1], 0, 8)),
    "a power": single(1, 0, 0, 8, 0, ir.Power("p", "affine", 2)),
    "a negative gain, with sums and bits for others": single(
        -1, 0, 0, 8, 0, aside=[ir.GlobalSum("aside", "conv"), ir.GlobalSum("bits", "sign")]),
    "a negative gain of the image, and bits at the end": ir.Graph((
        ir.Input("input", (1, 1, 1), 8), ir.Affine("affine", "input", [-1], [0], 0, 8),
        ir.Threshold("sign", "affine", [0])), "net"),
    "nobody's": ir.Graph((ir.Input("input", (1, 1, 1), 8), ir.Affine("affine", "input", [1], [0], 0, 8),
                          ir.Scores("scores", "input", [0])), "net"),
    "a clip of nobody": ir.Graph((ir.Input("input", (1, 1, 1), 8), ir.Affine("affine", "input", [1], [0], 0, 8),
                                  ir.Clip("clip", "affine", 0, 1), ir.Threshold("sign", "affine", [0]),
                                  ir.Scores("scores", "sign", [0])), "net"),
    "beyond 32 bits": ir.Graph((ir.Input("input", (1, 1, 1), 8), ir.Power("a", "input", 3), ir.Power("b", "a", 2),
                                ir.Affine("affine", "b", [1], [0], 40, 8), ir.Threshold("sign", "affine", [3]),
                                ir.Scores("scores", "sign", [0])), "net"),
}


@pytest.mark.parametrize("graph", UNCHANGED.values(), ids=UNCHANGED)
def test_stays(graph):
    assert ir.equal(fold_affine(graph), graph)
    assert ir.equal(lower(graph), graph)


def test_negative_gain_where_the_sums_go_elsewhere_inverts_the_bits():
    graph = single(-2, 1, 1, 8, 1, aside=[ir.GlobalSum("aside", "conv")])
    folded = fold_affine(graph)
    assert folded.node("conv").weights.tolist() == graph.node("conv").weights.tolist()
    assert folded.node("head").weights.tolist() == [[[[-1]]]]
    # (-2x + 2) >> 1 reaches 1 up to x = 0; inverted, from 1 on.
    assert folded.node("sign").thresholds.tolist() == [1]
    assert np.array_equal(run(folded, every_sum()).scores, run(graph, every_sum()).scores)


def test_two_thresholds_of_one_affine():
    nodes = (ir.Input("input", (1, 1, TAPS), BITS), ir.Conv("conv", "input", [[[[1, -1, 1]]]] * 2),
             ir.Affine("affine", "conv", [1, -3], [2, 1], 1, 6), ir.Clip("clip", "affine", -4, 4),
             ir.Threshold("one", "affine", [3, 0]), ir.Threshold("other", "clip", [-2, 4]),
             ir.Add("add", "one", "other", 3), ir.Scores("scores", "add", [0, 0]))
    graph = ir.Graph(nodes, "net")
    folded = fold_affine(graph)
    assert kinds(folded) == ["Input", "Conv", "Threshold", "Threshold", "Add", "Scores"]
    for image in every_sum():
        ours, theirs = trace(folded, image), trace(graph, image)
        assert all(np.array_equal(ours[name], theirs[name]) for name in ("one", "other", "scores"))


@pytest.mark.parametrize("gain", [5, -5])
def test_one_after_another(gain):
    """The second folds into a threshold of the clip, and then the first folds too."""
    graph = single(3, 1, 1, 8, 2, ir.Clip("clip", "affine", -9, 9), ir.Affine("second", "clip", [gain], [3], 2, 8))
    folded = fold_affine(graph)
    assert kinds(folded) == ["Input", "Conv", "Threshold", "Conv", "Scores"]
    assert np.array_equal(run(folded, every_sum()).scores, run(graph, every_sum()).scores)


def test_folded_chains_are_for_the_hardware():
    """Of the usual order, pool before or behind the words: every chain of 1-bit weights without groups."""
    for pool in ("conv", "affine", "sign"):
        nodes = [ir.Input("input", (6, 6, 1), 8), ir.Conv("conv", "input", np.ones((2, 3, 3, 1)))]
        for node in (ir.Affine("affine", "conv", [3, -5], [99, -8], 4, 10), ir.Threshold("sign", "affine", [4, -3])):
            if pool == node.source:
                nodes.append(ir.MaxPool("pool", node.source, 2))
                node = node.with_sources("pool")
            nodes.append(node)
        if pool == "sign":
            nodes.append(ir.MaxPool("pool", "sign", 2))
        nodes += [ir.Conv("head", nodes[-1].name, np.ones((2, 2, 2, 2))), ir.Scores("scores", "head", [0, 0])]
        graph = ir.Graph(tuple(nodes), "net")
        lowered = lower(graph)
        assert len(chain_of_layers(lowered)) == 2
        assert verify_lowered(lowered) is lowered
        images = random_images(1, (6, 6, 1), count=20)
        assert np.array_equal(run(lowered, images).scores, run(graph, images).scores)


@pytest.mark.parametrize("seed", range(15))
def test_any_integer_graph_is_lowered(seed):
    graph = random_residual(seed)
    images = random_images(seed, graph.inputs.shape, count=5)
    assert np.array_equal(run(lower(graph), images).scores, run(graph, images).scores)

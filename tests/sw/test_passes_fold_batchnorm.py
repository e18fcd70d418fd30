from fractions import Fraction

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from sw import ir
from sw.passes import fold_batchnorm, lower
from sw.passes.fold_batchnorm import smallest_sum
from sw.reference import reach, run
from tests.sw import scalar_model
from tests.sw.networks import random_images
from tests.sw.trained import random_trained

TAPS, BITS = 3, 2
REACH = TAPS * (2**BITS - 1)

float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
# Numbers that often meet an integer, an integer's square, or each other, with both zeros.
tidy = st.integers(-24, 24).map(lambda value: value / 4) | st.just(-0.0)


def positive(numbers):
    return numbers.map(abs).filter(lambda value: value > 0)


parameters = st.tuples(float32 | tidy, float32 | tidy, float32 | tidy, (float32 | tidy).map(abs),
                       positive(st.floats(1e-12, 1)) | st.sampled_from([1e-5, 0.25, 1.0]))


def single(*norm, pool):
    """Three pixels, a convolution of one channel with all of them, a batch norm, and the sum of its bits as a score.

    With ``pool``, two by two sets of such pixels, and their maximum before the batch norm.
    """
    gain, bias, mean, variance, epsilon = norm
    side = 2 if pool else 1
    nodes = [ir.Input("input", (side, side, TAPS), BITS), ir.Conv("conv", "input", [[[[1, -1, 1]]]])]
    if pool:
        nodes.append(ir.MaxPool("pool", "conv", 2))
    nodes += [ir.BatchNorm("norm", nodes[-1].name, [gain], [bias], [mean], [variance], epsilon),
              ir.Sign("sign", "norm"), ir.Conv("head", "sign", [[[[1]]]]), ir.Scores("scores", "head", [0])]
    return ir.Graph(tuple(nodes), "net")


@hypothesis.settings(max_examples=400)
@hypothesis.given(parameters)
def test_each_sum_gives_the_exact_bit(norm):
    folded = fold_batchnorm(single(*norm, pool=False))
    flip = int(folded.node("conv").weights[0, 0, 0, 0])
    threshold = int(folded.node("sign").thresholds[0])
    assert -REACH - 1 <= threshold <= REACH + 1
    for total in range(-REACH, REACH + 1):
        exact = scalar_model.normalise(*norm, total).is_not_negative()
        assert (flip * total >= threshold) == exact, total


@hypothesis.settings(max_examples=400)
@hypothesis.given(parameters)
def test_each_pooled_sum_gives_the_exact_bit(norm):
    folded = fold_batchnorm(single(*norm, pool=True))
    assert folded.node("conv").weights.tolist() == [[[[1, -1, 1]]]]
    taken = int(folded.node("head").weights[0, 0, 0, 0])
    threshold = int(folded.node("sign").thresholds[0])
    assert -REACH - 1 <= threshold <= REACH + 1
    for total in range(-REACH, REACH + 1):
        exact = scalar_model.normalise(*norm, total).is_not_negative()
        assert (taken * (1 if total >= threshold else -1) > 0) == exact, total


@hypothesis.settings(max_examples=300)
@hypothesis.given(positive(float32 | tidy), float32 | tidy, float32 | tidy, positive(float32 | tidy))
def test_smallest_sum(gain, bias, mean, variance):
    """Of any size: it holds there, and not one below."""
    least = smallest_sum(*map(Fraction, (gain, bias, mean, variance)))
    assert scalar_model.normalise(gain, bias, mean, variance, 0, least).is_not_negative()
    assert not scalar_model.normalise(gain, bias, mean, variance, 0, least - 1).is_not_negative()


@hypothesis.settings(max_examples=40)
@hypothesis.given(st.integers(0, 10**6), st.lists(st.sampled_from(["before", "between", "after", "none"]), max_size=3))
def test_networks_mean_the_same(seed, places):
    graph = random_trained(seed, places, shape=(5, 6, 1))
    images = random_images(seed, graph.inputs.shape, count=1)
    assert run(lower(graph), images).scores[0].tolist() == scalar_model.classify(graph, images[0])[0]


@pytest.mark.parametrize(("norm", "flip", "threshold"), [
    # bias / gain * root = 2 * 2: at 3 - 4 the value is exactly 0, whose sign is +1.
    ((1, 2, 3, 3.75, 0.25), 1, -1),
    ((1, 2, 3, 4, 0.25), 1, -1),       # the root a little larger: 3 - 4.12 = -1.12
    ((1, 2, 3, 3.5, 0.25), 1, 0),      # a little smaller: 3 - 3.87 = -0.87
    ((1, -2, 3, 3.75, 0.25), 1, 7),
    ((1, -2, 3, 4, 0.25), 1, 8),
    ((-1, 2, 3, 3.75, 0.25), -1, -7),  # acc <= 7 as -acc >= -7
    ((-1, 2, 3.5, 3.75, 0.25), -1, -7),
    ((-1, -2, -3, 3.75, 0.25), -1, 7),
    ((0, 0, 5, 1, 0.25), 1, -REACH - 1),
    ((-0.0, -0.0, 5, 1, 0.25), 1, -REACH - 1),
    ((0, 1, 5, 1, 0.25), 1, -REACH - 1),
    ((0, -1e-30, 5, 1, 0.25), 1, REACH + 1),
    ((1, 0, 1000, 1, 0.25), 1, REACH + 1),
    ((1, 0, -1000, 1, 0.25), 1, -REACH - 1),
    ((-1, 0, -1000, 1, 0.25), -1, REACH + 1),
    ((1, 0, 1e-40, 1, 0.25), 1, 1),    # above 0 by a subnormal
    ((1, 0, -1e-40, 1, 0.25), 1, 0),
])
def test_by_hand(norm, flip, threshold):
    exact = [float(np.float32(value)) for value in norm]
    folded = fold_batchnorm(single(*exact, pool=False))
    assert folded.node("conv").weights.tolist() == [[[[flip, -flip, flip]]]]
    assert folded.node("sign").thresholds.tolist() == [threshold]


@pytest.mark.parametrize(("norm", "taken", "threshold"), [
    ((1, 2, 3, 3.75, 0.25), 1, -1),
    ((-1, 2, 3, 3.75, 0.25), -1, 8),   # acc <= 7, inverted: acc >= 8
    ((-1, 0, -1000, 1, 0.25), -1, -REACH - 1),
    ((-1, 0, 1000, 1, 0.25), -1, REACH + 1),
    ((0, -1, 5, 1, 0.25), 1, REACH + 1),
])
def test_by_hand_behind_a_pool(norm, taken, threshold):
    folded = fold_batchnorm(single(*norm, pool=True))
    assert folded.node("head").weights.tolist() == [[[[taken]]]]
    assert folded.node("sign").thresholds.tolist() == [threshold]


def test_only_the_channels_of_negative_gain_flip():
    weights = np.random.default_rng(1).choice([-1, 1], (2, 3, 3, 1))
    nodes = (ir.Input("input", (4, 4, 1), 8), ir.Conv("conv", "input", weights),
             ir.BatchNorm("norm", "conv", [1, -1], [0, 0], [5, 5], [1, 1], 0), ir.Sign("sign", "norm"),
             ir.Conv("head", "sign", np.ones((2, 2, 2, 2))), ir.Scores("scores", "head", [0, 0]))
    folded = fold_batchnorm(ir.Graph(nodes, "net"))
    assert np.array_equal(folded.node("conv").weights, weights * np.array([1, -1]).reshape(2, 1, 1, 1))
    assert folded.node("sign").thresholds.tolist() == [5, -5]
    assert np.array_equal(folded.node("head").weights, nodes[4].weights)


def test_sign_without_batch_norm():
    nodes = list(single(1, 0, 0, 1, 0.25, pool=False).nodes)
    nodes[2:4] = [ir.Sign("sign", "conv")]
    assert fold_batchnorm(ir.Graph(tuple(nodes), "net")).node("sign").thresholds.tolist() == [0]


def test_clamped_to_the_reach_of_an_n_bit_input():
    graph = single(1, 0, 1000, 1, 0.25, pool=False)
    image = ir.Input("input", graph.inputs.shape, 8)
    folded = fold_batchnorm(graph.replace(nodes=(image, *graph.nodes[1:])))
    assert reach(folded, "conv") == TAPS * 255
    assert folded.node("sign").thresholds.tolist() == [TAPS * 255 + 1]

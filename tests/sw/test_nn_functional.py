"""``sw.nn.functional`` against scalar formulas and finite differences."""

import math
import random

import numpy as np
import pytest
import torch

from sw.nn import ApproxSign, ClippedSTE, round_straight_through, sign
from sw.numerics import sign as reference_sign


def triangle_integral(x):
    """The piecewise quadratic whose derivative ApproxSign states, by cases."""
    if x < -1:
        return -1.0
    if x < 0:
        return 2 * x + x * x
    if x < 1:
        return 2 * x - x * x
    return 1.0


def clamp(x, limit):
    return max(-limit, min(limit, x))


ESTIMATORS = [
    (ApproxSign(), triangle_integral),
    (ClippedSTE(), lambda x: clamp(x, 1.0)),
    (ClippedSTE(0.25), lambda x: clamp(x, 0.25)),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_sign_of_zero_is_plus_one(dtype):
    x = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 3.0, -3.0, math.inf, -math.inf], dtype=dtype)
    result = sign(x, ClippedSTE())
    assert result.dtype == dtype
    assert result.tolist() == [1, 1, 1, -1, 1, -1, 1, -1]
    assert result.tolist() == reference_sign(x.double().numpy()).tolist()


@pytest.mark.parametrize("estimator, surrogate", ESTIMATORS)
def test_gradient_is_the_slope_of_the_surrogate(estimator, surrogate):
    rng = random.Random(5)
    points = [rng.uniform(-2, 2) for _ in range(200)]
    points = [x for x in points if min(abs(abs(x) - corner) for corner in (0, 0.25, 1)) > 1e-3]
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    upstream = torch.linspace(-1, 2, len(points), dtype=torch.float64)
    sign(x, estimator).backward(upstream)
    step = 1e-6
    slopes = [(surrogate(point + step) - surrogate(point - step)) / (2 * step) for point in points]
    np.testing.assert_allclose(x.grad.numpy(), upstream.numpy() * slopes, rtol=1e-6, atol=1e-8)
    assert x.grad.count_nonzero() and (x.grad == 0).any()


@pytest.mark.parametrize("estimator, x, expected", [
    (ApproxSign(), 0.0, 2.0), (ApproxSign(), 1.0, 0.0), (ApproxSign(), -1.0, 0.0), (ApproxSign(), 5.0, 0.0),
    (ApproxSign(), -0.25, 1.5), (ClippedSTE(), 1.0, 1.0), (ClippedSTE(), -1.0, 1.0),
    (ClippedSTE(), 1.001, 0.0), (ClippedSTE(), 0.0, 1.0), (ClippedSTE(2.0), -1.5, 1.0),
])
def test_estimator_at_its_corners(estimator, x, expected):
    assert estimator(torch.tensor([x])).item() == expected


def test_estimator_keeps_its_argument():
    x = torch.tensor([-0.5, 0.5])
    ApproxSign()(x)
    ClippedSTE()(x)
    assert x.tolist() == [-0.5, 0.5]


def test_any_callable_is_an_estimator():
    x = torch.tensor([0.3, -4.0], requires_grad=True)
    sign(x, lambda value: 3 * value).sum().backward()
    assert torch.equal(x.grad, torch.tensor([0.3, -4.0]) * 3)


def test_rounding_halves_to_even_with_derivative_one():
    x = torch.tensor([0.5, 1.5, -0.5, -1.2, 2.7], requires_grad=True)
    result = round_straight_through(x)
    assert result.tolist() == [0, 2, 0, -1, 3]
    result.backward(torch.tensor([1.0, 2, 3, 4, 5]))
    assert x.grad.tolist() == [1, 2, 3, 4, 5]

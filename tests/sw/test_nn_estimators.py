"""``sw.nn.estimators`` against scalar formulas, finite differences and their schedules in numbers."""

import dataclasses
import math
import random
import re

import numpy as np
import pytest
import torch

from sw.nn import EDE, STE, ApproxSign, ClippedSTE, EDESchedule, LongTail, sign
from sw.nn.estimators import elapsed


def clamp(x, limit):
    return max(-limit, min(limit, x))


def triangle_integral(x):
    if x < -1:
        return -1.0
    if x < 0:
        return 2 * x + x * x
    if x < 1:
        return 2 * x - x * x
    return 1.0


def long_tail_integral(x):
    """Areas under the tail's graph: a trapezoid up to 0.4, of 0.48 in all, and a strip of height 0.4 up to 1."""
    length = abs(x)
    if length <= 0.4:
        area = length * (2 + (2 - 4 * length)) / 2
    else:
        area = 0.48 + 0.4 * (min(length, 1.0) - 0.4)
    return math.copysign(area, x)


# The estimator, its surrogate as a scalar function, and where that has corners.
ESTIMATORS = [
    (STE(), lambda x: x, []),
    (ClippedSTE(), lambda x: clamp(x, 1.0), [1]),
    (ClippedSTE(0.25), lambda x: clamp(x, 0.25), [0.25]),
    (ApproxSign(), triangle_integral, [0, 1]),
    (EDE(0.1, 10.0), lambda x: 10.0 * math.tanh(0.1 * x), []),
    (EDE(3.0, 1.0), lambda x: math.tanh(3.0 * x), []),
    (EDE(2.0, 0.25), lambda x: 0.25 * math.tanh(2.0 * x), []),
    (EDESchedule(), lambda x: 10 * math.tanh(x / 10), []),
    (EDESchedule(2.0, 4.0), lambda x: math.tanh(2 * x), []),
    (LongTail(), long_tail_integral, [0, 0.4, 1]),
]
STATIC = [STE(), ClippedSTE(0.25), ApproxSign(), EDE(3.0, 1.0), LongTail()]


def points_off(corners, seed):
    rng = random.Random(seed)
    points = [rng.uniform(-2, 2) for _ in range(200)] + [-7.0, 7.0]
    return [x for x in points if all(abs(abs(x) - corner) > 1e-3 for corner in corners)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("estimator, surrogate, corners", ESTIMATORS)
def test_gradient_is_the_slope_of_the_surrogate(estimator, surrogate, corners, seed):
    points = points_off(corners, seed)
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    upstream = torch.linspace(-1, 2, len(points), dtype=torch.float64)
    sign(x, estimator).backward(upstream)
    step = 1e-6
    slopes = [(surrogate(point + step) - surrogate(point - step)) / (2 * step) for point in points]
    np.testing.assert_allclose(x.grad.numpy(), upstream.numpy() * slopes, rtol=1e-6, atol=1e-8)
    assert x.grad.count_nonzero() > 20


@pytest.mark.parametrize("estimator, surrogate, corners", ESTIMATORS)
def test_surrogate_is_the_scalar_one(estimator, surrogate, corners):
    points = [*points_off([], 9), *corners, *(-corner for corner in corners), 0.0]
    result = estimator.surrogate(torch.tensor(points, dtype=torch.float64))
    np.testing.assert_allclose(result.numpy(), [surrogate(point) for point in points], rtol=1e-12, atol=1e-15)
    assert result[-1] == 0


@pytest.mark.parametrize("estimator, x, expected", [
    (STE(), 0.0, 1.0), (STE(), -9.0, 1.0),
    (ClippedSTE(), 1.0, 1.0), (ClippedSTE(), -1.0, 1.0), (ClippedSTE(), 1.001, 0.0), (ClippedSTE(), 0.0, 1.0),
    (ClippedSTE(2.0), -1.5, 1.0),
    (ApproxSign(), 0.0, 2.0), (ApproxSign(), 1.0, 0.0), (ApproxSign(), -1.0, 0.0), (ApproxSign(), 5.0, 0.0),
    (ApproxSign(), -0.25, 1.5),
    (EDE(0.5, 2.0), 0.0, 1.0), (EDE(4.0, 1.0), 0.0, 4.0), (EDE(4.0, 1.0), 100.0, 0.0),
    (LongTail(), 0.0, 2.0), (LongTail(), 0.25, 1.0), (LongTail(), -0.5, 0.4), (LongTail(), 1.0, 0.4),
    (LongTail(), -1.0, 0.4), (LongTail(), 1.001, 0.0), (LongTail(), math.inf, 0.0), (LongTail(), -math.inf, 0.0),
])
def test_estimator_at_its_corners(estimator, x, expected):
    assert estimator(torch.tensor([x])).item() == torch.tensor(expected).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("estimator", [row[0] for row in ESTIMATORS])
def test_shape_and_dtype_are_those_of_the_argument_which_stays(estimator, dtype):
    x = torch.tensor([[-0.5, 0.0, 0.25], [1.0, -3.0, 0.75]], dtype=dtype)
    before = x.clone()
    for result in (estimator(x), estimator.surrogate(x)):
        assert (result.dtype, result.shape) == (dtype, x.shape)
        assert result.isfinite().all()
    assert torch.equal(x, before)


@pytest.mark.parametrize("estimator", STATIC)
def test_estimator_without_a_schedule_is_its_own_in_every_epoch(estimator):
    assert all(estimator.at(epoch, 3) is estimator for epoch in range(3))


@pytest.mark.parametrize("schedule, epoch, epochs, t, k", [
    (EDESchedule(), 0, 400, 0.1, 10.0),
    (EDESchedule(), 100, 400, 0.31622776601683794, 3.1622776601683795),
    (EDESchedule(), 200, 400, 1.0, 1.0),
    (EDESchedule(), 300, 400, 3.1622776601683795, 1.0),
    (EDESchedule(), 399, 400, 9.885530946569389, 1.0),
    (EDESchedule(t_min=1e-3), 0, 400, 0.001, 1000.0),
    (EDESchedule(t_min=1e-3), 200, 400, 0.1, 10.0),
    (EDESchedule(t_min=1e-3), 399, 400, 9.772372209558107, 1.0),
    (EDESchedule(0.5, 0.5), 1, 3, 0.5, 2.0),
    (EDESchedule(), 0, 1, 0.1, 10.0),
])
def test_ede_schedule_in_numbers(schedule, epoch, epochs, t, k):
    estimator = schedule.at(epoch, epochs)
    assert isinstance(estimator, EDE)
    assert (estimator.t, estimator.k) == (pytest.approx(t, rel=1e-12), pytest.approx(k, rel=1e-12))
    assert estimator.at(0, 7) is estimator
    # The peak: 1 while t < 1, then t.
    assert estimator(torch.zeros(1, dtype=torch.float64)).item() == pytest.approx(max(1.0, t), rel=1e-12)


@pytest.mark.parametrize("epoch, epochs", [(-1, 3), (3, 3), (0, 0), (4, 3)])
def test_epoch_outside_of_the_schedule(epoch, epochs):
    message = re.escape(f"epoch must be from 0 to epochs - 1, not {epoch} of {epochs}")
    with pytest.raises(ValueError, match=message):
        elapsed(epoch, epochs)
    with pytest.raises(ValueError, match=message):
        EDESchedule().at(epoch, epochs)


@pytest.mark.parametrize("value", [0, 0.0, -1.0, math.inf, math.nan, "1", None])
@pytest.mark.parametrize("make, name", [
    (ClippedSTE, "ClippedSTE limit"),
    (lambda value: EDE(value, 1.0), "EDE t"),
    (lambda value: EDE(1.0, value), "EDE k"),
    (lambda value: EDESchedule(t_min=value), "EDESchedule t_min"),
    (lambda value: EDESchedule(t_max=value), "EDESchedule t_max"),
])
def test_numbers_must_be_positive_and_finite(make, name, value):
    with pytest.raises(ValueError, match=re.escape(f"{name} must be a positive finite number, not {value!r}")):
        make(value)


def test_ede_schedule_must_not_fall():
    with pytest.raises(ValueError, match="t_min must be at most t_max, not 2.0 with 1.0"):
        EDESchedule(2.0, 1.0)


@pytest.mark.parametrize("estimator", [row[0] for row in ESTIMATORS])
def test_estimators_are_equal_by_value_and_immutable(estimator):
    assert dataclasses.replace(estimator) == estimator and hash(dataclasses.replace(estimator)) == hash(estimator)
    with pytest.raises(dataclasses.FrozenInstanceError):
        estimator.t = 3.0

"""``sw.nn.functional`` against scalar formulas."""

import math

import pytest
import torch

from sw.nn import ClippedSTE, round_straight_through, sign
from sw.numerics import sign as reference_sign


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_sign_of_zero_is_plus_one(dtype):
    x = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 3.0, -3.0, math.inf, -math.inf], dtype=dtype)
    result = sign(x, ClippedSTE())
    assert result.dtype == dtype
    assert result.tolist() == [1, 1, 1, -1, 1, -1, 1, -1]
    assert result.tolist() == reference_sign(x.double().numpy()).tolist()


def test_any_callable_is_an_estimator():
    x = torch.tensor([0.3, -4.0], requires_grad=True)
    sign(x, lambda value: 3 * value).backward(torch.tensor([1.0, -0.5]))
    assert torch.equal(x.grad, torch.tensor([0.3, -4.0]) * 3 * torch.tensor([1.0, -0.5]))


def test_rounding_halves_to_even_with_derivative_one():
    x = torch.tensor([0.5, 1.5, -0.5, -1.2, 2.7], requires_grad=True)
    result = round_straight_through(x)
    assert result.tolist() == [0, 2, 0, -1, 3]
    result.backward(torch.tensor([1.0, 2, 3, 4, 5]))
    assert x.grad.tolist() == [1, 2, 3, 4, 5]

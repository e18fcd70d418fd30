"""``sw.nn.multi_bit`` against a search among the odd integers."""

import re
from fractions import Fraction

import pytest
import torch

from sw.nn import MultiBit
from sw.nn.multi_bit import odd_integers


def nearest(value, most):
    """By search; the upper one of two that are as near."""
    return min(range(most, -most - 1, -2), key=lambda candidate: abs(Fraction(value) - candidate))


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_values_are_the_nearest_odd_integers(bits):
    torch.manual_seed(bits)
    weight = torch.randn(4, 3, 2, 2, dtype=torch.float64) * torch.tensor([1.0, 1e-3, 30.0, 0.0]).view(-1, 1, 1, 1)
    most, binarizer = 2 ** bits - 1, MultiBit(4, bits)
    expected = []
    for row in weight.flatten(1).tolist():
        unit = (max(map(abs, row)) or most) / most
        expected.append([nearest(value / unit, most) for value in row])
    assert binarizer.signs(weight).flatten(1).tolist() == expected
    assert binarizer.scale(weight).tolist() == [
        (max(map(abs, row)) or most) / most for row in weight.flatten(1).tolist()]
    assert expected[3] == [1] * 12 and {max(map(abs, row)) for row in expected[:3]} == {most}


def test_ties_go_up():
    weight = torch.tensor([[7.0, 0.0, -0.0, 2.0, -2.0, 4.0, -4.0, 6.0, -6.0, -7.0, 0.5, -0.5]])
    assert MultiBit(1, 3).signs(weight).tolist() == [[7, 1, 1, 3, -1, 5, -3, 7, -5, -7, 1, -1]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_training_and_evaluation_have_the_same_integers(dtype):
    torch.manual_seed(3)
    weight = torch.randn(8, 5000, dtype=dtype)
    weight[:, :2000] *= 1e-3
    binarizer = MultiBit(8, 8)
    trained = binarizer.signs(weight.clone().requires_grad_())
    assert trained.requires_grad
    assert torch.equal(trained, binarizer.signs(weight))
    assert torch.all(trained.detach() % 2 == 1)


def test_scaled_weights_have_derivative_one():
    torch.manual_seed(4)
    weight = torch.randn(3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(3, 2, 2, 2, dtype=torch.float64)
    binarizer = MultiBit(3, 4)
    scale = binarizer.scale(weight)
    assert not scale.requires_grad
    (binarizer.signs(weight) * scale[:, None, None, None]).backward(upstream)
    torch.testing.assert_close(weight.grad, upstream)


@pytest.mark.parametrize("weights, unit", [
    ([0.5, -2.0, 0.0, 1.0], 2 / 255), ([0.0, 0.0], 1.0), ([1e-3, 1e-9], 1e-3 / 255),
])
def test_odd_integers_of_a_layer(weights, unit):
    found, found_unit = odd_integers(torch.tensor([weights], dtype=torch.float64), 8)
    assert found_unit == unit
    assert found.tolist() == [[nearest(value / unit, 255) for value in weights]]


@pytest.mark.parametrize("bits", [0, 1, 9, 2.5])
def test_other_bits_are_refused(bits):
    with pytest.raises(ValueError, match=re.escape(f"MultiBit bits must be from 2 to 8, not {bits!r}")):
        MultiBit(3, bits)


def test_like_keeps_bits():
    other = MultiBit(3, 5).like(7)
    assert (other.bits, other.out_channels, other.most) == (5, 7, 31)
    assert "7, bits=5" in repr(other)

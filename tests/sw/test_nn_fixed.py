"""``sw.nn.fixed`` against fractions and Python integers."""

import re
from fractions import Fraction

import pytest
import torch
from torch import nn

from sw.errors import CompileError
from sw.nn.fixed import (
    AffineConstants,
    FixedModule,
    FixedPoint,
    affine_constants,
    fixed_point,
    round_half_up,
    set_fixed,
)
from tests.sw.scalar_words import constants, half_up, shifted


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("fraction, bits, one, least, most", [
    (0, 4, 1, -8, 7), (6, 8, 64, -128, 127), (20, 24, 1 << 20, -(1 << 23), (1 << 23) - 1), (20, 4, 1 << 20, -8, 7),
])
def test_format(fraction, bits, one, least, most):
    fixed = FixedPoint(fraction, bits)
    assert (fixed.one, fixed.sum_bits) == (one, bits + 2)
    given = tensor([least - 1, least, 0, most, most + 1, 1e12, -1e12])
    assert fixed.saturate(given).tolist() == [least, least, 0, most, most, most, least]
    assert fixed.saturate(given, 3).tolist() == [-4, -4, 0, 3, 3, 3, -4]


@pytest.mark.parametrize("fraction, bits", [(-1, 8), (21, 24), (6, 3), (6, 25), (2.5, 8)])
def test_format_that_is_none(fraction, bits):
    message = f"fixed point words must have 4 to 24 bits and a fraction of 0 to 20, not {bits} and {fraction}"
    with pytest.raises(CompileError, match=re.escape(message)):
        FixedPoint(fraction, bits)


@pytest.mark.parametrize("shift", [-1, 41, 1.5])
def test_shift_that_is_none(shift):
    with pytest.raises(CompileError, match=re.escape(f"the shift of batch norms must be 0 to 40, not {shift}")):
        FixedPoint(6, 8, shift)


def test_halves_round_towards_plus_infinity():
    assert round_half_up(tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, -0.51, 0.49])).tolist() == [
        -2, -1, 0, 1, 2, 3, -1, 0]


@pytest.mark.parametrize("fraction", [0, 1, 6, 12, 20])
@pytest.mark.parametrize("spread", [1e-9, 1e-3, 0.02, 0.02999])
def test_constants_are_the_largest_that_fit(fraction, spread):
    generator = torch.Generator().manual_seed(fraction)
    gains = torch.randn(7, generator=generator, dtype=torch.float64).clamp(-1, 1) * spread
    offsets = torch.randn(7, generator=generator, dtype=torch.float64)
    gains[3] = offsets[4] = 0
    made = affine_constants(gains, offsets, fraction)
    assert (made.gain.tolist(), made.offset.tolist(), made.shift) == constants(
        gains.tolist(), offsets.tolist(), fraction)
    assert made.gain.abs().max() <= 32767


@pytest.mark.parametrize("gain, offset, fraction, shift", [
    ([0.0], [0.0], 6, 40), ([0.0], [1.0], 6, 40), ([1.0], [0.0], 0, 14), ([32767.0], [0.0], 0, 0),
    ([1.0], [1.0], 15, None), ([1e-12], [2.0 ** 30], 10, 10), ([1e-12], [2.0 ** 50], 0, 0),
])
def test_shift(gain, offset, fraction, shift):
    if shift is None:
        with pytest.raises(CompileError, match=r"gain of 1 or offset of 1 does not fit 16 bits with a fraction of 15"):
            affine_constants(tensor(gain), tensor(offset), fraction)
    else:
        assert affine_constants(tensor(gain), tensor(offset), fraction).shift == shift


@pytest.mark.parametrize("shift", [0, 3, 9])
def test_a_given_shift(shift):
    made = affine_constants(tensor([1.0, -0.3, 0.001]), tensor([0.7, -2.0, 0.0]), 5, shift)
    gains, offsets = ([Fraction(value) * 2 ** (5 + shift) for value in values] for values in (
        (1.0, -0.3, 0.001), (0.7, -2.0, 0.0)))
    assert made.shift == shift
    assert made.gain.tolist() == [half_up(value) for value in gains]
    assert made.offset.tolist() == [half_up(value) for value in offsets]


def test_a_given_shift_that_is_too_large():
    largest = affine_constants(tensor([1.0]), tensor([0.0]), 5).shift
    assert affine_constants(tensor([1.0]), tensor([0.0]), 5, largest).shift == largest == 9
    with pytest.raises(CompileError, match="does not fit 16 bits with a fraction of 5 and a shift of 10; train"):
        affine_constants(tensor([1.0]), tensor([0.0]), 5, 10)


@pytest.mark.parametrize("gain, offset", [
    (32768.0, 0.0), (-32768.0, 0.0), (1.0, 2.0 ** 50 * 1.1), (float("nan"), 0.0), (1.0, float("nan")),
    (float("inf"), 0.0), (0.0, float("-inf")),
])
def test_constants_that_do_not_fit(gain, offset):
    with pytest.raises(CompileError, match=r"a batch norm's gain of .* or offset of .* does not fit 16 bits"):
        affine_constants(tensor([0.5, gain]), tensor([0.5, offset]), 0)


@pytest.mark.parametrize("shift", [0, 1, 2, 7, 40])
def test_affine_rounds_half_up(shift):
    gains, offsets = [1, -1, 3, 0, -32767], [0, 5, -(1 << 50), 1 << 49, 1 << 49]
    values = [0, 1, -1, 2, -2, 3, -3, 64, -64, 192, -192, (1 << 41) + 1, -(1 << 41) - 1, (1 << 43) - 1]
    x = tensor(values).repeat(2, 5, 1)
    made = AffineConstants(tensor(gains), tensor(offsets), shift)(x)
    assert made.dtype == torch.float64
    expected = [[shifted(gain * value + offset, shift) for value in values] for gain, offset in zip(gains, offsets)]
    # What is beyond 53 bits is rounded when it becomes a float again, far outside of any word.
    assert made.tolist() == [[[float(value) for value in row] for row in expected]] * 2
    assert torch.equal(x[0, 0], tensor(values))


@pytest.mark.parametrize("x", [(1 << 40) + 12345, -(1 << 40) - 9])
@pytest.mark.parametrize("below", [1, 0])
def test_affine_is_exact_beyond_53_bits(x, below):
    """Just below half way, and half way, of a product that float64 would round."""
    product = 32767 * x
    offset = (1 << 39) - below - product % (1 << 40)
    exact = shifted(product + offset, 40)
    assert abs(product) > 1 << 54 and exact == (product >> 40) + 1 - below
    made = AffineConstants(tensor([32767]), tensor([offset]), 40)(tensor([[x]]))
    assert made.item() == exact


@pytest.mark.parametrize("shift", [0, 1, 7, 40])
def test_a_known_reach_changes_nothing(shift):
    """At both ends of what float64 takes, and next to every tie."""
    reach = ((1 << 51) - (1 << 50) - (1 << 39)) // 32768 - 1
    generator = torch.Generator().manual_seed(shift)
    x = torch.cat([torch.randint(-reach, reach, (300,), generator=generator),
                   torch.tensor([reach, -reach, 0, 1, -1, 1 << 20, -(1 << 20)])]).double().repeat(1, 4, 1)
    constants = AffineConstants(tensor([32767, -32767, 1, -1]), tensor([1 << 50, -(1 << 50), 0, 1 << 39]), shift)
    assert torch.equal(constants(x, reach), constants(x))


def test_gradients_pass_roundings():
    x = tensor([-1.5, 0.2, 2.5]).requires_grad_()
    (round_half_up(x) * tensor([1, 2, 3])).sum().backward()
    assert x.grad.tolist() == [1, 2, 3]
    x, gain, offset = (tensor(values).requires_grad_() for values in ([[3, 4]], [7, 2], [1, 0]))
    AffineConstants(gain, offset, 2)(x, 100).sum().backward()
    assert [values.grad.tolist() for values in (x, gain, offset)] == [[[1.75, 0.5]], [0.75, 1], [0.25, 0.25]]


def test_affine_of_vectors():
    made = AffineConstants(tensor([2, -1]), tensor([0, 1]), 2)(tensor([[3, 3], [-1, 1]]))
    assert made.tolist() == [[2, 0], [0, 0]]


def test_reals_of_words():
    module = FixedModule()
    assert module.as_reals(tensor([3])).tolist() == [3]
    set_fixed(module, FixedPoint(2, 8))
    assert module.as_reals(tensor([3, -1])).tolist() == [0.75, -0.25]


class Part(FixedModule):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(FixedModule())


def test_integer_mode_is_set_in_all_modules():
    model = nn.Sequential(nn.Identity(), Part())
    assert fixed_point(model) is None and model.training
    set_fixed(model, None)
    assert model.training
    fixed = FixedPoint(3, 9)
    set_fixed(model, fixed)
    assert fixed_point(model) is model[1].fixed is model[1].inner[0].fixed is fixed
    assert not any(module.training for module in model.modules())
    set_fixed(model, None)
    assert fixed_point(model) is model[1].inner[0].fixed is None
    assert not model.training
    assert fixed_point(nn.Identity()) is None

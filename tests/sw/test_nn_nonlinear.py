"""``sw.nn.nonlinear`` against one value at a time: floats, finite differences, and Python integers."""

import math

import pytest
import torch

from sw.errors import CompileError
from sw.nn.fixed import FixedPoint, set_fixed
from sw.nn.nonlinear import NONLINEARITIES, InstaPReLU, PReLU, RPReLU, SqueezeInstaPReLU, TwoSlopePReLU
from tests.sw.scalar_words import CORNERS, each, half_up, random_words, saturated, shifted

FORMATS = [FixedPoint(6, 8), FixedPoint(7, 8), FixedPoint(9, 8), FixedPoint(3, 12)]
SIMPLE = ["none", "hardtanh", "relu", "prelu", "two-slope", "rprelu"]

#: Slopes and shifts of three channels, of all signs.
POSITIVE, NEGATIVE = [1.25, 0.0, -0.5], [0.3, -0.25, 1.5]
BEFORE, AFTER = [0.4, -0.3, 0.0078125], [-0.2, 0.7, 0.0]


def make(name):
    module = NONLINEARITIES[name](3)
    with torch.no_grad():
        for key, values in (("slope", NEGATIVE), ("positive", POSITIVE), ("negative", NEGATIVE), ("before", BEFORE),
                            ("after", AFTER)):
            if hasattr(module, key):
                getattr(module, key).copy_(torch.tensor(values))
    return module


def real(name, x, c):
    """The formula."""
    if name == "rprelu":
        return real("prelu", x + BEFORE[c], c) + AFTER[c]
    slope = NEGATIVE[c] if name in ("prelu", "two-slope") else 0.0
    positive = POSITIVE[c] if name == "two-slope" else 1.0
    return {"none": x, "hardtanh": max(-1.0, min(1.0, x)), "relu": max(0.0, x)}.get(
        name, positive * x if x >= 0 else slope * x)


def whole(name, x, c, fixed):
    """The formula in integers: slopes have 10 bits behind the point."""
    bits, one = fixed.bits, fixed.one
    if name == "rprelu":
        before, after = half_up(BEFORE[c] * one), half_up(AFTER[c] * one)
        return saturated(whole("prelu", saturated(x + before, bits + 2), c, fixed) + after, bits)
    if name == "none":
        return saturated(x, bits)
    if name == "hardtanh":
        limit = min(one, (1 << (bits - 1)) - 1)
        return max(-limit, min(limit, x))
    if name == "relu":
        return max(0, saturated(x, bits))
    positive = POSITIVE[c] if name == "two-slope" else 1.0
    slope = half_up((positive if x >= 0 else NEGATIVE[c]) * 1024)
    return saturated(shifted(slope * x, 10), bits)


# Parameters are float32.
POSITIVE, NEGATIVE, BEFORE, AFTER = (torch.tensor(values).tolist() for values in (POSITIVE, NEGATIVE, BEFORE, AFTER))


@pytest.mark.parametrize("name", SIMPLE)
def test_real_values(name):
    torch.manual_seed(1)
    x = torch.randn(2, 3, 4, 5) * 1.5
    x[0, :, 0, :3] = torch.tensor([0.0, -1.0, 1.0])
    found = make(name)(x)
    assert found.shape == x.shape
    torch.testing.assert_close(found, torch.tensor(each(lambda value, n, c: real(name, value, c), x)),
                               rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("fixed", FORMATS, ids=str)
@pytest.mark.parametrize("name", SIMPLE)
def test_integer_mode_is_that_of_python_integers(name, fixed):
    module = make(name)
    set_fixed(module, fixed)
    x = random_words((2, 3, 6, 8), fixed.sum_bits, 2)  # as wide as what a batch norm gives
    found = module(x)
    assert found.dtype == torch.float64
    assert found.tolist() == each(lambda value, n, c: whole(name, int(value), c, fixed), x)
    assert found.abs().max() <= 1 << (fixed.bits - 1)


def test_slopes_round_ties_of_both_signs_up():
    module = PReLU(1)
    with torch.no_grad():
        module.slope.fill_(0.5)
    set_fixed(module, FixedPoint(6, 8))
    x = torch.tensor([-1.0, -2, -3, -5, 0, 3]).view(1, 1, 1, 6)
    assert module(x.double()).flatten().tolist() == [0, -1, -1, -2, 0, 3]


@pytest.mark.parametrize("name", ["none", "hardtanh", "prelu", "two-slope", "rprelu"])
def test_words_stand_for_the_real_values(name):
    module, fixed = make(name), FixedPoint(10, 16)
    x = random_words((1, 3, 8, 8), 13, 3)
    expected = module(x.float() / fixed.one).double()
    set_fixed(module, fixed)
    torch.testing.assert_close(module(x) / fixed.one, expected, rtol=2 ** -10, atol=2 / fixed.one)


@pytest.mark.parametrize("name", SIMPLE)
def test_gradients_are_slopes(name):
    torch.manual_seed(4)
    module = make(name).double()
    x = (torch.randn(2, 3, 2, 2, dtype=torch.float64) * 1.3).requires_grad_()
    upstream = torch.randn(x.shape, dtype=torch.float64)
    module(x).backward(upstream)
    step = 1e-6

    def slope(value, n, c):
        return (real(name, value + step, c) - real(name, value - step, c)) / (2 * step)

    slopes = torch.tensor(each(slope, x.detach()), dtype=torch.float64)
    torch.testing.assert_close(x.grad, slopes * upstream, rtol=1e-6, atol=1e-8)
    for parameter in module.parameters():
        before, losses = parameter.detach().clone(), []
        for c in range(3):
            for sign in (1, -1):
                with torch.no_grad():
                    parameter[c] = before[c] + sign * step
                    losses.append(float((module(x) * upstream).sum()))
                    parameter.copy_(before)
        expected = [(up - down) / (2 * step) for up, down in zip(losses[::2], losses[1::2])]
        assert parameter.grad.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_initial_values():
    assert PReLU(2).slope.tolist() == [0.25] * 2
    assert [values.tolist() for values in TwoSlopePReLU(2).slopes()] == [[1, 1], [0.25, 0.25]]
    rprelu = RPReLU(2)
    assert (rprelu.slope.tolist(), rprelu.before.tolist(), rprelu.after.tolist()) == ([0.25] * 2, [0, 0], [0, 0])


@pytest.mark.parametrize("kind", [InstaPReLU, SqueezeInstaPReLU])
def test_instance_bias_stands_within_the_prelu(kind):
    torch.manual_seed(5)
    module = kind(3).eval()
    with torch.no_grad():
        for key, values in (("slope", NEGATIVE), ("before", BEFORE), ("after", AFTER)):
            getattr(module, key).copy_(torch.tensor(values))
        module.instance.gain.copy_(torch.tensor([0.5, -1.0, 0.25]))
        module.instance.bias.copy_(torch.tensor([0.1, 0.2, -0.3]))
    assert (module.instance.branch is not None) == (kind is SqueezeInstaPReLU)
    x = torch.randn(2, 3, 4, 4)
    bias = module.instance(x).detach()
    assert bias.abs().max() > 0.1

    def expected(value, n, c):
        return real("prelu", value + BEFORE[c] + bias[n, c].item(), c) + AFTER[c]

    torch.testing.assert_close(module(x), torch.tensor(each(expected, x)), rtol=1e-5, atol=1e-5)
    fixed = FixedPoint(5, 8)
    set_fixed(module, fixed)
    x = random_words((2, 3, 5, 5), fixed.sum_bits, 6)
    words = module.instance(x)

    def exact(value, n, c):
        shift = saturated(int(value) + half_up(BEFORE[c] * fixed.one), fixed.sum_bits)
        shift = saturated(shift + int(words[n, c]), fixed.sum_bits)
        slope = 1024 if shift >= 0 else half_up(NEGATIVE[c] * 1024)
        return saturated(saturated(shifted(slope * shift, 10), fixed.bits) + half_up(AFTER[c] * fixed.one), fixed.bits)

    assert module(x).tolist() == each(exact, x)


@pytest.mark.parametrize("slope", [32.0, -32.0, 1e9, math.nan, math.inf])
def test_slope_that_does_not_fit(slope):
    module = TwoSlopePReLU(2)
    with torch.no_grad():
        module.negative[1] = slope
    set_fixed(module, FixedPoint())
    with pytest.raises(CompileError, match="does not fit 16 bits with 10 behind the point"):
        module(torch.zeros(1, 2, 1, 1))


def test_steepest_slope_that_fits():
    module = PReLU(1)
    with torch.no_grad():
        module.slope.fill_(-31.999)
    set_fixed(module, FixedPoint(6, 12))
    x = [value for value in CORNERS if -64 <= value < 64]
    found = module(torch.tensor(x, dtype=torch.float64).view(1, 1, 1, -1)).flatten().tolist()
    assert found == [value if value >= 0 else saturated(shifted(-32767 * value, 10), 12) for value in x]


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_repeated(name):
    module = NONLINEARITIES[name](4)
    other = module.repeated(3)
    assert type(other) is type(module) and other.channels == 12 and repr(other).startswith(f"{type(module).__name__}(")
    assert other(torch.randn(2, 12, 3, 3)).shape == (2, 12, 3, 3)

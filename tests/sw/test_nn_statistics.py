"""``sw.nn.statistics`` against loops over floats and over Python integers."""

import math

import pytest
import torch

from sw.errors import CompileError
from sw.nn.fixed import FixedPoint, set_fixed
from sw.nn.statistics import InstanceBias, SqueezeExcite
from tests.sw.scalar_words import constants, half_up, odd, random_words, saturated, shifted

FUNCTIONS = {"sigmoid": lambda z: 1 / (1 + math.exp(-z)), "tanh": math.tanh}


def excited(module, vector):
    """FC, ReLU, FC of a list of floats."""
    hidden = [max(0.0, sum(w * x for w, x in zip(row, vector))) for row in module.squeeze.weight.tolist()]
    return [sum(w * x for w, x in zip(row, hidden)) for row in module.excite.weight.tolist()]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("channels, reduction, hidden", [(8, 4, 2), (5, 16, 1), (12, 5, 2)])
def test_squeeze_excite(function, channels, reduction, hidden):
    torch.manual_seed(1)
    module = SqueezeExcite(channels, reduction, function)
    assert module.squeeze.weight.shape == (hidden, channels) and module.excite.weight.shape == (channels, hidden)
    assert module.squeeze.bias is None and module.excite.bias is None
    x = torch.randn(4, channels) * 3
    expected = [[FUNCTIONS[function](z) for z in excited(module, row)] for row in x.tolist()]
    torch.testing.assert_close(module(x), torch.tensor(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", ["relu", "Sigmoid", None])
def test_other_functions_are_refused(function):
    with pytest.raises(ValueError, match=f"SqueezeExcite function must be sigmoid or tanh, not {function!r}"):
        SqueezeExcite(4, 2, function)


def units(rows):
    """Odd integers of a layer's weights, and their unit."""
    unit = max(abs(value) for row in rows for value in row) / 255
    return [[odd(value / unit, 255) for value in row] for row in rows], unit


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("channels, gain, pixels", [(6, 1.0, 64), (6, 30.0, 64), (6, 0.02, 1024), (64, 3.0, 12544)])
def test_squeeze_excite_of_integers(function, channels, gain, pixels):
    torch.manual_seed(2)
    module, fixed = SqueezeExcite(channels, 4, function), FixedPoint(6, 9)
    with torch.no_grad():
        module.excite.weight.mul_(gain)
    set_fixed(module, fixed)
    bits = fixed.bits + (pixels - 1).bit_length()
    x = random_words((5, channels), bits, 3)
    found = module(x, 1 / (pixels * fixed.one), bits)
    squeeze, first = units(module.squeeze.weight.tolist())
    excite, second = units(module.excite.weight.tolist())
    reduce = max(0, bits - 18)
    factor = 2 ** reduce / (pixels * fixed.one) * first * second * 16  # entries count 1/16
    shift = min(61, math.floor(math.log2(511 / factor)))
    multiplier = half_up(factor * 2 ** shift)
    assert 256 <= multiplier <= 511
    seen = set()
    for row, result in zip(x.tolist(), found.tolist()):
        vector = [shifted(int(value), reduce) for value in row]
        hidden = [max(0, sum(w * v for w, v in zip(weights, vector))) for weights in squeeze]
        for weights, value in zip(excite, result):
            entry = ((sum(w * v for w, v in zip(weights, hidden)) * multiplier) >> shift) + 128
            entry = max(0, min(255, entry))
            assert value == half_up(FUNCTIONS[function]((entry - 127.5) / 16) * fixed.one)
            seen.add(entry)
    assert len(seen) > {0.02: 0, 1.0: 2}.get(gain, 5)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("channels, pixels, largest", [
    (16, 1024, 0.5), (64, 64, 0.2), (512, 16, 0.05), (512, 16, 0.01), (64, 1, 3.0),
])
def test_words_stand_for_the_real_values(function, channels, pixels, largest):
    torch.manual_seed(3)
    module, fixed = SqueezeExcite(channels, 16, function), FixedPoint(12, 14)
    with torch.no_grad():
        for layer in (module.squeeze, module.excite):  # weights that 8 bits hold
            odds = 2 * torch.randint(0, 128, layer.weight.shape) + 1
            odds[0, 0] = 255
            layer.weight.copy_(odds * (largest / 255))
    bits = fixed.bits + (pixels - 1).bit_length()
    mean = (torch.rand(20, channels, dtype=torch.float64) * 1.5 - 0.5) * torch.linspace(0, 1, 20)[:, None].double()
    sums = (mean * pixels * fixed.one).round()
    z = torch.tensor([excited(module, row) for row in mean.tolist()], dtype=torch.float64)
    set_fixed(module, fixed)
    found = module(sums, 1 / (pixels * fixed.one), bits) / fixed.one
    # An entry of the table is 1/16 wide and holds the value of its middle; the index's factor has 9 bits.
    slack = 1 / 32 + z.abs() / 512 + 2e-3
    limit = torch.sigmoid if function == "sigmoid" else torch.tanh
    inside = z.abs() < 7.5
    assert 0.1 < z.abs().max() and inside.any()
    near = (limit(z - slack) <= found + 1 / fixed.one) & (found <= limit(z + slack) + 1 / fixed.one)
    assert torch.all(near | ~inside)


def test_weights_that_are_no_numbers():
    module = SqueezeExcite(4, 2, "tanh")
    with torch.no_grad():
        module.squeeze.weight[0, 0] = math.nan
    set_fixed(module, FixedPoint())
    with pytest.raises(CompileError, match="weights of a squeeze-excite branch are no finite numbers"):
        module(torch.zeros(1, 4), 1.0, 8)


def make(squeeze_excite, channels=3):
    torch.manual_seed(4)
    module = InstanceBias(channels, squeeze_excite).eval()
    with torch.no_grad():
        module.gain.copy_(torch.randn(channels))
        module.bias.copy_(torch.randn(channels) * 0.3)
        module.norm.running_mean.normal_(0, 0.5)
        module.norm.running_var.uniform_(0.2, 3)
    return module


@pytest.mark.parametrize("squeeze_excite", [False, True])
def test_instance_bias_is_of_the_third_moment(squeeze_excite):
    module = make(squeeze_excite)
    x = torch.randn(2, 3, 4, 5) * 1.5
    found = module(x)
    assert found.shape == (2, 3, 1, 1)
    means, variances = module.norm.running_mean.tolist(), module.norm.running_var.tolist()
    for image, result in zip(x.tolist(), found.tolist()):
        moments = []
        for plane, mean, variance in zip(image, means, variances):
            cubes = [((value - mean) / math.sqrt(variance + module.norm.eps)) ** 3 for row in plane for value in row]
            moments.append(math.fsum(cubes) / 20)
        branch = [math.tanh(z) for z in excited(module.branch, moments)] if squeeze_excite else [0.0] * 3
        expected = [gain * m + bias + more for gain, m, bias, more in
                    zip(module.gain.tolist(), moments, module.bias.tolist(), branch)]
        assert [value for ((value,),) in result] == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("squeeze_excite", [False, True])
@pytest.mark.parametrize("fixed", [FixedPoint(4, 8), FixedPoint(7, 8), FixedPoint(8, 12)], ids=str)
def test_instance_bias_of_integers(squeeze_excite, fixed):
    module = make(squeeze_excite)
    set_fixed(module, fixed)
    x = random_words((2, 3, 6, 6), fixed.sum_bits, 5)
    found = module(x)
    gains = [1 / math.sqrt(variance + module.norm.eps) for variance in module.norm.running_var.tolist()]
    means = module.norm.running_mean.tolist()
    norm = constants([gain / fixed.one for gain in gains], [-gain * mean for gain, mean in zip(gains, means)], 5)
    unit = 1 / (36 * 2 ** 15)
    bias = constants([gain * unit for gain in module.gain.tolist()], module.bias.tolist(), fixed.fraction)
    sums = []
    for image, result in zip(x.tolist(), found.tolist()):
        cubes = [sum(saturated(shifted(norm[0][c] * int(value) + norm[1][c], norm[2]), 8) ** 3
                     for row in plane for value in row) for c, plane in enumerate(image)]
        expected = [saturated(shifted(bias[0][c] * value + bias[1][c], bias[2]), fixed.sum_bits)
                    for c, value in enumerate(cubes)]
        if squeeze_excite:
            more = module.branch(torch.tensor([cubes], dtype=torch.float64), unit, module.sum_bits(36))[0].tolist()
            expected = [saturated(value + int(other), fixed.sum_bits) for value, other in zip(expected, more)]
        assert [value for ((value,),) in result] == expected
        sums += cubes
    assert (module.norm_bits, module.sum_bits(36)) == (8, 3 * 7 + 1 + 6)
    assert max(map(abs, sums)) < 1 << (module.sum_bits(36) - 1)


@pytest.mark.parametrize("pixels, bits", [(1, 22), (2, 23), (64, 28), (65, 29)])
def test_sums_of_cubes_fit(pixels, bits):
    assert InstanceBias.sum_bits(pixels) == bits
    assert -(1 << (bits - 1)) <= (-128) ** 3 * pixels < -(1 << (bits - 1)) // 2 or pixels == 65


@pytest.mark.parametrize("squeeze_excite", [False, True])
def test_instance_bias_in_words_stands_for_the_real_one(squeeze_excite):
    module, fixed = make(squeeze_excite), FixedPoint(10, 14)
    x = (torch.rand(4, 3, 8, 8) * 3 - 1.5).mul(fixed.one).round() / fixed.one
    real = module(x).double()
    set_fixed(module, fixed)
    found = module(x.double() * fixed.one) / fixed.one
    assert real.abs().max() > 0.3
    # The cube of a value that is rounded to 1/32.
    torch.testing.assert_close(found, real, rtol=0.05, atol=0.1 if squeeze_excite else 0.02)


def test_instance_bias_starts_as_none_and_learns():
    module = InstanceBias(3, False)
    x = torch.randn(4, 3, 5, 5)
    assert not module(x).any()
    module(x).sum().backward()
    assert module.gain.grad.any() and module.bias.grad.tolist() == [4.0] * 3
    assert not list(module.norm.parameters())

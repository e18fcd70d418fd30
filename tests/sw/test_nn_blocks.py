"""``sw.nn.blocks``: how the parts, which have tests of their own, are put together, in both modes."""

import pytest
import torch
from torch import nn

from sw.nn import BinaryConv2d, ReCU, TrainableScale
from sw.nn.activations import PlainActivation, ScaledSign
from sw.nn.blocks import ChannelShuffle, DoublingUnit, PairUnit, PlainUnit, ResidualUnit
from sw.nn.conv_norm import ConvNorm
from sw.nn.fixed import FixedPoint, set_fixed
from sw.nn.nonlinear import Hardtanh, Linear, RPReLU
from sw.nn.shortcuts import AveragePool, Pad
from tests.sw.scalar_words import each, random_words, randomise, saturated

FIXED = FixedPoint(4, 8)
#: Real values, and words of which sums saturate.
MODES = [None, FIXED]


def conv(in_channels, out_channels, stride=1, groups=1):
    binarizer = TrainableScale(out_channels) if groups == 1 else ReCU(out_channels)
    return ConvNorm(BinaryConv2d(in_channels, out_channels, 3, stride, 1, groups=groups, binarizer=binarizer))


def ready(module, fixed, seed=1):
    randomise(module.eval(), seed)
    for part in module.modules():
        if isinstance(part, ConvNorm):  # steep enough for saturation
            part.norm.weight.data.mul_(4)
    set_fixed(module, fixed)
    return module


def inputs(channels, fixed, seed=2):
    x = random_words((2, channels, 4, 4), FIXED.bits, seed)
    x[1] = torch.where(x[1] >= 0, 127, -128)
    return x if fixed else x.float() / FIXED.one


def added(left, right, fixed):
    """One value at a time."""
    other = right.tolist()
    flat = [value for image in other for plane in image for row in plane for value in row]
    values = iter(flat)
    if fixed is None:
        return torch.tensor(each(lambda value, n, c: value + next(values), left))
    return torch.tensor(each(lambda value, n, c: float(saturated(int(value) + int(next(values)), fixed.bits)), left),
                        dtype=torch.float64)


@pytest.mark.parametrize("channels, groups, expected", [
    (6, 2, [0, 3, 1, 4, 2, 5]), (6, 3, [0, 2, 4, 1, 3, 5]), (4, 4, [0, 1, 2, 3]), (4, 1, [0, 1, 2, 3]),
    (8, 4, [0, 2, 4, 6, 1, 3, 5, 7]),
])
def test_shuffle(channels, groups, expected):
    module = ChannelShuffle(channels, groups)
    assert module.channels() == expected
    for g in range(groups):
        for i in range(channels // groups):
            assert expected[i * groups + g] == g * (channels // groups) + i
    x = torch.randn(2, channels, 3, 3)
    assert torch.equal(module(x), x[:, expected])
    other = module.repeated(2)
    assert (other.in_channels, other.out_channels, other.groups) == (2 * channels, 2 * channels, groups)


@pytest.mark.parametrize("groups", [0, -1, 4])
def test_shuffle_refuses_groups_that_do_not_divide(groups):
    with pytest.raises(ValueError, match=f"ChannelShuffle groups must divide the 6 channels, not {groups}"):
        ChannelShuffle(6, groups)


@pytest.mark.parametrize("fixed", MODES)
def test_plain_unit(fixed):
    """The shuffle is of bits, and the convolution takes the scale of the bits."""
    unit = ready(PlainUnit(ScaledSign(4), conv(4, 4, groups=2), Hardtanh(4), ChannelShuffle(4, 2)), fixed)
    with torch.no_grad():
        unit.binarize.beta.fill_(-0.7)
    x = inputs(4, fixed)
    bits = torch.tensor(each(lambda value, n, c: 1.0 if value >= 0 else -1.0, x))[:, [0, 2, 1, 3]]
    branch = unit.conv(bits, torch.tensor(-0.7))
    assert torch.equal(unit.branch(x), branch)
    assert not torch.equal(branch, unit.conv(bits))
    assert torch.equal(unit(x), unit.nonlinearity(branch))


@pytest.mark.parametrize("fixed", MODES)
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("shrinks", [False, True])
def test_residual_unit(fixed, before, shrinks):
    shortcut = nn.Sequential(AveragePool(), Pad(4, 6)) if shrinks else nn.Identity()
    width = 6 if shrinks else 4
    unit = ready(ResidualUnit(PlainActivation(4), conv(4, width, 1 + shrinks), RPReLU(width), shortcut, before), fixed)
    x = inputs(4, fixed)
    branch, around = unit.branch(x), unit.shortcut(x)
    expected = (added(unit.nonlinearity(branch), around, fixed) if before else
                unit.nonlinearity(added(branch, around, fixed)))
    found = unit(x)
    assert found.shape[1] == width
    assert torch.equal(found, expected)
    assert fixed is None or ((unit.nonlinearity(branch) if before else branch) + around).abs().max() > 128
    assert fixed is not None or not torch.equal(found, unit.nonlinearity(branch))


@pytest.mark.parametrize("fixed", MODES)
@pytest.mark.parametrize("before", [False, True])
def test_pair_unit(fixed, before):
    first = PlainUnit(PlainActivation(4), conv(4, 4), RPReLU(4))
    second = PlainUnit(PlainActivation(4), conv(4, 4), Hardtanh(4))
    unit = ready(PairUnit(first, second, nn.Identity(), before), fixed)
    x = inputs(4, fixed)
    branch = unit.second.conv(torch.where(unit.first(x) >= 0, 1.0, -1.0), None)
    bent = unit.second.nonlinearity
    assert torch.equal(unit(x), added(bent(branch), x, fixed) if before else bent(added(branch, x, fixed)))


@pytest.mark.parametrize("fixed", MODES)
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_doubling_unit(fixed, before, groups):
    unit = ready(DoublingUnit(ScaledSign(4), conv(4, 4, groups=groups), conv(4, 4, groups=groups), RPReLU(8), before,
                              ChannelShuffle(4, 2) if groups == 2 else None), fixed)
    x = inputs(4, fixed)
    bits = torch.where(x >= 0, 1.0, -1.0)
    if groups == 2:
        bits = bits[:, [0, 2, 1, 3]]
    branch = torch.cat([half(bits, unit.binarize.beta) for half in (unit.left, unit.right)], 1)
    twice = torch.cat([x, x], 1)
    expected = (added(unit.nonlinearity(branch), twice, fixed) if before else
                unit.nonlinearity(added(branch, twice, fixed)))
    assert torch.equal(unit(x), expected)


def test_a_linear_residual_unit_saturates_once():
    unit = ready(ResidualUnit(PlainActivation(4), conv(4, 4), Linear(4), nn.Identity()), FIXED)
    x = inputs(4, FIXED)
    assert unit.branch(x).abs().max() > 127  # wider than a word until it is added
    assert torch.equal(unit(x), added(unit.branch(x), x, FIXED))

"""``sw.nn.conv_norm`` against loops: real batch norms in floats, integer ones in Python integers."""

import math

import pytest
import torch

from sw.errors import CompileError
from sw.nn import BinaryConv2d, LibraPB, MeanScale, MultiBitConv2d, ReCU, TrainableScale
from sw.nn.conv_norm import ConvNorm, norm_affine
from sw.nn.fixed import FixedPoint, set_fixed
from tests.sw.scalar_words import constants, convolved, half_up, random_words, randomise, saturated, shifted

#: Word formats: ordinary, without a fraction, so narrow that sums saturate, and wide.
FORMATS = [FixedPoint(6, 8), FixedPoint(0, 12), FixedPoint(4, 4), FixedPoint(12, 20)]

#: With a shift for all layers: with the last the units of weights of several bits grow.
SHARED = [FixedPoint(6, 8, 7), FixedPoint(4, 12, 0), FixedPoint(1, 10, 3)]


def layers():
    """Name, layer, and the scale that the binarizer before it left."""
    yield "plain", ConvNorm(BinaryConv2d(3, 4, 3, padding=1)), None
    yield "scaled", ConvNorm(BinaryConv2d(3, 4, 3, 2, 1, binarizer=MeanScale(4))), None
    yield "signed scale", ConvNorm(BinaryConv2d(3, 4, 1, binarizer=ReCU(4))), None
    yield "input scale", ConvNorm(BinaryConv2d(3, 4, 1, binarizer=TrainableScale(4))), -0.75
    yield "groups", ConvNorm(BinaryConv2d(4, 4, 3, padding=1, groups=2, binarizer=LibraPB(4))), None
    yield "pool", ConvNorm(BinaryConv2d(3, 4, 3, padding=1, binarizer=ReCU(4)), pool=2), None
    yield "pool of a negative scale", ConvNorm(BinaryConv2d(3, 4, 3, padding=1), pool=2), -0.5
    yield "pool of both", ConvNorm(BinaryConv2d(3, 4, 3, padding=1, binarizer=ReCU(4)), pool=2), -0.5
    yield "tile", ConvNorm(BinaryConv2d(3, 2, 3, padding=1, binarizer=ReCU(2)), tile=4), None
    yield "tile and pool", ConvNorm(BinaryConv2d(3, 2, 1, binarizer=ReCU(2)), pool=2, tile=4), 0.5
    yield "stem", ConvNorm(MultiBitConv2d(3, 4, 3, padding=1, pad_value=-255), stem=True), None
    yield "binary stem", ConvNorm(BinaryConv2d(3, 4, 3, 1, 1, -255), stem=True, pool=2, tile_after=2), None
    yield "words", ConvNorm(MultiBitConv2d(3, 4, 1), takes_words=True), None


NAMES = [name for name, *_ in layers()]


def case(name):
    """A layer in eval mode with random statistics, its input of integers, and the scale before it."""
    torch.manual_seed(5)
    layer, scale = next((layer, scale) for other, layer, scale in layers() if other == name)
    randomise(layer.eval(), 6)
    count = layer.conv.in_channels
    if layer.takes_words:
        x = random_words((2, count, 4, 4), 8, 7)
    elif layer.stem:
        x = 2.0 * torch.randint(0, 256, (2, count, 4, 4)) - 255
    else:
        x = 2.0 * torch.randint(0, 2, (2, count, 4, 4)) - 1
    return layer, x, None if scale is None else torch.tensor(scale)


def sums(layer, x):
    """Integer sums ``[n][o][y][x]`` of weights of one bit or of several."""
    weights = layer.conv.binary_weight().detach().int().tolist()
    return [convolved(image, weights, layer.conv.stride, layer.conv.padding, int(layer.conv.pad_value),
                      layer.conv.groups) for image in x.int().tolist()]


def pooled(plane, size, choose=max):
    return [[choose(plane[y * size + dy][x * size + dx] for dy in range(size) for dx in range(size))
             for x in range(len(plane[0]) // size)] for y in range(len(plane) // size)]


def norms(layer):
    """Gain and offset of each channel of the batch norm."""
    norm = layer.norm
    gains = [gain / math.sqrt(variance + norm.eps)
             for gain, variance in zip(norm.weight.tolist(), norm.running_var.tolist())]
    means = norm.running_mean.tolist()
    return gains, [bias - gain * mean for bias, gain, mean in zip(norm.bias.tolist(), gains, means)]


def scales(layer, input_scale):
    """The gain of each channel of the convolution."""
    scale = layer.conv.scale()
    scale = [1.0] * layer.conv.out_channels if scale is None else scale.tolist()
    return [value * (1.0 if input_scale is None else input_scale.item()) for value in scale]


def test_norm_affine():
    layer, *_ = case("plain")
    gain, offset = norm_affine(layer.norm)
    gains, offsets = norms(layer)
    assert gain.tolist() == pytest.approx(gains, rel=1e-12) and offset.tolist() == pytest.approx(offsets, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_real_values(name):
    layer, x, scale = case(name)
    found = layer(x.float(), scale)
    count, (gains, offsets), factors = layer.conv.out_channels, norms(layer), scales(layer, scale)
    assert found.shape[1] == layer.out_channels == count * layer.tile * layer.tile_after
    for image, result in zip(sums(layer, x), found.tolist()):
        for j, plane in enumerate(result):
            o = j % count
            channel = j % (count * layer.tile)  # of the batch norm
            scaled = [[value * factors[o] for value in row] for row in image[o]]
            expected = [[gains[channel] * value + offsets[channel] for value in row]
                        for row in pooled(scaled, layer.pool)]
            torch.testing.assert_close(torch.tensor(plane), torch.tensor(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fixed", FORMATS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_integer_mode_is_that_of_python_integers(name, fixed):
    layer, x, scale = case(name)
    set_fixed(layer, fixed)
    count, (gains, offsets), factors = layer.conv.out_channels, norms(layer), scales(layer, scale)
    # Made as floats in the order of the module: what is to be tested is what follows, in integers.
    made = layer.constants(scale)
    whole = [gain * factors[j % count] / (fixed.one if layer.takes_words else 1) for j, gain in enumerate(gains)]
    exact = constants(whole, offsets, fixed.fraction)
    assert made.shift == exact[2]
    assert all(abs(value - other) <= 1 for value, other in zip(made.gain.tolist(), exact[0]))
    assert made.offset.tolist() == pytest.approx(exact[1], rel=1e-9, abs=1)
    found = layer(x.double(), scale).tolist()
    saturating = 0
    for image, result in zip(sums(layer, x), found):
        for j, plane in enumerate(result):
            o, channel = j % count, j % (count * layer.tile)
            choose = min if factors[o] < 0 else max
            gain, offset = int(made.gain[channel]), int(made.offset[channel])
            exact_plane = [[shifted(gain * value + offset, made.shift) for value in row]
                           for row in pooled(image[o], layer.pool, choose)]
            saturating += any(abs(value) > 1 << (fixed.bits + 1) for row in exact_plane for value in row)
            assert plane == [[saturated(value, layer.result_bits) for value in row] for row in exact_plane]
    assert layer.result_bits == fixed.bits + (0 if layer.stem else 2)
    assert saturating or fixed.bits > 4 or name == "words"


@pytest.mark.parametrize("fixed", SHARED, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_one_shift_for_all_layers(name, fixed):
    layer, x, scale = case(name)
    set_fixed(layer, fixed)
    made, weights = layer.constants(scale), layer.integer_weight(scale).int()
    assert made.shift == fixed.shift and made.gain.abs().max() <= 32767
    unit = 2.0 ** (fixed.fraction + fixed.shift)
    count, (gains, offsets), factors = layer.conv.out_channels, norms(layer), scales(layer, scale)
    reals = [gain * factors[j % count] / (fixed.one if layer.takes_words else 1) * unit for j, gain in enumerate(gains)]
    assert made.offset.tolist() == [half_up(offset * unit) for offset in offsets]
    if layer.conv.weight_bits == 1:
        assert torch.equal(weights, layer.conv.binary_weight().int())
        assert all(abs(gain - real) < 0.5001 for gain, real in zip(made.gain.tolist(), reals))
    else:
        # Gains are whole, and weights count so much more that the product is the same.
        assert [abs(gain) for gain in made.gain.tolist()] == [math.ceil(abs(real)) for real in reals]
        latent = (layer.conv.weight.detach() / layer.conv.scale()[:, None, None, None]).tolist()
        for row, real, gain, found in zip(latent, reals, made.gain.tolist(), weights.tolist()):
            smaller = real / gain if gain else 1.0
            for planes, others in zip(row, found):
                for value, other in zip(sum(planes, []), sum(others, [])):
                    assert other % 2 == 1 and abs(other - value * smaller) < 1.0001
    found = layer(x.double(), scale)
    with torch.no_grad():
        sums_of = layer.conv.sums(x.double(), weights.double())
    if layer.pool == layer.tile == layer.tile_after == 1:
        for image, result in zip(sums_of.int().tolist(), found.tolist()):
            for o, plane in enumerate(image):
                gain, offset = int(made.gain[o]), int(made.offset[o])
                assert result[o] == [[saturated(shifted(gain * value + offset, made.shift), layer.result_bits)
                                      for value in row] for row in plane]


def test_units_of_weights_grow_where_a_gain_would_vanish():
    """A gain of 0.3 would be 0: weights of 255 become 0.3 times as large, 77."""
    conv = MultiBitConv2d(1, 1, 1)
    layer = ConvNorm(conv, stem=True).eval()
    with torch.no_grad():
        conv.weight.fill_(0.5)
        layer.norm.eps = 0.0
        layer.norm.running_var.fill_((float(conv.scale()) / (0.3 * 2 ** -10)) ** 2)
    set_fixed(layer, FixedPoint(6, 8, 4))
    assert (layer.constants().gain.item(), layer.integer_weight().item()) == (1, 77)
    set_fixed(layer, FixedPoint(6, 8))
    assert (layer.constants().gain.item() > 1 << 14, layer.integer_weight().item()) == (True, 255)


@pytest.mark.parametrize("name", NAMES)
def test_words_stand_for_the_real_values(name):
    layer, x, scale = case(name)
    fixed = FixedPoint(10, 24)
    real = layer((x / fixed.one if layer.takes_words else x).float(), scale)
    set_fixed(layer, fixed)
    words = layer(x.double(), scale) / fixed.one
    # Half a unit of a word, and half of one of a gain, whose largest is 2**14 of them at least.
    most = 0.5 / fixed.one + float(real.detach().abs().max()) * 2 ** -14
    torch.testing.assert_close(words, real.double(), rtol=2 ** -14, atol=most)


def test_wide_sums_are_exact():
    """300 taps of 8-bit weights on 8-bit pixels exceed what float32 holds."""
    conv = MultiBitConv2d(12, 1, 5)
    with torch.no_grad():
        conv.weight.fill_(1.0)
        conv.weight[0, 0, 0, 0] = 253 / 255
    layer = ConvNorm(conv, stem=True).eval()
    set_fixed(layer, FixedPoint(0, 24))
    with torch.no_grad():
        layer.norm.running_var.fill_((4 * layer.conv.scale().item()) ** 2)
        layer.norm.eps = 0.0
    x = torch.full((1, 12, 5, 5), 255.0)
    x[0, 1, 1, 1] = 1
    total = 253 * 255 + 298 * 255 * 255 + 255
    made = layer.constants()
    assert (int(made.gain), int(made.offset)) == (1 << 14, 0) and total > 1 << 24
    assert layer(x).item() == shifted(total << 14, made.shift)


def test_wide_products_are_exact():
    """Words of 24 bits through a real shortcut: products beyond the 53 bits of float64."""
    torch.manual_seed(8)
    layer = ConvNorm(MultiBitConv2d(512, 3, 1), takes_words=True).eval()
    with torch.no_grad():
        layer.conv.weight.abs_()
        layer.norm.running_var.fill_(4e7)
    fixed = FixedPoint(12, 24)
    set_fixed(layer, fixed)
    x = torch.randint((1 << 23) - 1000, 1 << 23, (1, 512, 3, 3)).double()
    made, found = layer.constants(), layer(x)
    assert (made.gain.abs().max() * layer.conv.sums(x).abs().max()) > 2 ** 53
    for o, plane in enumerate(sums(layer, x)[0]):
        exact = [[shifted(int(made.gain[o]) * value + int(made.offset[o]), made.shift) for value in row]
                 for row in plane]
        assert found[0, o].tolist() == [[saturated(value, 26) for value in row] for row in exact]


def test_gradients_reach_all_parameters():
    layer, x, _ = case("tile")
    layer.train()(x.float()).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in layer.parameters())


@pytest.mark.parametrize("pool, beta", [(1, 2), (2, 2), (1, 4)])
def test_repeated_has_as_many_weights(pool, beta):
    layer = ConvNorm(BinaryConv2d(8, 8, 3, 2, 1, 0, 2, TrainableScale(8, decay=0.5)), pool=pool)
    other = layer.repeated(beta) if beta < 4 else layer.repeated(2).repeated(2)
    assert (other.tile, other.tile_after, other.pool) == (beta ** 2, 1, pool)
    assert (other.conv.in_channels, other.conv.out_channels, other.out_channels) == (8 * beta, 8 // beta, 8 * beta)
    assert other.conv.weight.numel() == layer.conv.weight.numel()
    assert other.norm.num_features == 8 * beta
    assert (other.conv.stride, other.conv.padding, other.conv.groups, other.conv.binarizer.decay) == (2, 1, 2, 0.5)


def test_repeated_stem_keeps_its_convolution():
    layer = ConvNorm(MultiBitConv2d(1, 4, 3), stem=True)
    other = layer.repeated(2).repeated(3)
    assert other.conv is layer.conv and (other.tile, other.tile_after, other.out_channels) == (1, 6, 24)
    x = torch.randn(2, 1, 5, 5)
    found = other.eval()(x)
    assert all(torch.equal(found[:, j], found[:, j % 4]) for j in range(24))


def test_repeated_real_convolution_takes_and_gives_all_channels():
    other = ConvNorm(MultiBitConv2d(2, 4, 1), takes_words=True).repeated(2)
    assert other.takes_words and other.conv.weight.shape == (8, 4, 1, 1) and other.out_channels == 8


def test_repeated_refuses_what_does_not_divide():
    with pytest.raises(ValueError, match="beta must divide the 4 output channels of a convolution, not 3"):
        ConvNorm(BinaryConv2d(6, 4, 1)).repeated(3)


def test_real_weights_have_no_integer_mode():
    layer = ConvNorm(BinaryConv2d(2, 2, 1))
    layer.conv.real_weights = True
    set_fixed(layer, FixedPoint())
    with pytest.raises(CompileError, match="real weights of the first of two training steps"):
        layer(torch.ones(1, 2, 1, 1))


def test_gain_that_does_not_fit():
    layer = ConvNorm(BinaryConv2d(2, 2, 1))
    with torch.no_grad():
        layer.norm.weight[1] = 600.0
    set_fixed(layer, FixedPoint(6, 8))
    with pytest.raises(CompileError, match="gain of 599.997 or offset of 0 does not fit 16 bits with a fraction of 6"):
        layer(torch.ones(1, 2, 1, 1))

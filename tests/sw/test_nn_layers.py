"""``sw.nn.layers`` against loops over integers."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from sw import models, numerics
from sw.nn import (
    WEIGHT_BINARIZERS,
    BinaryConv2d,
    BinaryLinear,
    ClippedSTE,
    EDESchedule,
    LibraPB,
    MultiBit,
    MultiBitConv2d,
    PixelInput,
    PlainSign,
    ReCU,
    ScoreHead,
    SignActivation,
    ThermometerInput,
    TrainableScale,
    score_scale,
    set_epoch,
    set_real_weights,
)
from tests.sw.scalar_words import convolved


def integers(weight):
    """+-1 ``[o][c][y][x]`` of latent weights."""
    return [[[[1 if value >= 0 else -1 for value in row] for row in plane] for plane in output]
            for output in weight.detach().tolist()]


def signs(weight):
    return [[1 if value >= 0 else -1 for value in row] for row in weight.detach().flatten(1).tolist()]


@pytest.mark.parametrize("bits", range(1, 9))
def test_pixel_input_gives_bipolar_integers(bits):
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    result = PixelInput(bits)(pixels)
    assert result.dtype == torch.float32
    expected = [2 * (pixel // 2 ** (8 - bits)) - (2 ** bits - 1) for pixel in range(256)]
    assert result.flatten().tolist() == expected
    unsigned = numerics.quantise_pixels(pixels.numpy().flatten(), bits)
    assert expected == numerics.bipolar(unsigned, bits).tolist()
    assert set(np.abs(expected) % 2) == {1}


@pytest.mark.parametrize("count", [1, 3, 8])
def test_thermometer_input_gives_the_code_of_each_channel(count):
    pixels = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    result = ThermometerInput(count)(pixels)
    assert result.dtype == torch.float32 and result.shape == (2, 3 * count, 4, 5)
    codes = numerics.quantise_pixels(pixels.permute(0, 2, 3, 1).numpy(), 1, numerics.thermometer_levels(count))
    assert torch.equal(result.permute(0, 2, 3, 1), torch.from_numpy(numerics.bipolar(codes, 1)).float())


@pytest.mark.parametrize("count", [0, 9, 2.5])
def test_thermometer_of_no_legal_width(count):
    with pytest.raises(ValueError, match=f"^ThermometerInput count must be from 1 to 8, not {count}$"):
        ThermometerInput(count)


def test_thermometer_takes_bytes():
    with pytest.raises(TypeError, match=r"^ThermometerInput takes uint8 images, not torch.float32$"):
        ThermometerInput(2)(torch.zeros(1, 1, 2, 2))


def test_one_bit_input_compares_with_half_of_the_range():
    assert PixelInput(1)(torch.tensor([[[[127, 128]]]], dtype=torch.uint8)).flatten().tolist() == [-1, 1]


@pytest.mark.parametrize("bits", [0, 9, -1, 1.5])
def test_pixel_input_refuses_other_bits(bits):
    with pytest.raises(ValueError, match=re.escape(f"PixelInput bits must be from 1 to 8, not {bits!r}")):
        PixelInput(bits)


def test_pixel_input_refuses_floats():
    with pytest.raises(TypeError, match=re.escape("PixelInput takes uint8 images, not torch.float32")):
        PixelInput(8)(torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize("channels, kernel, stride, padding, pad_value, bits", [
    (1, 3, 1, 1, -255, 8),
    (1, 3, 1, 1, 0, 8),
    (1, 3, 2, 1, -7, 3),
    (3, 3, 1, 1, 0, 1),
    (2, 5, 1, 2, 0, 1),
    (4, 3, 2, 0, -15, 4),
    (5, 1, 1, 0, 0, 1),
])
def test_convolution_is_the_integer_one(channels, kernel, stride, padding, pad_value, bits):
    torch.manual_seed(11)
    conv = BinaryConv2d(channels, 4, kernel, stride=stride, padding=padding, pad_value=pad_value)
    pixels = PixelInput(bits)(torch.randint(0, 256, (2, channels, 7, 6), dtype=torch.uint8))
    result = conv(pixels)
    weights = integers(conv.weight)
    for image, found in zip(pixels.int().tolist(), result.tolist()):
        assert found == convolved(image, weights, stride, padding, pad_value)


@pytest.mark.parametrize("groups, inputs, outputs", [(2, 4, 6), (3, 3, 3), (4, 8, 4), (1, 5, 2)])
@pytest.mark.parametrize("pad_value", [0, -7])
def test_grouped_convolution_is_the_integer_one(groups, inputs, outputs, pad_value):
    torch.manual_seed(12)
    conv = BinaryConv2d(inputs, outputs, 3, padding=1, pad_value=pad_value, groups=groups)
    x = torch.randint(0, 2, (1, inputs, 4, 5)) * 2.0 - 1
    assert conv.weight.shape == (outputs, inputs // groups, 3, 3)
    assert conv(x).tolist() == [convolved(x[0].int().tolist(), integers(conv.weight), 1, 1, pad_value, groups)]


@pytest.mark.parametrize("groups, inputs, outputs", [(2, 3, 4), (2, 4, 3), (0, 4, 4), (-1, 4, 4), (8, 4, 8)])
def test_groups_that_do_not_divide(groups, inputs, outputs):
    with pytest.raises(ValueError, match=re.escape(
            f"BinaryConv2d groups must divide {inputs} input and {outputs} output channels, not {groups}")):
        BinaryConv2d(inputs, outputs, 3, groups=groups)


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_multi_bit_convolution_is_scaled_integers(bits):
    torch.manual_seed(bits)
    conv = MultiBitConv2d(2, 3, 3, stride=2, padding=1, pad_value=-15, weight_bits=bits)
    pixels = PixelInput(4)(torch.randint(0, 256, (1, 2, 5, 5), dtype=torch.uint8))
    weights, most = conv.binary_weight().detach(), 2 ** bits - 1
    assert torch.all(weights % 2 == 1) and weights.abs().max() == most
    sums = convolved(pixels[0].int().tolist(), weights.int().tolist(), 2, 1, -15)
    assert conv.sums(pixels).tolist() == [sums]
    scale = [max(abs(value) for value in row) / most for row in conv.weight.detach().flatten(1).tolist()]
    expected = [[[value * unit for value in row] for row in plane] for plane, unit in zip(sums, scale)]
    torch.testing.assert_close(conv(pixels)[0].double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=0)
    with pytest.raises(ValueError, match="MultiBit bits must be from 2 to 8, not 1"):
        MultiBitConv2d(2, 3, 3, weight_bits=1)


@pytest.mark.parametrize("name", WEIGHT_BINARIZERS)
def test_scaled_sums_and_real_weights(name):
    """Of both layers: signs with a scale, and in the first step of a two-step training the latent weights alone."""
    torch.manual_seed(13)
    conv = BinaryConv2d(2, 3, 2, binarizer=WEIGHT_BINARIZERS[name](3))
    linear = BinaryLinear(8, 3, WEIGHT_BINARIZERS[name](3))
    linear.load_state_dict({key: value.flatten(1) if value.ndim == 4 else value
                            for key, value in conv.state_dict().items()})
    x = torch.randint(0, 2, (5, 2, 2, 2)) * 2.0 - 1
    latent = conv.binarizer.latent(conv.weight).detach().flatten(1).tolist()
    scale = conv.scale()
    scale = [1.0] * 3 if scale is None else scale.tolist()
    rows = {False: [[unit * (1 if value >= 0 else -1) for value in row] for row, unit in zip(latent, scale)],
            True: latent}
    for real in (False, True, False):
        set_real_weights(torch.nn.Sequential(conv, linear), real)
        expected = [[sum(a * w for a, w in zip(image, row)) for row in rows[real]] for image in x.flatten(1).tolist()]
        torch.testing.assert_close(conv(x).flatten(1), torch.tensor(expected), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(linear(x.flatten(1)), torch.tensor(expected), rtol=1e-5, atol=1e-5)
    assert (conv.scale() is None) == (name in ("sign", "wsd"))


def test_real_weights_are_of_binary_layers_only():
    model = torch.nn.Sequential(MultiBitConv2d(1, 2, 3), BinaryConv2d(2, 2, 3), BinaryLinear(2, 2))
    set_real_weights(model, True)
    assert [layer.real_weights for layer in model] == [False, True, True]
    set_real_weights(model, False)
    assert not any(layer.real_weights for layer in model)


@pytest.mark.parametrize("layer", [
    BinaryConv2d(2, 4, 3, 2, 1, -3.0, 2, ReCU(4, tau_min=0.7, tau_max=0.8)), BinaryConv2d(2, 4, 1),
    MultiBitConv2d(2, 4, 3, 2, 1, -3.0, 5),
])
def test_like_changes_channels_only(layer):
    other = layer.like(6, 8)
    assert type(other) is type(layer) and type(other.binarizer) is type(layer.binarizer)
    assert (other.in_channels, other.out_channels, other.binarizer.out_channels) == (6, 8, 8)
    assert other.weight.shape == (8, 6 // layer.groups, layer.kernel_size, layer.kernel_size)
    for name in ("kernel_size", "stride", "padding", "pad_value", "groups", "weight_bits"):
        assert getattr(other, name) == getattr(layer, name), name
    assert {**other.binarizer._settings()} == {**layer.binarizer._settings()}


def test_epochs_reach_every_schedule():
    model = torch.nn.Sequential(BinaryConv2d(1, 2, 1, binarizer=LibraPB(2, EDESchedule(0.1, 10))),
                                torch.nn.Identity(), SignActivation(EDESchedule(1e-3, 10)), BinaryLinear(2, 2, ReCU(2)))
    set_epoch(model, 5, 10)
    assert model[0].binarizer.current_estimator.t == pytest.approx(1.0)
    assert model[2].current_estimator.t == pytest.approx(0.1)
    assert model[3].binarizer.tau > 0.85
    with pytest.raises(ValueError, match="epoch must be from 0 to epochs - 1, not 10 of 10"):
        set_epoch(model, 10, 10)


def test_default_binarizer_is_the_plain_sign():
    for layer in (BinaryConv2d(1, 2, 1), BinaryLinear(1, 2)):
        assert type(layer.binarizer) is PlainSign and layer.scale() is None
    assert isinstance(MultiBitConv2d(1, 2, 1).binarizer, MultiBit)


def test_black_and_zero_padding_differ_at_the_border_only():
    torch.manual_seed(2)
    black, zero = (BinaryConv2d(1, 3, 3, padding=1, pad_value=value) for value in (-255, 0))
    zero.load_state_dict(black.state_dict())
    image = PixelInput(8)(torch.randint(0, 256, (1, 1, 6, 6), dtype=torch.uint8))
    difference = black(image) - zero(image)
    assert not difference[..., 1:-1, 1:-1].any()
    # The top left corner has five padded taps: the kernel's first row and first column.
    padded = [0, 1, 2, 3, 6]
    expected = [-255 * sum(row[tap] for tap in padded) for row in signs(black.weight)]
    assert difference[0, :, 0, 0].tolist() == expected
    assert difference.any()


def test_linear_is_the_integer_one():
    torch.manual_seed(3)
    linear = BinaryLinear(9, 4)
    with torch.no_grad():
        linear.weight[0, 0] = 0.0  # sign(0) is +1
        linear.weight[1, 1] = -0.0
    x = torch.randint(0, 2, (5, 9)) * 2 - 1
    expected = [[sum(a * w for a, w in zip(row, column)) for column in signs(linear.weight)]
                for row in x.tolist()]
    assert linear(x.float()).tolist() == expected
    assert linear.binary_weight()[0, 0] == linear.binary_weight()[1, 1] == 1


@pytest.mark.parametrize("layer, shape", [
    (BinaryConv2d(2, 3, 3, binarizer=PlainSign(3, ClippedSTE(0.1))), (1, 2, 3, 3)),
    (BinaryLinear(18, 3, PlainSign(3, ClippedSTE(0.1))), (1, 18)),
])
def test_latent_weights_learn_inside_the_estimators_window(layer, shape):
    torch.manual_seed(4)
    x = torch.randint(0, 2, shape) * 2.0 - 1
    layer(x).sum().backward()
    inside = (layer.weight.detach().abs() <= 0.1).flatten(1)
    # Every weight sees its one input; the window lets through what is inside.
    expected = torch.where(inside, x.flatten()[None], torch.zeros(()))
    assert torch.equal(layer.weight.grad.flatten(1), expected)
    assert inside.any() and not inside.all()


def test_sign_activation_has_the_gradient_of_its_estimator():
    x = torch.tensor([-0.5, 0.0, 0.75, 2.0], requires_grad=True)
    result = SignActivation()(x)
    result.sum().backward()
    assert result.tolist() == [-1, 1, 1, 1]
    assert x.grad.tolist() == [1.0, 2.0, 0.5, 0.0]


def test_sign_activation_follows_its_schedule():
    activation, x = SignActivation(EDESchedule(0.1, 10)), torch.tensor([0.25], requires_grad=True)
    for epoch, t in ((0, 0.1), (5, 1.0), (9, 10 ** 0.8)):
        activation.set_epoch(epoch, 10)
        x.grad = None
        activation(x).backward()
        assert x.grad.item() == pytest.approx(max(1, t) * (1 - math.tanh(t * 0.25) ** 2), rel=1e-5)


def test_scale_of_the_gradient_of_a_learned_scale():
    linear = BinaryLinear(3, 2, TrainableScale(2))
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[0.5, -0.5, 0.5], [0.0, 0.5, 0.5]]))
    linear(torch.tensor([[1.0, 1.0, -1.0]])).sum().backward()
    assert linear.binarizer.alpha.grad.tolist() == [-1, 1]


def test_scores_are_integers_times_the_scale():
    head = ScoreHead(3, 0.125)
    with torch.no_grad():
        head.offset.copy_(torch.tensor([1.4, -2.5, 3.5]))
    logits = head(torch.tensor([[10.0, -20.0, 7.0]]))
    assert (logits / 0.125).tolist() == [[11, -22, 11]]
    assert head.rounded_offset().tolist() == [1, -2, 4]
    logits.sum().backward()
    assert head.offset.grad.tolist() == [0.125] * 3


@pytest.mark.parametrize("scale", [0.1, 3.0, 0, -0.5, float("nan"), float("inf")])
def test_scale_must_be_a_power_of_two(scale):
    with pytest.raises(ValueError, match=re.escape(f"ScoreHead scale must be a power of two, not {scale!r}")):
        ScoreHead(10, scale)


@pytest.mark.parametrize("features", [1, 2, 3, 64, 432, 1568, 65536])
def test_score_scale_is_the_nearest_power_of_two(features):
    scale = score_scale(features)
    ScoreHead(10, scale)
    assert 2 ** -0.5 <= scale * features ** 0.5 <= 2 ** 0.5


@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_values_before_batch_norm_are_integers(name):
    torch.manual_seed(6)
    model = models.build(name).to(memory_format=torch.channels_last).eval()
    seen = []
    for child_name, child in model.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d | ScoreHead):
            child.register_forward_pre_hook(
                lambda module, inputs, name=child_name: seen.append((name, inputs[0])))
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(child.bias, -0.3, 0.3)
    with torch.no_grad():
        logits = model(torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8))
    assert len(seen) == sum(isinstance(child, BinaryConv2d | BinaryLinear) for child in model)
    for name, value in seen:
        assert torch.equal(value, value.round()), name
        assert value.abs().max() < 2 ** 24, name
    assert logits.shape == (8, 10)

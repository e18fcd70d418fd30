"""``sw.nn.layers`` against loops over integers."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from sw import models, numerics
from sw.nn import BinaryConv2d, BinaryLinear, ClippedSTE, PixelInput, ScoreHead, SignActivation


def signs(weight):
    return [[1 if value >= 0 else -1 for value in row] for row in weight.detach().flatten(1).tolist()]


def convolve(image, weights, kernel, stride, padding, pad_value):
    """One image, lists [C][H][W] of integers, weights [O][C * K * K]; taps outside hold ``pad_value``."""
    channels, height, width = len(image), len(image[0]), len(image[0][0])
    result = []
    for row_of_weights in weights:
        plane = []
        for top in range(-padding, height + padding - kernel + 1, stride):
            line = []
            for left in range(-padding, width + padding - kernel + 1, stride):
                total = 0
                for channel in range(channels):
                    for y in range(kernel):
                        for x in range(kernel):
                            inside = 0 <= top + y < height and 0 <= left + x < width
                            pixel = image[channel][top + y][left + x] if inside else pad_value
                            total += pixel * row_of_weights[(channel * kernel + y) * kernel + x]
                line.append(total)
            plane.append(line)
        result.append(plane)
    return result


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
    weights = signs(conv.weight)
    for image, found in zip(pixels.int().tolist(), result.tolist()):
        assert found == convolve(image, weights, kernel, stride, padding, pad_value)


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
    (BinaryConv2d(2, 3, 3, estimator=ClippedSTE(0.1)), (1, 2, 3, 3)),
    (BinaryLinear(18, 3, estimator=ClippedSTE(0.1)), (1, 18)),
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


@pytest.mark.parametrize("name", models.names())
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

"""``sw.nn.head`` against sums in plain Python, both modes."""

import math

import pytest
import torch

from sw.nn import score_scale
from sw.nn.fixed import FixedPoint, set_fixed
from sw.nn.head import BinaryHead, MultiBitHead, PooledHead
from tests.sw.scalar_words import half_up, odd, random_words, randomise, shifted

KINDS = [BinaryHead, MultiBitHead, PooledHead]


def bits_map(seed, shape=(3, 4, 2, 2)):
    torch.manual_seed(seed)
    return torch.randint(0, 2, shape) * 2.0 - 1


def dot(weights, image):
    """Of two nested lists ``[c][y][x]``."""
    return sum(w * x for planes in zip(weights, image) for rows in zip(*planes) for w, x in zip(*rows))


@pytest.mark.parametrize("offsets", [[0.0, 0.0, 0.0], [1.4, -2.5, 3.5]])
def test_binary_head(offsets):
    head, x = BinaryHead(4, 3, 2), bits_map(1)
    with torch.no_grad():
        head.offset.copy_(torch.tensor(offsets))
        head.weight[0, 0, 0, 0] = 0
    weights = [[[[1 if value >= 0 else -1 for value in row] for row in plane] for plane in output]
               for output in head.weight.tolist()]
    whole = [round(value) for value in offsets]  # halves to even
    expected = [[dot(row, image) + offset for row, offset in zip(weights, whole)] for image in x.tolist()]
    assert head.scale == score_scale(16) == 0.25
    logits = head(x)
    assert (logits / head.scale).tolist() == expected
    logits.sum().backward()
    assert head.offset.grad.tolist() == [0.75] * 3 and head.weight.grad.any()
    set_fixed(head, FixedPoint())
    assert head(x.double()).tolist() == expected and head(x.double()).dtype == torch.float64
    assert [values.tolist() for values in head.integers()] == [weights, whole]


def odds(rows, most=255):
    """Odd integers of a layer's rows, and their unit."""
    unit = max(abs(value) for row in rows for value in row) / most
    return [[odd(value / unit, most) for value in row] for row in rows], unit


def test_multi_bit_head():
    torch.manual_seed(2)
    head, x = MultiBitHead(4, 3, 2), bits_map(3)
    with torch.no_grad():
        head.bias.copy_(torch.tensor([0.5, -0.25, 0.0]))
    rows, biases = head.weight.detach().flatten(1).tolist(), head.bias.tolist()
    images = x.flatten(1).tolist()
    real = [[sum(w * v for w, v in zip(row, image)) + bias for row, bias in zip(rows, biases)] for image in images]
    torch.testing.assert_close(head(x), torch.tensor(real), rtol=1e-5, atol=1e-6)
    set_fixed(head, FixedPoint())
    weights, unit = odds(rows)
    offsets = [half_up(bias / unit) for bias in biases]
    found = head(x.double())
    assert found.tolist() == [[sum(w * int(v) for w, v in zip(row, image)) + offset
                               for row, offset in zip(weights, offsets)] for image in images]
    torch.testing.assert_close(found * unit, torch.tensor(real, dtype=torch.float64), rtol=0, atol=17 * unit)


@pytest.mark.parametrize("norm", [False, True])
def test_pooled_head(norm):
    torch.manual_seed(4)
    head = randomise(PooledHead(5, 3, 4, norm).eval(), 5)
    x = torch.randn(2, 5, 4, 4)
    expected = []
    for image in x.tolist():
        means = [math.fsum(value for row in plane for value in row) / 16 for plane in image]
        if norm:
            means = [(m - mean) / math.sqrt(variance + head.norm.eps) * gain + bias for m, mean, variance, gain, bias in
                     zip(means, *(values.tolist() for values in (head.norm.running_mean, head.norm.running_var,
                                                                 head.norm.weight, head.norm.bias)))]
        expected.append([sum(w * m for w, m in zip(row, means)) + bias
                         for row, bias in zip(head.weight.flatten(1).tolist(), head.bias.tolist())])
    torch.testing.assert_close(head(x), torch.tensor(expected), rtol=1e-4, atol=1e-5)
    assert head.weight.shape == (3, 5, 1, 1)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("fixed, channels, side, reduce", [
    (FixedPoint(6, 8), 5, 4, 0), (FixedPoint(3, 10), 64, 8, 0), (FixedPoint(12, 20), 5, 4, 4),
    (FixedPoint(20, 24), 64, 7, 13),
])
def test_pooled_head_of_words(norm, fixed, channels, side, reduce):
    torch.manual_seed(6)
    head = randomise(PooledHead(channels, 3, side, norm).eval(), 7)
    set_fixed(head, fixed)
    assert head.reduce == reduce
    x = random_words((2, channels, side, side), fixed.bits, 8)
    x[0] = -(1 << (fixed.bits - 1))
    rows, biases = head.weight.double().flatten(1).tolist(), head.bias.double().tolist()
    if norm:
        gains = [gain / math.sqrt(variance + head.norm.eps) for gain, variance in
                 zip(head.norm.weight.tolist(), head.norm.running_var.tolist())]
        shifts = [bias - gain * mean for bias, gain, mean in
                  zip(head.norm.bias.tolist(), gains, head.norm.running_mean.tolist())]
        biases = [bias + math.fsum(w * s for w, s in zip(row, shifts)) for bias, row in zip(biases, rows)]
        rows = [[w * gain for w, gain in zip(row, gains)] for row in rows]
    weights, unit = odds(rows)
    unit *= 2 ** reduce / (fixed.one * side ** 2)
    offsets = [half_up(bias / unit) for bias in biases]
    found = head(x)
    for image, result in zip(x.tolist(), found.tolist()):
        sums = [shifted(sum(int(value) for row in plane for value in row), reduce) for plane in image]
        assert result == [sum(w * s for w, s in zip(row, sums)) + offset for row, offset in zip(weights, offsets)]
    assert found.abs().max() < 1 << 31
    # A unit of the weights on each channel's mean, for the weights have 8 bits.
    set_fixed(head, None)
    real, largest = head(x.float() / fixed.one).double(), max(abs(value) for row in rows for value in row)
    slack = largest / 255 * (x / fixed.one).mean((2, 3)).abs().sum(1, keepdim=True) + 1e-3
    assert torch.all((found * unit - real).abs() <= slack)


@pytest.mark.parametrize("kind", KINDS)
def test_repeated(kind):
    head = kind(4, 3, 2)
    other = head.repeated(2)
    assert type(other) is kind and (other.channels, other.classes, other.side) == (8, 3, 2)
    assert other.weight.numel() == 2 * head.weight.numel()
    assert "8, 3, side=2" in repr(other)
    assert PooledHead(4, 3, 2, norm=True).repeated(2).norm.num_features == 8


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_all_parameters(kind):
    head = kind(4, 3, 2)
    head(bits_map(9)).square().sum().backward()
    assert all(parameter.grad.any() for parameter in head.parameters())

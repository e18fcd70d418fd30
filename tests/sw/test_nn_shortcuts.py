"""``sw.nn.shortcuts`` against indices and sums in plain Python, both modes."""

import pytest
import torch
from torch import nn

from sw.nn import BinaryConv2d, MultiBitConv2d, ReCU
from sw.nn.fixed import FixedPoint, set_fixed
from sw.nn.shortcuts import (
    SHORTCUTS,
    AveragePool,
    BinaryProjection,
    Duplicate,
    Pad,
    Projection,
    Subsample,
)
from tests.sw.scalar_words import random_words, randomise, shifted


def made(name, in_channels, out_channels, stride):
    torch.manual_seed(1)
    return SHORTCUTS[name](in_channels, out_channels, stride, ReCU(out_channels)).eval()


def windows(plane, combine):
    """``combine`` of each 2 x 2 window; what is left over is dropped."""
    return [[combine([plane[2 * y + dy][2 * x + dx] for dy in (0, 1) for dx in (0, 1)])
             for x in range(len(plane[0]) // 2)] for y in range(len(plane) // 2)]


def test_average_pool():
    x = torch.randn(2, 3, 6, 4)
    expected = [[windows(plane, lambda values: sum(values) / 4) for plane in image] for image in x.tolist()]
    torch.testing.assert_close(AveragePool()(x), torch.tensor(expected))


def test_average_pool_of_words_rounds_half_up():
    module = AveragePool()
    set_fixed(module, FixedPoint())
    x = random_words((2, 3, 8, 6), 10, 2)
    # Sums of both signs with each remainder: -6 is -1.5, which becomes -1.
    x[0, 0, :4, :6] = torch.tensor([[-6, 0, -5, 0, -7, 0], [0, 0, 0, 0, 0, 0], [6, 0, 5, 0, 2, 0], [0, 0, 0, 0, 0, -4]])
    found = module(x)
    assert found.tolist() == [[windows(plane, lambda values: shifted(sum(map(int, values)), 2)) for plane in image]
                              for image in x.tolist()]
    assert found[0, 0, :2].tolist() == [[-1, -1, -2], [2, 1, 0]]


@pytest.mark.parametrize("size", [(4, 4), (5, 7)])
def test_subsample_takes_even_rows_and_columns(size):
    x = torch.randn(1, 2, *size)
    assert Subsample()(x).tolist() == [[[row[::2] for row in plane[::2]] for plane in x[0].tolist()]]


@pytest.mark.parametrize("kind, in_channels, out_channels, expected", [
    (Pad, 2, 4, [-1, 0, 1, -1]), (Pad, 2, 5, [-1, 0, 1, -1, -1]), (Pad, 3, 3, [0, 1, 2]),
    (Duplicate, 2, 4, [0, 1, 0, 1]), (Duplicate, 2, 5, [0, 1, 0, 1, 0]), (Duplicate, 3, 3, [0, 1, 2]),
])
def test_channel_maps(kind, in_channels, out_channels, expected):
    module = kind(in_channels, out_channels)
    assert module.channels() == expected
    x = torch.randn(2, in_channels, 3, 3)
    zero = torch.zeros(2, 3, 3)
    assert torch.equal(module(x), torch.stack([zero if c < 0 else x[:, c] for c in expected], 1))
    other = module.repeated(2)
    assert type(other) is kind and (other.in_channels, other.out_channels) == (2 * in_channels, 2 * out_channels)
    assert repr(module) == f"{kind.__name__}({in_channels}, {out_channels})"


@pytest.mark.parametrize("kind", [Pad, Duplicate])
def test_fewer_channels_are_refused(kind):
    with pytest.raises(ValueError, match=f"{kind.__name__} cannot make 4 channels of 8"):
        kind(8, 4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name, channels", [
    ("option-a", [-1, 0, 1, -1]), ("average-pad", [-1, 0, 1, -1]), ("average-duplicate", [0, 1, 0, 1]),
])
@pytest.mark.parametrize("fixed", [None, FixedPoint(4, 8)])
def test_shortcuts_without_weights(name, channels, stride, fixed):
    module, x = made(name, 2, 4, stride), random_words((2, 2, 6, 8), 8, 3)
    set_fixed(module, fixed)
    mean = (lambda values: sum(values) / 4) if fixed is None else lambda values: shifted(sum(map(int, values)), 2)
    expected = []
    for image in x.tolist():
        planes = image
        if stride == 2:
            planes = ([[row[::2] for row in plane[::2]] for plane in image] if name == "option-a" else
                      [windows(plane, mean) for plane in image])
        zeros = [[0.0] * len(planes[0][0])] * len(planes[0])
        expected.append([zeros if c < 0 else planes[c] for c in channels])
    assert module(x).tolist() == expected
    assert not list(module.parameters())


@pytest.mark.parametrize("fixed", [None, FixedPoint(4, 8)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", ["binary", "real", "real-strided"])
def test_shortcuts_with_weights(name, stride, fixed):
    """They are a pool, perhaps a sign, and a convolution with its batch norm, which have tests of their own."""
    module = randomise(made(name, 2, 4, stride), 4)
    x = random_words((2, 2, 6, 8), 8, 5)
    set_fixed(module, fixed)
    x = x if fixed else x.float() / 16
    pooled = x
    if stride == 2:
        pool = AveragePool()
        set_fixed(pool, fixed)
        pooled = x[:, :, ::2, ::2] if name == "real-strided" else pool(x)
    conv = module.conv
    if name == "binary":
        assert type(module) is BinaryProjection and type(conv.conv) is BinaryConv2d and not conv.takes_words
        assert isinstance(conv.conv.binarizer, ReCU)
        pooled = torch.where(pooled >= 0, 1.0, -1.0)
    else:
        assert type(module) is Projection and type(conv.conv) is MultiBitConv2d and conv.takes_words
        assert conv.conv.weight_bits == 8
    found = module(x)
    assert found.shape == (2, 4, 6 // stride, 8 // stride) and conv.conv.kernel_size == conv.conv.stride == 1
    assert torch.equal(found, conv(pooled))


def test_a_pool_stands_where_the_map_shrinks_only():
    assert [[type(child) for child in made(name, 2, 4, 1)] for name in ("option-a", "average-pad")] == [[Pad], [Pad]]
    assert all(isinstance(made(name, 2, 4, 1).pool, nn.Identity) for name in ("binary", "real", "real-strided"))

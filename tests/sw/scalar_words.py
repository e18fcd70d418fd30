"""What the modules of ``sw.nn`` compute, in plain Python: one value at a time, on nested lists ``[n][c][y][x]``.

Words are Python integers, and constants are made of exact fractions; reals are floats.
"""

import math
from fractions import Fraction

import torch

#: Values at which rounding, saturation and sign decide: ties of both signs, zero, both ends.
CORNERS = [0, 1, -1, 2, -2, 3, -3, 63, -63, 64, -64, 65, 127, -128, 128, -129, 511, -512]


def half_up(value):
    """The nearest integer of a fraction or float, halves towards plus infinity."""
    return math.floor(Fraction(value) + Fraction(1, 2))


def shifted(value, shift):
    """``value / 2**shift`` of an integer, rounded half up."""
    return half_up(Fraction(value, 1 << shift))


def saturated(value, bits):
    """Limited to a signed integer of ``bits`` bits."""
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, value))


def each(function, maps):
    """``function(value, n, c)`` of every value of a tensor ``(N, C, H, W)``, as nested lists."""
    return [[[[function(value, n, c) for value in row] for row in plane] for c, plane in enumerate(image)]
            for n, image in enumerate(maps.tolist())]


def convolved(image, weights, stride=1, padding=0, pad_value=0, groups=1):
    """One image ``[c][y][x]`` with weights ``[o][c / groups][y][x]``; taps outside hold ``pad_value``."""
    height, width, kernel = len(image[0]), len(image[0][0]), len(weights[0][0])
    width_of_group = len(weights) // groups

    def pixel(channel, y, x):
        return image[channel][y][x] if 0 <= y < height and 0 <= x < width else pad_value

    def total(o, top, left):
        first = o // width_of_group * len(weights[o])
        return sum(weight * pixel(first + c, top + y, left + x) for c, plane in enumerate(weights[o])
                   for y, row in enumerate(plane) for x, weight in enumerate(row))

    return [[[total(o, top, left) for left in range(-padding, width + padding - kernel + 1, stride)]
             for top in range(-padding, height + padding - kernel + 1, stride)] for o in range(len(weights))]


def constants(gains, offsets, fraction):
    """Integer gains and offsets, and their shift, for reals ``gain * x + offset`` as words: the largest that fits."""
    gains, offsets = ([Fraction(value) * 2 ** fraction for value in values] for values in (gains, offsets))
    shift = 40
    while max(map(abs, gains)) * 2 ** shift > 32767 or max(map(abs, offsets)) * 2 ** shift > 2 ** 50:
        shift -= 1
    return [half_up(gain * 2 ** shift) for gain in gains], [half_up(offset * 2 ** shift) for offset in offsets], shift


def odd(value, most):
    """The odd integer within ``most`` that is nearest to a fraction, the upper one of two."""
    return max(-most, min(most, 2 * math.floor(Fraction(value) / 2) + 1))


def random_words(shape, bits, seed):
    """Words ``float64`` of all magnitudes, with the corners among them."""
    generator = torch.Generator().manual_seed(seed)
    most = 1 << (bits - 1)
    words = torch.randint(-most, most, shape, generator=generator).double()
    words = (words / 2.0 ** torch.randint(0, bits, shape, generator=generator)).round()
    corners = torch.tensor([value for value in CORNERS if -most <= value < most], dtype=torch.float64)
    count = min(len(corners), words.numel() // 2)
    words.view(-1)[torch.randperm(words.numel(), generator=generator)[:count]] = corners[:count]
    return words


def randomise(model, seed):
    """Give a model the parameters and statistics of a training: gains of all signs, some of them zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.5, generator=generator)
                module.running_var.uniform_(0.2, 3, generator=generator)
        for parameter in model.parameters():
            if parameter.ndim <= 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.4)
                parameter[torch.rand(parameter.shape, generator=generator) < 0.05] = 0
    return model

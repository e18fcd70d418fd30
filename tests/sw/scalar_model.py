"""The meaning of a graph in plain Python integers and fractions, one value at a time: slow, and exact throughout.

It shares nothing with ``sw.reference`` or the passes: the two are compared with it.
"""

import itertools
from fractions import Fraction
from math import floor
from typing import NamedTuple

from sw import ir


class Real(NamedTuple):
    """The exact number ``(rational + factor * sqrt(radicand)) / sqrt(radicand)`` of a batch norm."""

    rational: Fraction
    factor: Fraction
    radicand: Fraction

    def is_not_negative(self):
        a, b = self.rational, self.factor
        if a >= 0 and b >= 0:
            return True
        if a < 0 and b < 0:
            return False
        surplus = a * a - b * b * self.radicand
        return surplus >= 0 if a >= 0 else surplus <= 0


def normalise(gain, bias, mean, variance, epsilon, value):
    """Batch norm of an integer, exactly; the parameters are floats."""
    return Real(Fraction(gain) * (value - Fraction(mean)), Fraction(bias), Fraction(variance) + Fraction(epsilon))


def evaluate(graph, image):
    """Result of each node, by name, for an 8-bit image ``(H, W, C)``: nested lists ``[y][x][c]`` of integers."""
    maps = {}
    for node in graph.nodes:
        height, width, channels = graph.shape(node.name)
        sources = [maps[name] for name in node.sources] or [image.tolist()]
        maps[node.name] = [[[_value(node, sources, y, x, c) for c in range(channels)] for x in range(width)]
                           for y in range(height)]
    return maps


def classify(graph, image):
    """Scores, and the lowest index of the highest."""
    scores = evaluate(graph, image)[graph.nodes[-1].name][0][0]
    return scores, scores.index(max(scores))


def needed_pixels(graph, name):
    """Pixels of a node on which a score depends, found one dependency at a time."""
    found = set()

    def visit(node, y, x):
        if (node.name, y, x) in found:
            return
        found.add((node.name, y, x))
        kernel_h = kernel_w = stride = 1
        padding = 0
        if isinstance(node, ir.Conv):
            (kernel_h, kernel_w), stride, padding = node.weights.shape[1:3], node.stride, node.padding
        elif isinstance(node, ir.MaxPool | ir.AveragePool):
            kernel_h = kernel_w = stride = node.size
        elif isinstance(node, ir.Subsample):
            stride = node.stride
        elif isinstance(node, ir.GlobalSum):
            kernel_h, kernel_w, _ = graph.shape(node.source)
        for source in node.sources:
            rows, columns, _ = graph.shape(source)
            if isinstance(node, ir.Pair) and (rows, columns) == (1, 1):
                visit(graph.node(source), 0, 0)
                continue
            for i, j in itertools.product(range(kernel_h), range(kernel_w)):
                row, column = y * stride + i - padding, x * stride + j - padding
                if 0 <= row < rows and 0 <= column < columns:
                    visit(graph.node(source), row, column)

    for y, x in itertools.product(*map(range, graph.shape(graph.nodes[-1].name)[:2])):
        visit(graph.nodes[-1], y, x)
    return sum(key[0] == name for key in found)


def _value(node, sources, y, x, c):
    if type(node) in _OF_A_MAP:
        return _OF_A_MAP[type(node)](node, sources[0], y, x, c)
    if isinstance(node, ir.Concat):
        split = len(sources[0][y][x])
        return sources[0][y][x][c] if c < split else sources[1][y][x][c - split]
    return _OF_VALUES[type(node)](node, c, *(_at(source, y, x, c) for source in sources))


def _at(source, y, x, c):
    """A value, or that of the one pixel which stands for all."""
    return source[0][0][c] if (len(source), len(source[0])) == (1, 1) else source[y][x][c]


def _pixel(node, source, y, x, c):
    if node.levels is None:
        level = source[y][x][c] // 2 ** (8 - node.bits)
    elif node.levels.ndim == 1:
        level = int(node.levels[source[y][x][c]])
    else:
        channel, part = divmod(c, len(node.levels[0]))
        level = int(node.levels[source[y][x][channel]][part])
    return 2 * level - (2**node.bits - 1)


def _convolve(node, source, y, x, c):
    total = 0
    outputs, kernel_h, kernel_w, channels = node.weights.shape
    first = c * node.groups // outputs * channels
    for i in range(kernel_h):
        for j in range(kernel_w):
            row, column = y * node.stride + i - node.padding, x * node.stride + j - node.padding
            inside = 0 <= row < len(source) and 0 <= column < len(source[0])
            for k in range(channels):
                value = source[row][column][first + k] if inside else node.pad_value
                total += value * int(node.weights[c, i, j, k])
    return total


def _window(node, source, y, x, c):
    span = range(node.size)
    return [source[y * node.size + i][x * node.size + j][c] for i in span for j in span]


#: Nodes whose value depends on other places than its own. Real numbers of one channel have the same last parts, so
#: tuples compare as they do.
_OF_A_MAP = {
    ir.Input: _pixel,
    ir.Conv: _convolve,
    ir.MaxPool: lambda node, source, y, x, c: max(_window(node, source, y, x, c)),
    ir.AveragePool: lambda node, source, y, x, c: nearest(sum(_window(node, source, y, x, c)), node.size**2),
    ir.Subsample: lambda node, source, y, x, c: source[y * node.stride][x * node.stride][c],
    ir.Select: lambda node, source, y, x, c: source[y][x][int(node.channels[c])] if node.channels[c] >= 0 else 0,
    ir.GlobalSum: lambda node, source, y, x, c: sum(pixel[c] for row in source for pixel in row),
}


def nearest(value, divisor):
    """The integer nearest to a quotient; of two, the greater."""
    return floor(Fraction(value, divisor) + Fraction(1, 2))


def saturated(value, bits):
    """The nearest signed integer of so many bits."""
    least = -2 ** (bits - 1)
    return min(max(value, least), -least - 1)


def _normalise(node, c, value):
    parameters = (float(array[c]) for array in (node.gain, node.bias, node.mean, node.variance))
    return normalise(*parameters, node.epsilon, value)


def _affine(node, c, value):
    return saturated(nearest(int(node.gain[c]) * value + int(node.offset[c]), 2**node.shift), node.bits)


def _slopes(node, c, value):
    slope = int(node.positive[c]) if value >= 0 else int(node.negative[c])
    return saturated(nearest(slope * value, 2**node.shift), node.bits)


def _look_up(node, c, value):
    index = floor(Fraction(value * node.multiplier, 2**node.shift)) + len(node.table) // 2
    return int(node.table[min(max(index, 0), len(node.table) - 1)])


def _sign(node, c, value):
    return 1 if (value.is_not_negative() if isinstance(value, Real) else value >= 0) else -1


_OF_VALUES = {
    ir.BatchNorm: _normalise,
    ir.Sign: _sign,
    ir.Threshold: lambda node, c, value: 1 if value >= int(node.thresholds[c]) else -1,
    ir.Scores: lambda node, c, value: value + int(node.offsets[c]),
    ir.Affine: _affine,
    ir.Add: lambda node, c, left, right: saturated(left + right, node.bits),
    ir.Clip: lambda node, c, value: sorted((node.low, value, node.high))[1],
    ir.Slopes: _slopes,
    ir.Power: lambda node, c, value: value**node.exponent,
    ir.Table: _look_up,
    ir.Compare: lambda node, c, left, right: 1 if left >= right else -1,
}

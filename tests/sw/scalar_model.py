"""The meaning of a graph in plain Python integers and fractions, one value at a time: slow, and exact throughout.

It shares nothing with ``sw.reference`` or the passes: the two are compared with it.
"""

from fractions import Fraction
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
        source = maps[node.sources[0]] if node.sources else image.tolist()
        maps[node.name] = [[[_value(node, source, y, x, c) for c in range(channels)] for x in range(width)]
                           for y in range(height)]
    return maps


def classify(graph, image):
    """Scores, and the lowest index of the highest."""
    scores = evaluate(graph, image)[graph.nodes[-1].name][0][0]
    return scores, scores.index(max(scores))


def _value(node, source, y, x, c):
    if isinstance(node, ir.Input):
        return 2 * (source[y][x][c] // 2 ** (8 - node.bits)) - (2**node.bits - 1)
    if isinstance(node, ir.Conv):
        return _convolve(node, source, y, x, c)
    if isinstance(node, ir.MaxPool):
        span = range(node.size)
        # Real numbers of one channel have the same last parts, so tuples compare as they do.
        return max(source[y * node.size + i][x * node.size + j][c] for i in span for j in span)
    value = source[y][x][c]
    if isinstance(node, ir.BatchNorm):
        parameters = (float(array[c]) for array in (node.gain, node.bias, node.mean, node.variance))
        return normalise(*parameters, node.epsilon, value)
    if isinstance(node, ir.Sign):
        return 1 if (value.is_not_negative() if isinstance(value, Real) else value >= 0) else -1
    if isinstance(node, ir.Threshold):
        return 1 if value >= int(node.thresholds[c]) else -1
    return value + int(node.offsets[c])


def _convolve(node, source, y, x, c):
    total = 0
    _, kernel_h, kernel_w, channels = node.weights.shape
    for i in range(kernel_h):
        for j in range(kernel_w):
            row, column = y * node.stride + i - node.padding, x * node.stride + j - node.padding
            inside = 0 <= row < len(source) and 0 <= column < len(source[0])
            for k in range(channels):
                value = source[row][column][k] if inside else node.pad_value
                total += value * int(node.weights[c, i, j, k])
    return total

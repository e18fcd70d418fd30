"""Archives of BNN-PYNQ's kind made by hand, and what they compute, one value at a time, as their format says."""

from fractions import Fraction
from math import floor, prod

import numpy as np

__all__ = ["make", "maps_and_matches", "pixel"]


def pack(signs):
    """Rows of -1 and 1 as bytes, the first in the highest bit."""
    rows = []
    for row in signs.tolist():
        bits = [int(sign > 0) for sign in row] + [0] * (-len(row) % 8)
        rows.append([sum(bit << 7 - place for place, bit in enumerate(bits[start:start + 8]))
                     for start in range(0, len(bits), 8)])
    return np.array(rows, np.uint8)


def make(seed, shapes, classes=3):
    """The arrays of a random network; ``shapes`` are those of its layers, ``(O, KH, KW, C)`` or ``(O, fan_in)``."""
    random = np.random.default_rng(seed)
    arrays = {"classes": np.array([f"class {number}" for number in range(classes)])}
    for index, shape in enumerate(shapes):
        fan_in = prod(shape[1:])
        arrays[f"w{index}_shape"] = np.array(shape)
        arrays[f"w{index}"] = pack(random.choice([-1, 1], (shape[0], fan_in)))
        spread = fan_in**0.5 * (75 if index == 0 else 0.3)
        middle = 0 if index == 0 else fan_in / 2
        arrays[f"t{index}"] = random.normal(middle, spread, shape[0]).round().astype(np.int32)
    return arrays


def pixel(value):
    """The integer from -128 to 127 that an 8-bit pixel becomes."""
    return min(max(floor((2 * Fraction(value, 255) - 1) * 128 + Fraction(1, 2)), -128), 127)


def maps_and_matches(arrays, image):
    """For an 8-bit image (nested lists ``[y][x][c]``) the +-1 behind each layer but the last and behind its pool, and
    the matches of the last layer's outputs.
    """
    values = [[[pixel(value) for value in place] for place in row] for row in image]
    maps, counts = [], []
    for index in range(sum(key.endswith("_shape") for key in arrays)):
        shape = arrays[f"w{index}_shape"].tolist()
        packed = arrays[f"w{index}"].tolist()
        weights = [[2 * (row[place // 8] >> 7 - place % 8 & 1) - 1 for place in range(prod(shape[1:]))]
                   for row in packed]
        height, width = shape[1:3] if len(shape) == 4 else (len(values), len(values[0]))
        thresholds = arrays[f"t{index}"].tolist()
        counts = [[_matches(weights, [value for row in values[y:y + height] for place in row[x:x + width]
                                      for value in place], first=index == 0)
                   for x in range(len(values[0]) - width + 1)] for y in range(len(values) - height + 1)]
        values = [[[1 if count > least else -1 for count, least in zip(place, thresholds)] for place in row]
                  for row in counts]
        if len(shape) == 4 and index % 2 == 1 and len(values) > 1 and len(values[0]) > 1:
            values = [[[max(values[y + i][x + j][c] for i in (0, 1) for j in (0, 1)) for c in range(shape[0])]
                       for x in range(0, len(values[0]) - 1, 2)] for y in range(0, len(values) - 1, 2)]
        maps.append(values)
    return maps[:-1], counts[0][0]


def _matches(weights, values, *, first):
    """Twice the sum in the first layer, else the number of equal signs, of each row of weights."""
    if first:
        return [2 * sum(weight * value for weight, value in zip(row, values)) for row in weights]
    return [sum(weight == value for weight, value in zip(row, values)) for row in weights]

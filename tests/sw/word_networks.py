"""Small random residual networks in lowered form, as tests of the hardware need them; each a function of its seed."""

from dataclasses import dataclass

import numpy as np

from sw import ir
from sw.numerics import black

__all__ = ["Unit", "random_residual"]


@dataclass(frozen=True)
class Unit:
    """A convolution with what follows it. ``around`` is "none", "same", "subsample", "average"; where channels grow,
    the shortcut's are padded with zeros on both sides or, with ``repeat``, repeated. ``tiles`` are the channels of an
    accumulator. ``bend`` is a PReLU with shifts in place of the clip, ``plain`` lets nothing but a sign follow.
    ``shuffle`` mixes the bits of ``groups`` before the convolution, ``mix`` permutes the words behind all at random.
    """

    channels: int
    around: str = "same"
    repeat: bool = False
    tiles: int = 1
    bend: bool = False
    plain: bool = False
    kernel: int = 3
    groups: int = 1
    shuffle: bool = False
    mix: bool = False


def random_residual(seed, shape=(8, 8, 1), bits=4, stem=8, units=(Unit(8), Unit(8)), classes=3, word_bits=8, shift=9,
                    stem_tiles=1, thresholds=False, reduce=0):
    """A stem and ``units`` on ``shape``, a sum over the map, and scores with weights of 8 bits."""
    random = np.random.default_rng(seed)
    build = _Builder(random, word_bits, shift, any(unit.bend for unit in units), thresholds)
    build.add(ir.Input("input", shape, bits))
    words = build.unit("stem", "input", None, Unit(stem * stem_tiles, "none", tiles=1), shape, bits, repeat=stem_tiles)
    for index, unit in enumerate(units):
        words = build.unit(f"unit{index}", build.sign(words), words, unit, None, bits)
    build.add(ir.GlobalSum("sum", words))
    source = "sum"
    if reduce:
        count = build.shape("sum")[2]
        source = build.add(ir.Affine("reduce", "sum", np.ones(count, np.int32), np.zeros(count, np.int64), reduce, 32))
    weights = 2 * random.integers(-128, 128, (classes, 1, 1, build.shape("sum")[2])) + 1
    build.add(ir.Conv("head", source, weights, weight_bits=8))
    build.add(ir.Scores("scores", "head", random.integers(-1000, 1000, classes)))
    return ir.Graph(tuple(build.nodes), f"random-residual-{seed}")


class _Builder:
    def __init__(self, random, word_bits, shift, bends, thresholds):
        self.random, self.word_bits, self.shift = random, word_bits, shift
        self.bends, self.thresholds = bends, thresholds
        self.nodes, self.signs = [], {}

    def add(self, node):
        self.nodes.append(node)
        return node.name

    def shape(self, name):
        return ir.Graph(tuple(self.nodes), "so far").shape(name)

    def sign(self, words):
        """The bits of a map of words, or the map itself if it is bits."""
        if isinstance(self.nodes[-1], ir.Threshold):
            return self.nodes[-1].name
        count = self.shape(words)[2]
        values = self.random.integers(-20, 20, count) if self.thresholds else np.zeros(count)
        return self.add(ir.Threshold(f"{words}.sign", words, values.astype(np.int32)))

    def unit(self, name, source, words, unit, image, bits, repeat=1):
        last = self._unit(name, source, words, unit, image, bits, repeat)
        if not unit.mix:
            return last
        channels = self.random.permutation(self.shape(last)[2])
        return self.add(ir.Select(f"{name}.mix", last, channels.astype(np.int32)))

    def _unit(self, name, source, words, unit, image, bits, repeat):
        random, in_shape = self.random, self.shape(source)
        stride = 2 if unit.around in ("subsample", "average") else 1
        count = unit.channels // unit.tiles // repeat
        padding = unit.kernel // 2
        each = in_shape[2] // unit.groups
        if unit.shuffle:
            channels = np.arange(in_shape[2]).reshape(unit.groups, each).T.ravel()
            source = self.add(ir.Select(f"{name}.shuffle", source, channels.astype(np.int32)))
        weights = random.choice(np.array([-1, 1], np.int8), (count, unit.kernel, unit.kernel, each))
        pad_value = black(bits) if image and padding else 0
        last = self.add(ir.Conv(f"{name}.conv", source, weights, stride, padding, pad_value, groups=unit.groups))
        if unit.plain:
            values = random.integers(-4, 5, count)
            return self.add(ir.Threshold(f"{name}.bits", last, values.astype(np.int32)))
        if unit.tiles > 1:
            last = self.add(ir.Select(f"{name}.tile", last, np.tile(np.arange(count), unit.tiles)))
        # About a third of the range for a typical sum.
        typical = np.sqrt(weights[0].size) * (1 << bits if image else 1)
        scale = (1 << self.word_bits - 2) / typical * (1 << self.shift)
        gain = np.clip(random.normal(0, scale, count * unit.tiles), -32767, 32767).astype(np.int32)
        offset = random.integers(-20 << self.shift, 20 << self.shift, count * unit.tiles)
        last = self.add(ir.Affine(f"{name}.norm", last, gain, offset, self.shift, self.word_bits + 2))
        if repeat > 1:
            last = self.add(ir.Select(f"{name}.repeat", last, np.tile(np.arange(count), repeat)))
        if unit.around != "none":
            last = self.add(ir.Add(f"{name}.add", last, self._around(name, words, unit), self.word_bits))
        most = (1 << self.word_bits - 1) - 1
        if not unit.bend:
            low, high = (-most - 1, most) if self.bends else (-most // 2, most // 2)
            return self.add(ir.Clip(f"{name}.clip", last, low, high))
        channels = unit.channels
        ones = np.ones(channels, np.int32)
        last = self.add(ir.Affine(f"{name}.before", last, ones, random.integers(-30, 30, channels), 0,
                                  self.word_bits + 2))
        last = self.add(ir.Slopes(f"{name}.slopes", last, np.full(channels, 1024, np.int32),
                                  random.integers(-300, 900, channels).astype(np.int32), 10, self.word_bits))
        return self.add(ir.Affine(f"{name}.after", last, ones, random.integers(-30, 30, channels), 0, self.word_bits))

    def _around(self, name, words, unit):
        last = words
        if unit.around == "average":
            last = self.add(ir.AveragePool(f"{name}.average", last, 2))
        elif unit.around == "subsample":
            last = self.add(ir.Subsample(f"{name}.subsample", last, 2))
        have = self.shape(last)[2]
        if unit.channels != have:
            margin = (unit.channels - have) // 2
            channels = np.tile(np.arange(have), unit.channels // have) if unit.repeat else np.concatenate(
                [np.full(margin, -1), np.arange(have), np.full(unit.channels - have - margin, -1)])
            last = self.add(ir.Select(f"{name}.channels", last, channels.astype(np.int32)))
        return last

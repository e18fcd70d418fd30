"""The store: each block's weights and constants, one record behind the other, as they are fetched ahead.

A record is a header (16 bits: how many constants, 16 bits: how many weight words), the constants, then the weight
words, each from a new store word on, lowest bits first. See ``hw.prefetch``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sw.constants import ConstantFormat
from sw.errors import FitError
from sw.folding import ceil_div
from sw.pack import pack_weights
from sw.residual.blocks import Block, Fold
from sw.residual.layers import SLOPE_SHIFT, PooledLayer, WordNetwork

__all__ = ["Record", "block_record", "constant_format", "head_record", "head_weight_words"]

#: Bits of a score's start value, which takes the place of a channel's constants in the head's record.
SCORE_BITS = 32
WEIGHT_BITS = 8


@dataclass(frozen=True)
class Record:
    """Constants and weight words of a block, as integers of the given widths."""

    constants: tuple[int, ...]
    weights: tuple[int, ...]
    constant_width: int
    weight_width: int

    def words(self, width: int) -> int:
        """Store words of ``width`` bits that the record takes."""
        return (1 + len(self.constants) * ceil_div(self.constant_width, width)
                + len(self.weights) * ceil_div(self.weight_width, width))

    def pack(self, width: int) -> list[int]:
        """Those words."""
        found = [len(self.constants) | len(self.weights) << 16]
        for values, bits in ((self.constants, self.constant_width), (self.weights, self.weight_width)):
            for value in values:
                found += [value >> start & (1 << width) - 1 for start in range(0, bits, width)]
        return found


def _channel_constants(network: WordNetwork, folds: Sequence[Fold], fold: Fold, excess: int) -> list[dict[str, int]]:
    """Constants of each channel of a layer's result.

    The array gives half of a sum plus half the ``excess``, so ``gain * sum + offset`` is twice
    ``gain * half + (offset - gain * excess) / 2``, whose last bit never matters before the shift.
    """
    layer, bits = fold.layer, network.word_bits
    bends = network.bends
    found = []
    for channel in range(layer.out_shape[2]):
        gain, offset = int(layer.gain[channel]), int(layer.offset[channel])
        values = {"gain": gain, "offset": (offset - gain * excess) // 2}
        if layer.shortcut:
            around = int(layer.shortcut.channels[channel])
            if around >= 0:
                values |= {"around": 1, "source": _place(folds[layer.shortcut.source], around) // 2}
        if layer.thresholds is not None:
            values["threshold"] = min(max(int(layer.thresholds[channel]), network.low), network.high + 1)
        slope = layer.slopes
        one = 1 << SLOPE_SHIFT
        # Beyond these limits a shift saturates whatever it is added to.
        most = {"before": 5 << bits - 1, "after": 1 << bits}
        for name, neutral in (("before", 0), ("positive", one), ("negative", one), ("after", 0)) if bends else ():
            value = neutral if slope is None else int(getattr(slope, name)[channel])
            values[name] = min(max(value, -most[name]), most[name]) if name in most else value
        found.append(values)
    return found


def _place(fold: Fold, channel: int) -> int:
    """Where a channel is stored in a pixel."""
    return int(np.flatnonzero(fold.order == channel)[0])


def _block_channels(fold: Fold, block: Block) -> list[int | None]:
    """Channels of a block in the order in which they are post-processed; ``None`` for rows without one."""
    rows, layer = block.plan.engine.rows, fold.layer
    found: list[int | None] = []
    place = block.first * rows * layer.tiles
    for group in range(block.count):
        used = min(rows, len(block.plan.layer.weights) - group * rows)
        for _ in range(layer.tiles):
            found += fold.order[place:place + used].tolist() + [None] * (rows - used)
            place += used
    return found


def constant_format(network: WordNetwork, folds: Sequence[Fold]) -> ConstantFormat:
    """The narrowest that holds all channels' constants."""
    ranges: dict[str, tuple[int, int]] = {}
    for fold in folds:
        for values in _channel_constants(network, folds, fold, fold.blocks[0].plan.odd_words):
            for name, value in values.items():
                low, high = ranges.get(name, (0, 0))
                ranges[name] = min(low, value), max(high, value)

    def signed(name: str, least: int = 1) -> int:
        low, high = ranges.get(name, (0, 0))
        return max(least, max(high, ~low).bit_length() + 1)

    around = any(fold.layer.shortcut for fold in folds)
    gain = signed("gain")
    return ConstantFormat(
        gain=gain, offset=signed("offset", SCORE_BITS - gain),
        source=ranges.get("source", (0, 0))[1].bit_length() if around else 0, around=int(around),
        threshold=signed("threshold") if any(ranges.get("threshold", ())) else 0,
        **({name: signed(name) for name in ("before", "positive", "negative", "after")} if network.bends else {}))


def block_record(network: WordNetwork, folds: Sequence[Fold], block: Block, form: ConstantFormat) -> Record:
    """Of a block of a convolution. A channel's offset lies with the constants of the next one, the last one's with the
    first's: it is needed when those are read.

    Raises ``FitError`` if its shortcut does not take channels in pairs.
    """
    fold = folds[block.number]
    values = _channel_constants(network, folds, fold, block.plan.odd_words)
    channels = _block_channels(fold, block)
    shortcut = fold.layer.shortcut
    if shortcut:
        source = folds[shortcut.source]
        for even, odd in zip(channels[::2], channels[1::2], strict=True):
            if even is None or odd is None:
                continue
            pair = [int(shortcut.channels[channel]) for channel in (even, odd)]
            places = [_place(source, channel) if channel >= 0 else -1 for channel in pair]
            if places != [-1, -1] and (places[0] % 2 or places[1] != places[0] + 1):
                raise FitError(f"{fold.layer.name}: channels {even} and {odd} take channels {pair[0]} and {pair[1]} of "
                               f"their shortcut, which are no stored pair; pad or repeat an even number of channels")
    offsets = [0 if channel is None else values[channel]["offset"] for channel in channels]
    constants = [({} if channel is None else values[channel]) | {"offset": offset}
                 for channel, offset in zip(channels, offsets[-1:] + offsets[:-1], strict=True)]
    weights = np.packbits(pack_weights(block.plan), axis=1, bitorder="little")
    engine = block.plan.engine
    return Record(
        constants=tuple(map(form.pack, constants)),
        weights=tuple(int.from_bytes(row.tobytes(), "little") for row in weights),
        constant_width=form.width, weight_width=engine.rows * engine.lanes)


def head_weight_words(head: PooledLayer, weight_width: int) -> tuple[int, int]:
    """Weight words of a channel, and classes in each."""
    each = min(len(head.weights), weight_width // WEIGHT_BITS)
    if weight_width < 2 * WEIGHT_BITS:
        raise FitError(f"{head.name}: weights of {WEIGHT_BITS} bits need a weight word of at least two, not of "
                       f"{weight_width} bits; use more rows or lanes")
    return ceil_div(len(head.weights), each), each


def head_record(head: PooledLayer, source: Fold, form: ConstantFormat, weight_width: int) -> Record:
    """Of the pooled head: the scores' offsets as constants; each channel's weights, as 8-bit numbers ``u`` of
    ``2u - 255``, a class a byte.
    """
    count, each = head_weight_words(head, weight_width)
    unsigned = (head.weights[:, source.order] + (1 << WEIGHT_BITS) - 1) // 2
    weights = []
    for channel in unsigned.T.tolist():
        for part in range(count):
            classes = channel[part * each:(part + 1) * each]
            weights.append(sum(value << WEIGHT_BITS * index for index, value in enumerate(classes)))
    constants = tuple(int(offset) & (1 << SCORE_BITS) - 1 for offset in head.offsets)
    return Record(constants=constants, weights=tuple(weights), constant_width=form.width, weight_width=weight_width)

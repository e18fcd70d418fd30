"""Folding a residual network onto an engine: the order of channels, blocks of output channels, and memory regions.

The engine works a layer off in blocks of output channels that fill whole feature words, each a descriptor with weights
and constants of its own, which are fetched while the block before it runs. A map's channels are stored in the order in
which they leave the drain register: channel group, tile, row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.engine import Engine
from sw.errors import FitError
from sw.folding import LayerPlan, ceil_div, plan_layer
from sw.layers import Layer
from sw.residual.layers import WordLayer, WordNetwork

__all__ = ["Block", "Depths", "Fold", "fold_network"]


@dataclass(frozen=True)
class Depths:
    """Words that a half of the memories for weights and for constants holds."""

    weights: int
    constants: int


@dataclass(frozen=True, eq=False)
class Block:
    """Channel groups ``first`` to ``first + count - 1`` of layer ``number``.

    ``plan`` is that of the block as a layer of its own; ``word`` and ``feature`` are its first words of a pixel, and
    ``window`` the input pixel's feature word from which its taps begin (grouped convolutions).
    """

    number: int
    first: int
    count: int
    plan: LayerPlan
    word: int
    feature: int
    window: int


@dataclass(frozen=True, eq=False)
class Fold:
    """A layer on an engine.

    ``order`` has the channel at each place of a stored pixel. ``words`` and ``features`` are the addresses of its maps
    (``None``: not stored), ``word_pitch`` and ``feature_pitch`` the words of a pixel in each.
    """

    layer: WordLayer
    order: NDArray[np.int64]
    groups_x: int
    word_pitch: int
    feature_pitch: int
    words: int | None
    features: int | None
    blocks: tuple[Block, ...]

    @property
    def word_size(self) -> int:
        """Addresses of the map of words."""
        return self.layer.out_shape[0] * self.groups_x * self.word_pitch

    @property
    def feature_size(self) -> int:
        """Addresses of the map of bits."""
        return self.layer.out_shape[0] * self.groups_x * self.feature_pitch


def fold_network(network: WordNetwork, engine: Engine, depths: Depths) -> tuple[Fold, ...]:
    """Fold all layers.

    Raises ``FitError`` if the engine's shape or its memories cannot run a layer, with what would.
    """
    if engine.rows % 2 or engine.rows < 4:
        raise FitError(f"network {network.name}: words are stored in pairs of channels, which need an even number of "
                       f"rows, at least 4, not {engine.rows}")
    orders: list[NDArray[np.int64]] = []
    for layer in network.layers:
        around = layer.shortcut
        orders.append(_order(layer, engine, orders[around.source] if around and around.kind == "same" else None))
    blocks = [_blocks(number, layer, order, None if layer.inputs is None else orders[layer.inputs], engine, depths)
              for number, (layer, order) in enumerate(zip(network.layers, orders, strict=True))]
    words = _regions([_size(layer, engine, 2) if layer.keep else 0 for layer in network.layers],
                     _word_lives(network), _in_place(network, orders))
    features = _smallest(
        [_size(layer, engine, engine.lanes) if layer.bits else 0 for layer in network.layers], _feature_lives(network),
        _rolling(network, blocks))
    return tuple(
        Fold(layer=layer, order=order, groups_x=ceil_div(layer.out_shape[1], engine.columns),
             word_pitch=len(order) // 2, feature_pitch=ceil_div(len(order), engine.lanes), words=words[number],
             features=features[number], blocks=blocks[number])
        for number, (layer, order) in enumerate(zip(network.layers, orders, strict=True)))


def _order(layer: WordLayer, engine: Engine, source: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Channel at each place: channel group, tile, row. Tiles come as in the ``source`` of a shortcut where they can, so
    that words stay in place.
    """
    if layer.out_shape[2] % 2 or layer.accumulators % 2:
        raise FitError(f"{layer.name}: words are stored in pairs of channels; use an even number, not "
                       f"{layer.accumulators}")
    count = layer.accumulators
    order: list[int] = []
    for start in range(0, count, engine.rows):
        rows = range(start, min(start + engine.rows, count))
        tiles = list(range(layer.tiles))
        if source is not None:
            places = source[len(order):len(order) + layer.tiles * len(rows):len(rows)]
            wanted = ((places - start) // count).tolist()
            tiles = wanted if sorted(wanted) == tiles else tiles
        order += [tile * count + row for tile in tiles for row in rows]
    return np.array(order, np.int64)


def _size(layer: WordLayer, engine: Engine, channels: int) -> int:
    """Addresses of a map with so many channels a word."""
    height, width, count = layer.out_shape
    return height * ceil_div(width, engine.columns) * ceil_div(count, channels)


def _word_lives(network: WordNetwork) -> list[int]:
    """The last layer that reads each layer's words; the head counts as the layer behind the last."""
    lives = list(range(len(network.layers)))
    for number, layer in enumerate(network.layers):
        if layer.shortcut:
            lives[layer.shortcut.source] = number
    lives[network.head.inputs] = len(network.layers)
    return lives


def _feature_lives(network: WordNetwork) -> list[int]:
    """The last layer that reads each layer's bits."""
    lives = list(range(len(network.layers)))
    for number, layer in enumerate(network.layers):
        if layer.inputs is not None:
            lives[layer.inputs] = number
    return lives


def _in_place(network: WordNetwork, orders: Sequence[NDArray[np.int64]]) -> dict[int, tuple[int, int]]:
    """Layers whose words may replace those of another, with 0: each is added to the very word that it replaces, for the
    last time.
    """
    lives = _word_lives(network)
    found = {}
    for number, layer in enumerate(network.layers):
        around = layer.shortcut
        if layer.keep and around and around.kind == "same" and lives[around.source] == number:
            source = orders[around.source]
            if np.array_equal(around.channels[orders[number]], source):
                found[number] = around.source, 0
    return found


def _rolling(network: WordNetwork, blocks: Sequence[Sequence[Block]]) -> dict[int, tuple[int, int]]:
    """Layers whose bits may lie partly over those that they take, with the layer and how far behind it they begin.

    A layer of one block reads its input from the top to the bottom once. A pass may write where no later pass reads; a
    pixel's first words are written while its last channels are computed.
    """
    lives = _feature_lives(network)
    found = {}
    for number, layer in enumerate(network.layers):
        if layer.bits is None or layer.inputs is None or len(blocks[number]) > 1 or lives[layer.inputs] != number:
            continue
        plan = blocks[number][0].plan
        engine, source = plan.engine, network.layers[layer.inputs]
        across = ceil_div(source.out_shape[1], engine.columns)
        pitch, pitch_out = (ceil_div(other.out_shape[2], engine.lanes) for other in (source, layer))
        first = [[(max(0, y * layer.conv.stride - layer.conv.padding) * across
                   + max(0, x * engine.columns * layer.conv.stride - layer.conv.padding) // engine.columns) * pitch
                  for x in range(plan.groups_x)] for y in range(layer.out_shape[0])]
        reads = [address for row in first for address in row]
        lowest = len(reads) * [0]  # of all reads behind each column group's first write
        following = source.out_shape[0] * across * pitch
        for index in reversed(range(len(reads))):
            again = min(following, reads[index])
            lowest[index] = again if pitch_out > 1 else following
            following = again
        found[number] = layer.inputs, min(least - (index + 1) * pitch_out for index, least in enumerate(lowest))
    return found


def _regions(sizes: Sequence[int], lives: Sequence[int], tied: dict[int, tuple[int, int]]) -> list[int | None]:
    """The first address of each map, ``None`` for those of size 0.

    A map that is ``tied`` to another begins so many addresses from it, and may lie over it. Maps that are tied together
    lie where no other that lives at the same time does, as low as they can.
    """
    bases: list[int | None] = [None] * len(sizes)
    for number, size in enumerate(sizes):
        if not size or number in tied:
            continue
        run = [(number, 0)]
        for other in range(number + 1, len(sizes)):
            if other in tied and tied[other][0] == run[-1][0]:
                run.append((other, run[-1][1] + tied[other][1]))
        base = -min(offset for _, offset in run)
        while conflict := _conflict(run, base, bases, sizes, lives):
            base += conflict
        for other, offset in run:
            bases[other] = base + offset
    return bases


def _smallest(sizes: Sequence[int], lives: Sequence[int], ties: dict[int, tuple[int, int]]) -> list[int | None]:
    """``_regions`` with those of ``ties`` that save memory: each map that is tied moves those before it up."""

    def depth(bases: Sequence[int | None]) -> int:
        return max((base + size for base, size in zip(bases, sizes, strict=True) if base is not None), default=0)

    best = _regions(sizes, lives, ties)
    for number in sorted(ties, reverse=True):
        fewer = {other: tie for other, tie in ties.items() if other != number}
        bases = _regions(sizes, lives, fewer)
        if depth(bases) <= depth(best):
            best, ties = bases, fewer
    return best


def _conflict(run: Sequence[tuple[int, int]], base: int, bases: Sequence[int | None], sizes: Sequence[int],
              lives: Sequence[int]) -> int:
    """By how much a run of maps at ``base`` must move up to clear the first map in its way; 0 if there is none."""
    for number, offset in run:
        start = base + offset
        for other, placed in enumerate(bases):
            together = placed is not None and other <= lives[number] and number <= lives[other]
            if together and placed is not None and start < placed + sizes[other] and placed < start + sizes[number]:
                return placed + sizes[other] - start
    return 0


def _blocks(number: int, layer: WordLayer, order: NDArray[np.int64], inputs: NDArray[np.int64] | None, engine: Engine,
            depths: Depths) -> tuple[Block, ...]:
    conv, tiles = layer.conv, layer.tiles
    each = len(conv.weights) // conv.groups  # accumulators of a group of the convolution
    whole = ceil_div(each, engine.rows)
    made = engine.rows * tiles
    step = engine.lanes // gcd(engine.lanes, made)  # channel groups that fill whole feature words
    if conv.groups > 1:
        fan_in = conv.weights.shape[3]
        if fan_in % engine.lanes or each * tiles % engine.lanes or each % engine.rows or (
                inputs is not None and np.any(np.diff(inputs) != 1)):
            raise FitError(f"{layer.name}: {conv.groups} groups of {fan_in} to {each} channels need widths that are "
                           f"multiples of {engine.lanes} lanes and {engine.rows} rows; use fewer groups or another "
                           f"array")
    blocks: list[Block] = []
    for group in range(conv.groups):
        start = 0
        while start < whole:
            count = _most_groups(layer, each, whole - start, step, engine, depths)
            first = group * each + start * engine.rows
            weights = conv.weights[first:min(first + count * engine.rows, (group + 1) * each)]
            if inputs is not None and conv.groups == 1:
                weights = weights[..., inputs]
            channel = (group * whole + start) * made
            blocks.append(Block(
                number=number, first=group * whole + start, count=count,
                plan=plan_layer(_part(layer, weights, len(blocks)), engine), word=channel // 2,
                feature=channel // engine.lanes, window=group * conv.weights.shape[3] // engine.lanes))
            start += count
    return tuple(blocks)


def _part(layer: WordLayer, weights: NDArray[Any], block: int) -> Layer:
    """A block's convolution, as ``sw.folding`` takes it."""
    whole = layer.convolution
    return replace(
        whole, name=f"{whole.name}[{block}]", weights=np.ascontiguousarray(weights),
        in_shape=(*whole.in_shape[:2], weights.shape[3]), out_shape=(*whole.out_shape[:2], len(weights)),
        binary_macs=whole.binary_macs * len(weights) // layer.accumulators)


def _most_groups(layer: WordLayer, each: int, left: int, step: int, engine: Engine, depths: Depths) -> int:
    """Channel groups of the next block: as many as the memories hold, in steps that fill feature words."""
    taps = layer.conv.weights[0].size
    kernel = layer.conv.weights.shape[1] * layer.conv.weights.shape[2]
    words = ceil_div(taps, engine.lanes) if layer.inputs is None else (
        kernel * ceil_div(layer.conv.weights.shape[3], engine.lanes))
    least = min(step, left)
    most = min(depths.weights // words, depths.constants // (engine.rows * layer.tiles))
    if most < least:
        raise FitError(
            f"{layer.name}: a block of {least} channel groups has {least * words} weight words and "
            f"{least * engine.rows * layer.tiles} constants, where a half of the memories holds {depths.weights} and "
            f"{depths.constants}; use more lanes, or a narrower layer")
    return left if left <= most else most // step * step

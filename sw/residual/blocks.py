"""Folding a residual network onto an engine: the order of channels and blocks of output channels.

The engine works a layer off in blocks of output channels that fill whole feature words, each a descriptor with weights
and constants of its own, which are fetched while the block before it runs. A map's channels are stored in the order in
which they leave the drain register: channel group, tile, row.
"""

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
from sw.residual.regions import feature_regions, word_regions

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
    words = word_regions(network, orders, engine)
    features = feature_regions(network, [own[0].plan if len(own) == 1 else None for own in blocks], engine)
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

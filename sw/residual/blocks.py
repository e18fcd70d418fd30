"""Folding a residual network onto an engine: the order of channels and blocks of output channels.

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

from sw.descriptor import WORDS
from sw.engine import Engine
from sw.errors import FitError
from sw.folding import LayerPlan, ceil_div, plan_layer
from sw.layers import Layer
from sw.residual.layers import WordLayer, WordNetwork
from sw.residual.order import channel_orders, groups_of
from sw.residual.regions import feature_regions, word_regions

__all__ = ["Block", "Depths", "Fold", "fold_network"]

_MOST_TURN, _MOST_WINDOWS = (1 << WORDS.fields[name].width for name in ("turn", "windows"))


@dataclass(frozen=True)
class Depths:
    """Words that a half of the memories for weights and for constants holds."""

    weights: int
    constants: int


@dataclass(frozen=True, eq=False)
class Block:
    """Channel groups ``first`` to ``first + count - 1`` of layer ``number``.

    ``plan`` is that of the block as a layer of its own; ``word`` and ``feature`` are its first words of a pixel. Of a
    grouped convolution, ``turn`` channel groups take their taps from the input pixel's feature words from ``window``
    on, as many from the words behind these, and after ``windows`` such from the first again.
    """

    number: int
    first: int
    count: int
    plan: LayerPlan
    word: int
    feature: int
    window: int
    turn: int
    windows: int


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
    orders = channel_orders(network, engine)
    blocks = [_blocks(network, orders, number, engine, depths) for number in range(len(network.layers))]
    words = word_regions(network, orders, engine)
    features = feature_regions(network, [own[0].plan if len(own) == 1 else None for own in blocks], engine)
    return tuple(
        Fold(layer=layer, order=order, groups_x=ceil_div(layer.out_shape[1], engine.columns),
             word_pitch=len(order) // 2, feature_pitch=ceil_div(len(order), engine.lanes), words=words[number],
             features=features[number], blocks=blocks[number])
        for number, (layer, order) in enumerate(zip(network.layers, orders, strict=True)))


def _blocks(network: WordNetwork, orders: Sequence[NDArray[np.int64]], number: int, engine: Engine,
            depths: Depths) -> tuple[Block, ...]:
    """Cut a layer into blocks, each as large as the memories allow."""
    layer = network.layers[number]
    conv, accumulators = layer.conv, orders[number][orders[number] < layer.accumulators]
    groups = groups_of(layer, accumulators)
    windows = np.zeros(conv.groups, np.int64)
    weights: NDArray[Any] = conv.weights[accumulators]
    if layer.inputs is not None:
        stored = _stored(network, orders, number, engine)
        windows = stored.min(axis=1) // engine.lanes
        weights = np.take_along_axis(weights, stored.argsort(axis=1)[groups][:, None, None], axis=3)
    windows = windows[groups[::engine.rows]]  # of each pass: all its accumulators take the same words
    made = engine.rows * layer.tiles
    blocks: list[Block] = []
    start = 0
    while start < len(windows):
        count, turn, cycle = _next_block(layer, windows[start:], engine, depths)
        part = weights[start * engine.rows:(start + count) * engine.rows]
        blocks.append(Block(
            number=number, first=start, count=count, plan=plan_layer(_part(layer, part, len(blocks)), engine),
            word=start * made // 2, feature=start * made // engine.lanes, window=int(windows[start]), turn=turn,
            windows=cycle))
        start += count
    return tuple(blocks)


def _stored(network: WordNetwork, orders: Sequence[NDArray[np.int64]], number: int, engine: Engine
            ) -> NDArray[np.int64]:
    """Where the channels of each group of a convolution are stored, ``(groups, C / groups)``.

    Raises ``FitError`` if those of a group are not whole feature words side by side.
    """
    layer = network.layers[number]
    assert layer.inputs is not None  # by the caller
    groups, fan_in = layer.conv.groups, layer.conv.weights.shape[3]
    found = np.argsort(orders[layer.inputs])[layer.taken].reshape(groups, fan_in)
    if groups > 1 and fan_in % engine.lanes:
        raise FitError(f"{layer.name}: {groups} groups of {fan_in} channels are no whole words of {engine.lanes} "
                       f"lanes; use lanes that divide {fan_in}, fewer groups, or a wider layer")
    if np.any(np.ptp(found, axis=1) >= fan_in) or (groups > 1 and np.any(found.min(axis=1) % engine.lanes)):
        raise FitError(f"{layer.name}: a group takes channels of {network.layers[layer.inputs].name} that are not "
                       f"stored side by side; let all grouped convolutions of a map group its channels alike, and "
                       f"repeat none")
    return found


def _next_block(layer: WordLayer, windows: NDArray[np.int64], engine: Engine, depths: Depths) -> tuple[int, int, int]:
    """Channel groups of a block that begins with the first of ``windows``, how many in a row share a window, and how
    many windows there are.

    As many as the memories hold, in steps that fill feature words.
    """
    conv = layer.conv
    kernel, fan_in = conv.weights.shape[1] * conv.weights.shape[2], conv.weights.shape[3]
    tap_words = ceil_div(fan_in, engine.lanes)
    words = ceil_div(kernel * fan_in, engine.lanes) if layer.inputs is None else kernel * tap_words
    made = engine.rows * layer.tiles
    step = engine.lanes // gcd(engine.lanes, made)  # channel groups that fill whole feature words
    left = len(windows)
    least = min(step, left)
    most = min(depths.weights // words, depths.constants // made)
    if most < least:
        raise FitError(
            f"{layer.name}: a block of {least} channel groups has {least * words} weight words and "
            f"{least * made} constants, where a half of the memories holds {depths.weights} and "
            f"{depths.constants}; use more lanes, or a narrower layer")
    count = left if left <= most else most // step * step
    while count:
        if (cycle := _cycle(windows[:count], tap_words)):
            return count, *cycle
        count = (count - 1) // step * step
    raise FitError(
        f"{layer.name}: a feature word of {engine.lanes} lanes takes {step} passes, of groups that the engine cannot "
        f"take in turn: at most {_MOST_WINDOWS}, whose inputs lie side by side; use fewer lanes, more rows, or fewer "
        f"groups")


def _cycle(windows: NDArray[np.int64], words: int) -> tuple[int, int] | None:
    """How many passes in a row share a window of so many words, and after how many windows they begin again; ``None``
    if ``windows`` are others.
    """
    changes = np.flatnonzero(np.diff(windows))
    if not len(changes):
        return 1, 1
    turn = int(changes[0]) + 1
    turns = windows[::turn]
    again = np.flatnonzero(turns[1:] == turns[0])
    number = int(again[0]) + 1 if len(again) else len(turns)
    wanted = windows[0] + np.arange(len(windows)) // turn % number * words
    legal = turn <= _MOST_TURN and number <= _MOST_WINDOWS and np.array_equal(windows, wanted)
    return (turn, number) if legal else None


def _part(layer: WordLayer, weights: NDArray[Any], block: int) -> Layer:
    """A block's convolution, as ``sw.folding`` takes it."""
    whole = layer.convolution
    return replace(
        whole, name=f"{whole.name}[{block}]", weights=np.ascontiguousarray(weights),
        in_shape=(*whole.in_shape[:2], weights.shape[3]), out_shape=(*whole.out_shape[:2], len(weights)),
        binary_macs=whole.binary_macs * len(weights) // layer.accumulators)

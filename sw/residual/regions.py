"""Where the maps of a network with words lie: as low as others that live at the same time allow.

A layer's words may take the place of those that they are added to, and its bits may follow those that it reads.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sw.engine import Engine
from sw.folding import LayerPlan, ceil_div
from sw.residual.layers import WordLayer, WordNetwork

__all__ = ["feature_regions", "word_regions"]


def word_regions(network: WordNetwork, orders: Sequence[NDArray[np.int64]], engine: Engine) -> list[int | None]:
    """The first address of each layer's words, ``None`` where none are stored. ``orders`` has the channel at each
    place of a layer's pixel.
    """
    sizes = [_size(layer, engine, 2) if layer.keep else 0 for layer in network.layers]
    return _regions(sizes, _word_lives(network), _in_place(network, orders))


def feature_regions(network: WordNetwork, plans: Sequence[LayerPlan | None], engine: Engine) -> list[int | None]:
    """The first address of each layer's bits, ``None`` where none are stored. ``plans`` are those of layers that are
    computed in one block.
    """
    sizes = [_size(layer, engine, engine.lanes) if layer.bits else 0 for layer in network.layers]
    return _smallest(sizes, _feature_lives(network), _rolling(network, plans))


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


def _rolling(network: WordNetwork, plans: Sequence[LayerPlan | None]) -> dict[int, tuple[int, int]]:
    """Layers whose bits may lie partly over those that they take, with the layer and how far behind it they begin.

    A layer of one block reads its input from the top to the bottom once. A pass may write where no later pass reads; a
    pixel's first words are written while its last channels are computed.
    """
    lives = _feature_lives(network)
    found = {}
    for number, layer in enumerate(network.layers):
        plan = plans[number]
        if plan is None or layer.bits is None or layer.inputs is None or lives[layer.inputs] != number:
            continue
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

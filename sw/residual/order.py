"""The order in which the channels of each layer are computed and stored.

A pass computes ``rows`` accumulators of one group of a convolution, for they share its taps; a layer's last pass may
have fewer. Channels are stored in the order in which they leave the drain register: pass, tile, row. Where a grouped
convolution takes them, shuffled or not, those of its first group come first, then those of its second: so a group reads
feature words of its own channels only.
"""

from itertools import groupby
from math import gcd

import numpy as np
from numpy.typing import NDArray

from sw.engine import Engine
from sw.errors import FitError
from sw.residual.layers import WordLayer, WordNetwork

__all__ = ["channel_orders", "groups_of"]

_Integers = NDArray[np.int64]


def channel_orders(network: WordNetwork, engine: Engine) -> list[_Integers]:
    """For each layer, the channel at each place of a stored pixel.

    Raises ``FitError`` if the engine's rows do not suit a layer, with what would.
    """
    if engine.rows % 2 or engine.rows < 4:
        raise FitError(f"network {network.name}: words are stored in pairs of channels, which need an even number of "
                       f"rows, at least 4, not {engine.rows}")
    orders: list[_Integers] = []
    for number, layer in enumerate(network.layers):
        if layer.out_shape[2] % 2 or layer.accumulators % 2:
            raise FitError(f"{layer.name}: words are stored in pairs of channels; use an even number, not "
                           f"{layer.accumulators}")
        takers = [other for other in network.layers if other.inputs == number and other.conv.groups > 1]
        around = layer.shortcut
        source = orders[around.source] if around else None
        accumulators = _accumulators(layer, takers, source, engine)
        orders.append(_by_pass(layer, accumulators, source if around and around.kind == "same" else None, engine))
    return orders


def groups_of(layer: WordLayer, accumulators: _Integers) -> _Integers:
    """The group of a layer's convolution that makes each accumulator."""
    return accumulators // (layer.accumulators // layer.conv.groups)


def _accumulators(layer: WordLayer, takers: list[WordLayer], source: _Integers | None, engine: Engine) -> _Integers:
    """Accumulators by the groups of ``takers`` that take their channels, by the groups of their own, and as the words
    of the shortcut's ``source`` are stored. Words that may replace these come as they do before all but ``takers``, if
    passes can be full and of one group that way too.
    """
    keys: list[_Integers] = []
    for taker in reversed(takers):
        group = np.zeros(layer.out_shape[2], np.int64)
        group[taker.taken] = np.arange(len(taker.taken)) // taker.conv.weights.shape[3]
        keys += list(group.reshape(layer.tiles, -1)[::-1])
    slots, own = _slots(layer, source), groups_of(layer, np.arange(layer.accumulators))
    orders = [np.lexsort([slots, own, *keys])]
    if layer.shortcut and layer.shortcut.kind == "same":
        orders.insert(0, np.lexsort([slots, *keys]))
    for order in orders:
        runs = [len(list(run)) for _, run in groupby(own[order].tolist())]
        short = [run for run in runs[:-1] if run % engine.rows]
        if not short:
            return order
    raise _misfit(layer, takers, short[0], engine)


def _slots(layer: WordLayer, source: _Integers | None) -> _Integers:
    """For each accumulator where it comes, as far as it is free: in the order of their numbers, but those whose words
    are added to others come among themselves as these others are stored, so that pairs remain pairs.
    """
    slots = np.arange(layer.accumulators)
    if layer.shortcut is None or source is None or layer.tiles > 1:
        return slots
    channels = layer.shortcut.channels
    places = np.argsort(source)[channels]
    copies = np.array([np.count_nonzero(channels[:index] == channel) for index, channel in enumerate(channels)])
    for copy in range(copies.max() + 1):
        own = np.flatnonzero((copies == copy) & (channels >= 0))
        slots[own[np.argsort(places[own])]] = own
    return slots


def _misfit(layer: WordLayer, takers: list[WordLayer], run: int, engine: Engine) -> FitError:
    """Why passes cannot be full and of one group each, where only ``run`` accumulators of one come together."""
    groups = layer.conv.groups
    each = layer.accumulators // groups
    shuffle = f", of which each group of {takers[0].name} takes {run}," if run < each and takers else ""
    fitting = [rows for rows in range(4, run + 1, 2) if run % rows == 0]
    array = f"an array of {fitting[-1]} rows, " if fitting else ""
    return FitError(f"{layer.name}: {groups} groups of {each} channels{shuffle} do not fill passes of {engine.rows} "
                    f"rows of one group each; use {array}fewer groups, or {engine.rows // gcd(engine.rows, run)} times "
                    f"as many channels")


def _by_pass(layer: WordLayer, accumulators: _Integers, source: _Integers | None, engine: Engine) -> _Integers:
    """Channels by pass, tile and row. Tiles come as in the ``source`` of a shortcut where they can, so that words stay
    in place.
    """
    count = layer.accumulators
    order: list[int] = []
    for start in range(0, count, engine.rows):
        rows = accumulators[start:start + engine.rows]
        tiles = list(range(layer.tiles))
        if source is not None:
            places = source[len(order):len(order) + layer.tiles * len(rows):len(rows)]
            wanted = ((places - rows[0]) // count).tolist()
            tiles = wanted if sorted(wanted) == tiles else tiles
        for tile in tiles:
            order += (tile * count + rows).tolist()
    return np.array(order, np.int64)

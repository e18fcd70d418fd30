"""Where the maps of a network with words lie in the engine's memories, for reading traces."""

from dataclasses import asdict, dataclass

import numpy as np

from sim.check import Mismatch
from sw.residual.blocks import fold_network
from sw.residual.program import DEPTHS
from sw.residual.reader import word_network

__all__ = ["Layout", "as_json", "check_frame", "difference", "from_json", "layouts_of"]


@dataclass(frozen=True)
class Layout:
    """One layer's maps: ``blocks`` are the numbers of its descriptors, first and behind the last; ``order`` the channel
    at each place of a pixel; ``words`` and ``features`` the first addresses, ``None`` if not stored.
    """

    name: str
    blocks: tuple[int, int]
    shape: tuple[int, int, int]
    order: tuple[int, ...]
    groups_x: int
    words: int | None
    features: int | None


def layouts_of(graph, engine):
    """The ``Layout`` of each layer of a lowered graph, the names of the nodes of its words and bits, and where those
    bits have each of its channels.
    """
    network = word_network(graph)
    folds = fold_network(network, engine, DEPTHS)
    layouts, names, block = [], [], 0
    for fold in folds:
        layer = fold.layer
        layouts.append(Layout(layer.name, (block, block + len(fold.blocks)), layer.out_shape,
                              tuple(fold.order.tolist()), fold.groups_x, fold.words, fold.features))
        names.append((layer.words if fold.words is not None else None, layer.bits or layer.words,
                      np.argsort(layer.bit_channels) if layer.bits else np.arange(layer.out_shape[2])))
        block += len(fold.blocks)
    return layouts, names


def as_json(layouts):
    """For ``json.dumps``."""
    return [asdict(layout) for layout in layouts]


def from_json(rows):
    """The inverse of ``as_json``."""
    return [Layout(**{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})
            for row in rows]


def difference(layout, writes, wanted, *, columns, lanes, width):
    """``None`` if a frame's trace has the map ``wanted`` ``(H, W, C)``, else what differs first.

    ``writes`` are (block, address, words) in order, ``words`` an integer a column: of ``lanes`` bits of one channel
    each, filled from the top, or with ``lanes`` 2 of words of ``width`` bits.
    """
    height, across, channels = layout.shape
    base = layout.features if width == 1 else layout.words
    pitch = -(-channels // lanes)
    size = height * layout.groups_x * pitch
    memory = {address - base: words for block, address, words in writes
              if layout.blocks[0] <= block < layout.blocks[1]}
    if sorted(memory) != list(range(size)):
        return f"{layout.name}: {len(memory)} addresses were written, not the {size} of the map"
    mask, half = (1 << width) - 1, 1 << width - 1
    for place, channel in enumerate(layout.order):
        word, lane = divmod(place, lanes)
        used = min(lanes, channels - word * lanes)
        lane += lanes - used if width == 1 else 0
        for y in range(height):
            for x in range(across):
                value = memory[(y * layout.groups_x + x // columns) * pitch + word][x % columns] >> lane * width & mask
                value = 2 * value - 1 if width == 1 else (value ^ half) - half
                if value != wanted[y, x, channel]:
                    return (f"{layout.name}: channel {channel} of pixel (y {y}, x {x}) is {value:+d}, the reference "
                            f"has {int(wanted[y, x, channel]):+d}")
    return None


def check_frame(layouts, writes, pairs, maps, words, program):
    """Raise ``Mismatch`` unless a frame's traces of bits and words are the reference's, layer by layer."""
    engine = program.engine
    for layout, bits, values in zip(layouts, maps, words, strict=True):
        found = None
        if layout.features is not None:
            found = difference(layout, writes, bits, columns=engine.columns, lanes=engine.lanes, width=1)
        if found is None and layout.words is not None:
            found = difference(layout, pairs, values, columns=engine.columns, lanes=2, width=program.words.bits)
        if found:
            raise Mismatch(found)

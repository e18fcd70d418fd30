"""Links of unlike shapes, and what goes over them, for tests of both their ends."""

import random

from sw.map_link import MapLink

__all__ = ["LINKS", "beats_of", "random_map", "stored"]

LINKS = {
    "words, other columns": MapLink("layer", (3, 7, 12), 3, 8, 4, 2, 8),
    "one pixel": MapLink("layer", (1, 1, 20), 1, 8, 2, 1, 8),
    "to wider words": MapLink("layer", (2, 5, 24), 2, 16, 4, 3, 24),
    "to narrower words": MapLink("layer", (2, 6, 40), 4, 32, 8, 1, 16),
    "a word not full": MapLink("layer", (3, 4, 12), 2, 8, 4, 3, 24),
    "bits below": MapLink("layer", (2, 3, 5), 1, 16, 2, 4, 16),
}


def random_map(link, seed):
    """A map's words as its engine makes them, ``[y][x][word]``: the last word's channels at the top."""
    choose = random.Random(seed)
    used = link.shape[2] - (link.words - 1) * link.lanes
    filled = -(-used // link.drain) * link.drain
    return [[[choose.getrandbits(link.lanes) for _ in range(link.words - 1)]
             + [choose.getrandbits(used) << link.lanes - filled] for _ in range(link.shape[1])]
            for _ in range(link.shape[0])]


def _parts(link, words):
    """A pixel's parts, each an integer."""
    value = sum(word << index * link.lanes for index, word in enumerate(words[:-1]))
    full = (link.words - 1) * link.lanes
    bits = value | (words[-1] >> link.skipped) << full
    return [bits >> part * link.width & (1 << link.width) - 1 for part in range(link.parts)]


def beats_of(link, pixels):
    """The map's beats in order, (part, last)."""
    height, width, _ = link.shape
    found = []
    for y in range(height):
        for left in range(0, width, link.columns):
            group = [_parts(link, pixels[y][x]) for x in range(left, min(width, left + link.columns))]
            found += [parts[part] for part in range(link.parts) for parts in group]
    return [(part, int(index == len(found) - 1)) for index, part in enumerate(found)]


def stored(link, pixels):
    """Words as the receiver has them, ``[y][x][word]``."""
    height, width, _ = link.shape
    mask = (1 << link.to_lanes) - 1

    def words(y, x):
        parts = _parts(link, pixels[y][x])
        full = (link.to_words - 1) * link.to_word_parts
        parts[full:full] = [0] * link.empty_parts
        value = sum(part << index * link.width for index, part in enumerate(parts))
        return [value >> word * link.to_lanes & mask for word in range(link.to_words)]

    return [[words(y, x) for x in range(width)] for y in range(height)]

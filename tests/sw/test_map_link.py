"""Links between engines: what is sent of a map, and where the receiver has it, against words that are made by hand."""

import numpy as np
import pytest

from sw.map_link import MapLink

#: shape, columns, lanes, drain, the receiver's columns and lanes; then bits of a beat, parts of a pixel, beats of a
#: map, the receiver's words of a pixel, parts of a word that stay empty, and channels that come at a time.
LINKS = [
    ((4, 5, 8), 3, 8, 2, 2, 8, (8, 1, 20, 1, 0, 2)),
    ((4, 5, 8), 3, 16, 2, 2, 16, (16, 1, 20, 1, 0, 2)),
    ((3, 7, 24), 2, 16, 4, 3, 24, (8, 3, 63, 1, 0, 8)),
    ((3, 7, 24), 2, 32, 8, 3, 8, (8, 3, 63, 3, 0, 8)),
    ((2, 3, 12), 4, 16, 4, 1, 24, (4, 3, 18, 1, 3, 4)),
    ((2, 2, 40), 1, 32, 8, 2, 16, (8, 5, 20, 3, 1, 8)),
    ((1, 1, 9), 1, 8, 1, 1, 16, (1, 9, 9, 1, 7, 1)),
    ((1, 1, 70), 1, 48, 2, 1, 32, (2, 35, 35, 3, 13, 2)),
    ((1, 4, 5), 2, 8, 4, 3, 24, (8, 1, 4, 1, 2, 8)),
]


def link_of(shape, columns, lanes, drain, to_columns, to_lanes):
    return MapLink("layer", shape, columns, lanes, drain, to_columns, to_lanes)


def made_words(pixel, lanes, drain):
    """A pixel's words as an engine makes them: channels from the top in whole drains, zeros below and behind."""
    words = []
    for start in range(0, len(pixel), lanes):
        bits = list(pixel[start:start + lanes])
        bits += [0] * (-len(bits) % drain)
        words.append([0] * (lanes - len(bits)) + bits)
    return words


@pytest.mark.parametrize(("shape", "columns", "lanes", "drain", "to_columns", "to_lanes", "expected"), LINKS)
def test_sizes(shape, columns, lanes, drain, to_columns, to_lanes, expected):
    link = link_of(shape, columns, lanes, drain, to_columns, to_lanes)
    found = link.width, link.parts, link.beats, link.to_words, link.empty_parts, link.fill
    assert found == expected
    groups = -(-shape[1] // columns)
    assert (link.groups, link.last_columns) == (groups, shape[1] - columns * (groups - 1))
    assert link.depth == shape[0] * -(-shape[1] // to_columns) * link.to_words


@pytest.mark.parametrize("row", LINKS)
def test_receiver_has_what_an_engine_of_its_lanes_would_have_made(row):
    """The parts, one behind the other, are words as the receiver expects them of an array that drains ``fill``."""
    shape, columns, lanes, drain, to_columns, to_lanes, _ = row
    link = link_of(shape, columns, lanes, drain, to_columns, to_lanes)
    pixel = np.random.default_rng(sum(shape)).integers(0, 2, shape[2]).tolist()
    words = made_words(pixel, lanes, drain)
    assert link.words == len(words)
    assert not any(words[-1][:link.skipped])
    words[-1] = words[-1][link.skipped:]
    sent = [word[start:start + link.width] for index, word in enumerate(words)
            for start in range(0, len(word), link.width)]
    assert not any(bit for part in sent[link.parts:] for bit in part)
    parts = sent[:link.parts]
    full = (link.to_words - 1) * link.to_word_parts
    parts[full:full] = [[0] * link.width] * link.empty_parts
    found = [sum(parts[start:start + link.to_word_parts], []) for start in range(0, len(parts), link.to_word_parts)]
    assert found == made_words(pixel, to_lanes, link.fill)

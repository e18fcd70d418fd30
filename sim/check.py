"""Compares what a simulation saw with the reference and with the schedule, to the bit and to the cycle."""

import numpy as np

from sw.program import Program

__all__ = ["Mismatch", "check_cycles", "check_results", "first_difference", "unpack_link", "unpack_maps"]


class Mismatch(AssertionError):
    """The hardware differs from the reference or the schedule."""


def check_results(records, expected, score_bytes=2):
    """Every frame's scores and class are the reference's. ``expected`` has the bytes of a result in each row, those of
    a score ``score_bytes`` long.
    """
    if len(records) != len(expected):
        raise Mismatch(f"{len(records)} results came for {len(expected)} frames")
    for frame, (record, row) in enumerate(zip(records, expected, strict=True)):
        if record.result != row.tobytes():
            got, wanted = (_scores(data, score_bytes) for data in (record.result, row.tobytes()))
            raise Mismatch(f"frame {frame}: scores and class are {got}, the reference has {wanted}")


def _scores(result, score_bytes):
    values = np.frombuffer(result[:-1], f"<i{score_bytes}").tolist()
    return f"{values} class {result[-1]}"


def check_cycles(records, timing):
    """Every result is offered in the very cycle that the schedule predicts, given when frames came and results went."""
    walk = timing.walk()
    for frame, record in enumerate(records):
        predicted = walk.arrive(record.arrived)
        if record.offered != predicted:
            raise Mismatch(f"frame {frame}: its result was offered in cycle {record.offered}, the schedule says "
                           f"{predicted}")
        walk.leave(record.sent)


def unpack_maps(program: Program, writes):
    """Maps of +-1, one for each layer that gives bits, from a frame's trace.

    ``writes`` are (layer, address, words) in order, ``words`` a list of an integer a column.
    """
    engine = program.engine
    maps = []
    for layer, (height, width, channels) in enumerate(program.layer_shapes[:None if program.target else -1]):
        words = -(-channels // engine.lanes)
        groups = -(-width // engine.columns)
        own = [row for number, _, row in writes if number == layer]
        if len(own) != height * groups * words:
            raise Mismatch(f"{program.layer_names[layer]}: {len(own)} words were written instead of "
                           f"{height * groups * words}")
        bits = np.array([[[word >> lane & 1 for lane in range(engine.lanes)] for word in row] for row in own], np.int8)
        bits = bits.reshape(height, groups, words, engine.columns, engine.lanes).transpose(0, 1, 3, 2, 4)
        bits = bits.reshape(height, groups * engine.columns, words, engine.lanes)[:, :width]
        full = (words - 1) * engine.lanes
        pushed = -(-(channels - full) // engine.drain) * engine.drain
        parts = [bits[:, :, word] for word in range(words - 1)]
        start = engine.lanes - pushed
        parts.append(bits[:, :, words - 1, start:start + channels - full])
        maps.append(2 * np.concatenate(parts, axis=2) - 1)
    return maps


def unpack_link(link, beats):
    """A map of +-1 from the parts that an engine sent for it, in order."""
    height, width, channels = link.shape
    if len(beats) != link.beats:
        raise Mismatch(f"{link.name}: {len(beats)} beats were sent instead of {link.beats}")
    bits, rest = np.zeros((height, width, link.parts * link.width), np.int8), iter(beats)
    for y in range(height):
        for first in range(0, width, link.columns):
            for part in range(link.parts):
                for x in range(first, min(first + link.columns, width)):
                    beat = next(rest)
                    for bit in range(link.width):
                        bits[y, x, part * link.width + bit] = beat >> bit & 1
    # A word that is sent whole has its channels at the top.
    full = (link.words - 1) * link.lanes
    start = full
    if link.lanes == link.to_lanes:
        start = full + link.lanes - -(-(channels - full) // link.drain) * link.drain
    return 2 * np.concatenate([bits[..., :full], bits[..., start:start + channels - full]], axis=2) - 1


def first_difference(program: Program, maps, wanted, names=None):
    """``None`` if all maps are equal, else a sentence that names the first layer, channel, pixel and both values.

    The maps are those of the program's layers, unless they have ``names`` of their own.
    """
    for name, got, right in zip(names or program.layer_names, maps, wanted, strict=False):
        places = np.argwhere(got != right)
        if len(places):
            y, x, channel = (int(index) for index in places[0])
            return (f"{name}: channel {channel} of pixel (y {y}, x {x}) is {got[y, x, channel]:+d}, the reference has "
                    f"{right[y, x, channel]:+d}; {len(places)} of {got.size} values differ")
    return None

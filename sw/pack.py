"""From weights and thresholds to memory words, in the order in which the engine reads them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sw.folding import LayerPlan
from sw.numerics import quantise_pixels, signs_to_bits

__all__ = ["pack_image", "pack_thresholds", "pack_weights", "score_width", "threshold_width"]


def _lane_bits(plan: LayerPlan) -> NDArray[np.uint8]:
    """Weight bits ``(groups_c * rows, taps, words, lanes)``; rows beyond the last channel have weights of 0.

    A feature word is filled from the top, so a channel count that does not fill the last word leaves its low lanes
    unused. Words of the input unit are filled from lane 0. Activations are 0 in unused lanes; there the weights are
    0, 1, 0, ... from the lowest on, so that half of them match (rounded up) and add nothing to the sum.
    """
    lanes, rows = plan.engine.lanes, plan.groups_c * plan.engine.rows
    weights = signs_to_bits(plan.layer.weights).reshape(len(plan.layer.weights), plan.kernel[0] * plan.kernel[1], -1)
    bits = np.zeros((rows, *weights.shape[1:]), np.uint8)
    bits[:len(weights)] = weights
    channels = bits.shape[2]
    full = (plan.words - 1) * lanes
    used = channels - full
    start = full
    if plan.layer.source == "features":
        # Words are filled in whole steps: channels up to a multiple of a step, the surplus bits constantly 0.
        start = plan.words * lanes - -(-used // plan.fill) * plan.fill
    unused = [lane for lane in range(full, plan.words * lanes) if not start <= lane < start + used]
    padded = np.zeros((rows, bits.shape[1], plan.words * lanes), np.uint8)
    padded[:, :, :full] = bits[:, :, :full]
    padded[:, :, start:start + used] = bits[:, :, full:]
    padded[:, :, unused[1::2]] = 1
    return padded.reshape(rows, bits.shape[1], plan.words, lanes)


def pack_weights(plan: LayerPlan) -> NDArray[np.uint8]:
    """Weight ROM words of a layer as bits ``(weight_words, rows * lanes)``, bit 0 of row 0 first.

    Order: channel group, tap, word.
    """
    engine = plan.engine
    bits = _lane_bits(plan)
    grouped = bits.reshape(plan.groups_c, engine.rows, *bits.shape[1:]).transpose(0, 2, 3, 1, 4)
    return np.ascontiguousarray(grouped.reshape(plan.weight_words, engine.rows * engine.lanes))


def threshold_width(plans: list[LayerPlan]) -> int:
    """Bits of a signed threshold that hold every layer's."""
    return max(int(np.abs(pack_thresholds(plan)).max()) for plan in plans).bit_length() + 1


def score_width(head: LayerPlan) -> int:
    """Bits of a signed score, at least the 9 that two bytes need."""
    reach = head.layer.largest_sum + int(np.abs(np.asarray(head.layer.offsets)).max(initial=0))
    return max(8, reach.bit_length()) + 1


def pack_thresholds(plan: LayerPlan) -> NDArray[np.int32]:
    """Thresholds ``(groups_c * drain_steps, drain)`` in order of use.

    The hardware's value is ``2 * sum - threshold``, where the doubled sum exceeds the dot product by one for each
    word with an odd number of lanes in use; that is added to the threshold here. An offset is a negative threshold.
    A row without a channel gets a threshold above every sum: its bit is 0.
    """
    layer, engine = plan.layer, plan.engine
    excess = plan.odd_words
    values = layer.thresholds if layer.thresholds is not None else -np.asarray(layer.offsets)
    padded = np.full(plan.groups_c * engine.rows, layer.largest_sum + excess + 1, np.int32)
    padded[:len(values)] = values + excess
    return padded.reshape(-1, engine.drain)


def pack_image(image: NDArray[np.uint8], *, bits: int, flat: bool, levels: ArrayLike | None = None) -> bytes:
    """An 8-bit image ``(H, W, C)`` as the bytes of the input stream; ``levels`` are those of ``ir.Input``.

    For an n-bit first convolution one byte a channel value (its n bits, in the byte's low bits; the first of several
    integers lowest), row by row, channels innermost; for a 1-bit vector eight values a byte, the first in the lowest
    bit.
    """
    values = quantise_pixels(image, bits, levels)
    if flat:
        return np.packbits(values.reshape(-1), bitorder="little").tobytes()
    codes = values.reshape(np.asarray(image).size, -1)
    return (codes << (bits * np.arange(codes.shape[1]))).sum(axis=1).astype(np.uint8).tobytes()

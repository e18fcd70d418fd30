"""The encoding of numbers: the one place where +-1 becomes a bit. See docs/numerics.md.

Bit 1 is +1 and bit 0 is -1; ``sign(0) = +1``. An n-bit unsigned ``u`` stands for the odd integer
``2u - (2**n - 1)``, which is the sum over its bits of ``2**k * (+-1)``, so an n-bit operand is n +-1 planes.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "argmax_lowest", "bipolar", "bits_to_signs", "black", "planes", "quantise_pixels", "sign", "signs_to_bits",
    "thermometer_levels", "thermometer_thresholds",
]


def sign(values: NDArray) -> NDArray[np.int8]:
    """+1 where ``values >= 0``, else -1 (any shape)."""
    return np.where(np.asarray(values) >= 0, 1, -1).astype(np.int8)


def signs_to_bits(signs: NDArray) -> NDArray[np.uint8]:
    """+-1 to {1, 0} (any shape)."""
    return (np.asarray(signs) > 0).astype(np.uint8)


def bits_to_signs(bits: NDArray) -> NDArray[np.int8]:
    """{1, 0} to +-1 (any shape)."""
    return (2 * np.asarray(bits).astype(np.int8) - 1).astype(np.int8)


def black(bits: int) -> int:
    """The bipolar value of an n-bit zero: ``-(2**bits - 1)``."""
    return 1 - (1 << bits)


def quantise_pixels(pixels: NDArray, bits: int, levels: ArrayLike | None = None) -> NDArray[np.uint8]:
    """8-bit pixels ``(..., C)`` to unsigned integers of ``bits`` (1 to 8) bits: their most significant ones, or what
    each of the 256 values is in ``levels``. With levels ``(256, K)`` each becomes K: the result is ``(..., K * C)``,
    the K of a channel side by side.
    """
    pixels = np.asarray(pixels, dtype=np.uint8)
    if levels is None:
        return (pixels >> (8 - bits)).astype(np.uint8)
    values = np.asarray(levels)[pixels].astype(np.uint8)
    return values if values.ndim == pixels.ndim else values.reshape(*pixels.shape[:-1], -1)


def thermometer_thresholds(count: int) -> NDArray[np.uint8]:
    """The pixel values from which on each bit of a thermometer code of ``count`` bits is 1: ``256 k / (count + 1)``,
    rounded up, for k from 1 on.
    """
    return np.array([-(-256 * k // (count + 1)) for k in range(1, count + 1)], np.uint8)


def thermometer_levels(count: int) -> NDArray[np.uint8]:
    """The thermometer code of each 8-bit pixel, ``(256, count)``: bit k tells whether the pixel reaches threshold k."""
    return (np.arange(256)[:, None] >= thermometer_thresholds(count)).astype(np.uint8)


def bipolar(unsigned: NDArray, bits: int) -> NDArray[np.int32]:
    """Unsigned ``bits``-bit integers to the odd integers ``2u - (2**bits - 1)``."""
    return 2 * np.asarray(unsigned).astype(np.int32) + np.int32(black(bits))


def planes(unsigned: NDArray, bits: int) -> NDArray[np.uint8]:
    """Bit planes of unsigned integers, most significant first: shape ``(bits, *unsigned.shape)``."""
    shifts = np.arange(bits - 1, -1, -1).reshape(-1, *([1] * np.ndim(unsigned)))
    return ((np.asarray(unsigned)[None] >> shifts) & 1).astype(np.uint8)


def argmax_lowest(scores: NDArray) -> NDArray[np.int64]:
    """Class of each row of scores ``(N, O)``: the lowest index of the highest score."""
    return np.argmax(scores, axis=-1)

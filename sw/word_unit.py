"""What an engine needs for networks whose shortcuts are words: widths, depths, and the store's contents."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sw.constants import ConstantFormat

__all__ = ["STORE_WIDTH", "WordUnit"]

#: Bits of a store word: those that the four large RAMs of a UP5K give at once.
STORE_WIDTH = 64


@dataclass(frozen=True, eq=False)
class WordUnit:
    """Words have ``bits`` bits and lie from ``low`` to ``high``; sums times gain are shifted right by ``shift``.

    ``depth`` is that of a bank of pairs of words, read with the ``strides``. ``weight_depth`` and ``constant_depth``
    are the words in a half of what is fetched ahead. ``store`` is ``uint64 (n,)``, ``STORE_WIDTH`` bits each; it is
    ``shared`` if it lies in the large RAMs beside the words. The head sums ``head_pairs`` pairs of channels over
    ``head_pixels`` column groups, of which the last of a row has ``head_columns`` columns in use; ``head_reduce`` is
    the right shift of a sum.
    """

    bits: int
    low: int
    high: int
    shift: int
    depth: int
    strides: tuple[int, ...]
    weight_depth: int
    constant_depth: int
    constants: ConstantFormat
    shared: bool
    head_pixels: int
    head_pairs: int
    head_columns: int
    head_reduce: int
    store: NDArray[np.uint64]

    def store_words(self) -> list[int]:
        """The store's contents as integers."""
        return [int(word) for word in self.store]

    def store_bytes(self) -> bytes:
        """The store's contents as bytes, lowest first."""
        return self.store.astype("<u8").tobytes()

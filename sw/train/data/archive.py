"""Data sets in one NumPy archive of ``x_train``, ``y_train``, ``x_test`` and ``y_test``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.errors import DataError
from sw.files import read_npz

__all__ = ["read", "read_arrays"]

_KEYS = ("x_train", "y_train", "x_test", "y_test")


def read(path: Path, channels: int) -> list[NDArray[Any]]:
    """The four arrays of ``path`` in the order of training images, training labels, test images, test labels.

    Images must be ``uint8 (N, H, W, channels)``, or ``(N, H, W)`` where there is one channel; they are given as
    ``(N, channels, H, W)``. Raises ``DataError`` for other shapes or types and for what ``read_arrays`` refuses.
    """
    arrays = read_arrays(path, _KEYS)
    for place in (0, 2):
        given = arrays[place]
        images = given[..., None] if channels == 1 and given.ndim == 3 else given
        if images.ndim != 4 or images.shape[3] != channels or images.dtype != np.uint8:
            wanted = "(N, H, W)" if channels == 1 else f"(N, H, W, {channels})"
            raise DataError(f"{path}: {_KEYS[place]} must be uint8 {wanted}, not {given.dtype} {given.shape}")
        arrays[place] = images.transpose(0, 3, 1, 2)
    return arrays


def read_arrays(path: Path, keys: Sequence[str]) -> list[NDArray[Any]]:
    """The arrays ``keys`` of an ``.npz`` file. Raises ``DataError`` when it is damaged, pickled or lacks one."""
    arrays = read_npz(path, DataError, keys)
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise DataError(f"{path} has no {', '.join(missing)}; it must hold {', '.join(keys)}")
    return [arrays[key] for key in keys]

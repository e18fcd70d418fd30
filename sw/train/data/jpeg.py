"""Images as JPEG bytes in a NumPy archive."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.errors import DataError
from sw.train.data.archive import read_arrays
from sw.train.data.dataset import MOST_CLASSES, dealt
from sw.train.data.decode import open_image, pixels

__all__ = ["read"]


def read(path: Path) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Images ``(N, 3, H, W)`` and labels ``(N,)`` of an archive of ``data``, ``offsets`` and ``labels``.

    Image ``i`` is the JPEG file ``data[offsets[i]:offsets[i + 1]]``. Such archives are often sorted by class:
    the result takes one image of each class in turn. Raises ``DataError`` for a damaged archive or image, and
    for images of different sizes.
    """
    data, offsets, labels = read_arrays(path, ("data", "offsets", "labels"))
    if (data.dtype != np.uint8 or offsets.dtype.kind not in "iu" or labels.dtype.kind not in "iu"
            or any(array.ndim != 1 for array in (data, offsets, labels))
            or not len(labels) or len(offsets) != len(labels) + 1 or labels.min() < 0 or labels.max() >= MOST_CLASSES
            or offsets[0] != 0 or offsets[-1] != len(data) or (offsets[1:] <= offsets[:-1]).any()):
        raise DataError(f"{path}: data must be uint8 (B,), labels integers (N,) from 0 to {MOST_CLASSES - 1}, and "
                        f"offsets N + 1 integers that rise from 0 to B, not {data.dtype} {data.shape}, "
                        f"{labels.dtype} {labels.shape} and {offsets.dtype} {offsets.shape}")
    labels = labels.astype(np.int64)
    order = dealt(labels)
    images: NDArray[np.uint8] | None = None
    for place, chosen in enumerate(order):
        where = f"{path}: image {chosen}"
        image = pixels(open_image(data[offsets[chosen]:offsets[chosen + 1]].tobytes(), where), 3)
        if images is None:
            images = np.empty((len(order), *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            raise DataError(f"{where} is {image.shape[1]} x {image.shape[2]} pixels, and others are "
                            f"{images.shape[2]} x {images.shape[3]}")
        images[place] = image
    assert images is not None
    return images, labels[order]

"""The IDX files of MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., 2017), plain or with gzip."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sw.errors import DataError

__all__ = ["read"]

_STEMS = ("train-images", "train-labels", "t10k-images", "t10k-labels")


def read(folder: Path, how: str) -> list[NDArray[np.uint8]]:
    """Training images ``(N, H, W)``, training labels ``(N,)``, test images and test labels of a folder.

    Each file is ``STEM-idxD-ubyte`` or ``STEM.idxD-ubyte``, plain or ``.gz``. ``how`` says how to get them and
    ends the message when one is missing. Raises ``DataError`` for that and for a damaged file.
    """
    return [_read_file(_find(folder, stem, how), _dimensions(stem)) for stem in _STEMS]


def _dimensions(stem: str) -> int:
    return 3 if "images" in stem else 1


def _find(folder: Path, stem: str, how: str) -> Path:
    for dash in ("-", "."):
        for suffix in ("", ".gz"):
            path = folder / f"{stem}{dash}idx{_dimensions(stem)}-ubyte{suffix}"
            if path.is_file():
                return path
    raise DataError(f"{folder} has no {stem}-idx{_dimensions(stem)}-ubyte or .gz; {how}")


def _read_file(path: Path, dimensions: int) -> NDArray[np.uint8]:
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    header = 4 + 4 * dimensions
    # Two zero bytes, then 8 for unsigned bytes, then the number of dimensions.
    if len(content) < header or content[:4] != bytes((0, 0, 8, dimensions)):
        raise DataError(f"{path} is not an IDX file of unsigned bytes with {dimensions} dimension(s)")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4))
    if len(content) - header != math.prod(shape):
        raise DataError(f"{path} should hold {math.prod(shape)} bytes after its header, not "
                        f"{len(content) - header}; copy it again")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)

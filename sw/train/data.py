"""Image data sets in the IDX format of MNIST, or in one NumPy archive."""

import gzip
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sw.errors import DataError

__all__ = ["SOURCES", "Dataset", "Source", "load"]


@dataclass(frozen=True)
class Source:
    """Where a named data set is looked for when no folder is given, and how to get it."""

    folder: Path
    how: str


SOURCES: Mapping[str, Source] = MappingProxyType({
    "fashion-mnist": Source(
        Path("/usr/share/datasets/fashion-mnist"),
        "install the Debian package dataset-fashion-mnist, or put the four IDX files of "
        "github.com/zalandoresearch/fashion-mnist into a folder and name it with --data-dir",
    ),
    "mnist": Source(
        Path("/usr/share/datasets/mnist"),
        "put the four IDX files of MNIST (train-images-idx3-ubyte.gz and so on) into a folder and name it "
        "with --data-dir",
    ),
})

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_IDX_STEMS = ("train-images", "train-labels", "t10k-images", "t10k-labels")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images ``uint8 (N, 1, H, W)`` and labels ``int64 (N,)``, for training and for test."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @property
    def classes(self) -> int:
        """One more than the highest training label."""
        return int(self.train_labels.max()) + 1


def load(name: str, location: Path | str | None = None) -> Dataset:
    """The data set ``name`` from ``location``: a folder of IDX files (plain or ``.gz``), or an ``.npz`` file.

    The archive holds ``x_train``, ``y_train``, ``x_test``, ``y_test``, images ``uint8 (N, H, W)``. Without a
    location it is looked for where ``SOURCES`` says. Raises ``DataError`` when it is unknown, missing or
    malformed.
    """
    if name not in SOURCES:
        raise DataError(f"unknown data set: {name!r}. There are: {', '.join(SOURCES)}")
    path = Path(location) if location is not None else SOURCES[name].folder
    if not path.exists():
        raise DataError(f"{name} is not at {path}; {SOURCES[name].how}")
    if path.is_dir():
        arrays = [_read_idx(_find(path, stem, name), 3 if "images" in stem else 1) for stem in _IDX_STEMS]
    else:
        arrays = _read_npz(path)
    for images, labels in (arrays[:2], arrays[2:]):
        _check(path, images, labels)
    if arrays[0].shape[1:] != arrays[2].shape[1:] or arrays[3].max() > arrays[1].max():
        raise DataError(f"{path}: training and test images differ in size or classes")
    return Dataset(*(
        torch.from_numpy(array[:, None].copy() if array.ndim == 3 else array.astype(np.int64))
        for array in arrays
    ))


def _find(folder: Path, stem: str, name: str) -> Path:
    dimensions = 3 if "images" in stem else 1
    for dash in ("-", "."):
        for suffix in ("", ".gz"):
            path = folder / f"{stem}{dash}idx{dimensions}-ubyte{suffix}"
            if path.is_file():
                return path
    raise DataError(f"{folder} has no {stem}-idx{dimensions}-ubyte or .gz; {SOURCES[name].how}")


def _read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
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
    if len(content) - header != int(np.prod(shape)):
        raise DataError(f"{path} should hold {int(np.prod(shape))} bytes after its header, not "
                        f"{len(content) - header}; copy it again")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _read_npz(path: Path) -> list[NDArray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            missing = [key for key in _ARRAYS if key not in archive]
            arrays = [] if missing else [archive[key] for key in _ARRAYS]
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error):
        raise DataError(f"{path} is not a whole .npz archive of arrays") from None
    if missing:
        raise DataError(f"{path} has no {', '.join(missing)}; it must hold {', '.join(_ARRAYS)}")
    return arrays


def _check(path: Path, images: NDArray, labels: NDArray) -> None:
    if images.ndim != 3 or images.dtype != np.uint8 or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{path}: images must be uint8 (N, H, W) and labels integers (N,), not "
                        f"{images.dtype} {images.shape} and {labels.dtype} {labels.shape}")
    if not len(images) or len(images) != len(labels) or labels.min() < 0:
        raise DataError(f"{path}: there must be one label of at least 0 for each image, not {len(labels)} "
                        f"for {len(images)}")

"""CIFAR-10 in each form it comes in.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009: 50,000 and 10,000 colour images of
32 x 32 pixels in ten classes.
"""

import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.errors import DataError
from sw.train.data import archive, jpeg
from sw.train.data.dataset import Dataset, from_arrays
from sw.train.data.unpickle import read_table

__all__ = ["CLASS_NAMES", "read"]

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

SHAPE = (3, 32, 32)

_FOLDER = "cifar-10-batches-py"
_TAR = "cifar-10-python.tar.gz"
_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_JPEGS = ("cifar10_train_jpeg.npz", "cifar10_test_jpeg.npz")


def read(path: Path, how: str) -> Dataset:
    """Images ``(N, 3, 32, 32)`` in the ten classes of ``CLASS_NAMES``.

    ``path`` is the official archive ``cifar-10-python.tar.gz``; an ``.npz`` file of ``x_train`` and so on,
    ``(N, 32, 32, 3)``; or a folder that holds the official batches, that archive, or the pair
    ``cifar10_train_jpeg.npz`` and ``cifar10_test_jpeg.npz`` of ``sw.train.data.jpeg``. ``how`` says how to get
    it and ends the message when something is missing. Raises ``DataError`` for that and for damaged files; the
    pickles of the official version are read without running anything in them.
    """
    arrays = _read_folder(path, how) if path.is_dir() else _read_file(path, how)
    dataset = from_arrays(path, arrays, CLASS_NAMES)
    if tuple(dataset.train_images.shape[1:]) != SHAPE:
        raise DataError(f"{path}: the images of CIFAR-10 have {SHAPE} channels, rows and columns, not "
                        f"{tuple(dataset.train_images.shape[1:])}")
    if dataset.classes > len(CLASS_NAMES):
        raise DataError(f"{path}: the labels of CIFAR-10 are 0 to {len(CLASS_NAMES) - 1}, not {dataset.classes - 1}")
    return dataset


def _read_folder(path: Path, how: str) -> list[NDArray[Any]]:
    folder = path / _FOLDER if (path / _FOLDER).is_dir() else path
    batches = [name for name in _BATCHES if (folder / name).is_file()]
    if batches:
        return _read_batches(folder, {name: _read_bytes(folder / name) for name in batches}, how)
    if (path / _TAR).is_file():
        return _read_tar(path / _TAR, how)
    if any((path / name).is_file() for name in _JPEGS):
        for name in _JPEGS:
            if not (path / name).is_file():
                raise DataError(f"{path} has no {name}; {how}")
        return [array for name in _JPEGS for array in jpeg.read(path / name)]
    raise DataError(f"{path} has neither {_BATCHES[0]} nor {_TAR} nor {_JPEGS[0]}; {how}")


def _read_file(path: Path, how: str) -> list[NDArray[Any]]:
    return archive.read(path, SHAPE[0]) if path.suffix == ".npz" else _read_tar(path, how)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _read_tar(path: Path, how: str) -> list[NDArray[Any]]:
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                name = member.name.rsplit("/", 1)[-1]
                file = tar.extractfile(member) if name in _BATCHES and member.isfile() else None
                if file is not None:
                    contents[name] = file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path} is not a whole .tar.gz archive ({error}); copy it again") from None
    return _read_batches(path, contents, how)


def _read_batches(where: Path, contents: Mapping[str, bytes], how: str) -> list[NDArray[Any]]:
    missing = [name for name in _BATCHES if name not in contents]
    if missing:
        raise DataError(f"{where} has no {', '.join(missing)}; {how}")
    batches = [_read_batch(contents[name], f"{where}: {name}") for name in _BATCHES]
    return [np.concatenate([images for images, _ in batches[:-1]]),
            np.concatenate([labels for _, labels in batches[:-1]]), *batches[-1]]


def _read_batch(content: bytes, where: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    table = read_table(content, where)
    images, labels = table.get("data"), table.get("labels")
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != np.prod(SHAPE):
        found = images.shape if isinstance(images, np.ndarray) else type(images).__name__
        raise DataError(f"{where}: data must be an array (N, {np.prod(SHAPE)}), not {found}")
    if (not isinstance(labels, list) or len(labels) != len(images)
            or not all(isinstance(label, int) and 0 <= label < len(CLASS_NAMES) for label in labels)):
        raise DataError(f"{where}: labels must be a list of {len(images)} numbers from 0 to {len(CLASS_NAMES) - 1}")
    return images.reshape(-1, *SHAPE), np.array(labels, np.int64)

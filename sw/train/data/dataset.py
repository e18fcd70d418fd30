"""What every reader of images gives: a checked set for training and one for test."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sw.errors import DataError

__all__ = ["MOST_CLASSES", "Dataset", "dealt", "from_arrays", "subset"]

#: Labels are below it.
MOST_CLASSES = 1 << 16


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images ``uint8 (N, C, H, W)`` and labels ``int64 (N,)``, for training and for test.

    ``class_names[label]`` is a class in words; it is empty where the names are not known.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    class_names: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """One more than the highest training label."""
        return int(self.train_labels.max()) + 1

    def sha256(self) -> str:
        """Of all images and labels, with their shapes, in hexadecimal."""
        digest = hashlib.sha256()
        for tensor in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(f"{tuple(tensor.shape)}".encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


def from_arrays(where: Path, arrays: Sequence[NDArray[Any]], class_names: tuple[str, ...] = ()) -> Dataset:
    """A data set of training images, training labels, test images and test labels that were read from ``where``.

    Images are ``uint8 (N, C, H, W)`` or ``(N, H, W)``, labels integers ``(N,)`` below ``MOST_CLASSES``. Names
    that are fewer than the classes belong to other data and are left out. Raises ``DataError`` for anything
    else, for sets without images, and for test images of another size or class than those of training.
    """
    for images, labels in (arrays[:2], arrays[2:]):
        if images.ndim not in (3, 4) or images.dtype != np.uint8 or labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise DataError(f"{where}: images must be uint8 (N, H, W) or (N, C, H, W) and labels integers (N,), not "
                            f"{images.dtype} {images.shape} and {labels.dtype} {labels.shape}")
        if not images.size or len(images) != len(labels):
            raise DataError(f"{where}: there must be one label for each image, not {len(labels)} for {len(images)}")
        if labels.min() < 0 or labels.max() >= MOST_CLASSES:
            raise DataError(f"{where}: labels must be from 0 to {MOST_CLASSES - 1}, not from {labels.min()} to "
                            f"{labels.max()}")
    x_train, y_train, x_test, y_test = arrays
    if x_train.shape[1:] != x_test.shape[1:] or y_test.max() > y_train.max():
        raise DataError(f"{where}: training and test images differ in size or classes")
    dataset = Dataset(_images(x_train), _labels(y_train), _images(x_test), _labels(y_test))
    return replace(dataset, class_names=class_names if dataset.classes <= len(class_names) else ())


def _images(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(array[:, None] if array.ndim == 3 else array, order="C"))


def _labels(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))


def dealt(labels: NDArray[Any]) -> NDArray[np.int64]:
    """The order that takes one image of each class in turn: the first of each class, then the second, and so on.

    ``labels`` are ``int64 (N,)`` from 0 and below ``MOST_CLASSES``; gives a permutation ``int64 (N,)``.
    Classes that run out are left out of later turns, so any first part of the order is as balanced as can be.
    """
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    turn = np.empty(len(labels), np.int64)
    turn[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.lexsort((labels, turn))


def subset(dataset: Dataset, count: int, seed: int | None = None) -> Dataset:
    """``dataset`` with ``count`` of its training images and all of its test images, for small comparisons.

    The images are spread over the classes as evenly as there are enough of each: numbers differ by one at
    most, more of the lower labels. They are the first of each class, or with a ``seed`` random ones, in the
    order of ``dealt``. Raises ``DataError`` for a count that is not from 1 to the number of training images.
    """
    images = len(dataset.train_images)
    if not 1 <= count <= images:
        raise DataError(f"a subset must have from 1 to {images} training images, not {count}")
    order = torch.arange(images)
    if seed is not None:
        order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    chosen = order[torch.from_numpy(dealt(dataset.train_labels[order].numpy())[:count])]
    return replace(dataset, train_images=dataset.train_images[chosen], train_labels=dataset.train_labels[chosen])

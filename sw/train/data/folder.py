"""A folder of image files, sorted into a folder for each class."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sw.errors import DataError
from sw.train.data.dataset import Dataset, dealt, from_arrays
from sw.train.data.decode import FORMATS, is_grey, open_image, pixels

__all__ = ["LARGEST", "read"]

#: The longest side that ``image_size`` may ask for, in pixels.
LARGEST = 4096

_SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)


def read(path: Path, how: str, image_size: int | tuple[int, int] | None = None) -> Dataset:
    """The images below ``path``, with the names of their folders as class names.

    ``path`` holds ``train/CLASS/*`` and ``test/CLASS/*`` (``val`` where there is no ``test``), images of the
    formats of ``sw.train.data.decode``; other files are left out. Classes are numbered in the order of their
    names; images are in the order of theirs, one of each class in turn. They are grey, C = 1, if all files
    are, else C = 3.

    Without ``image_size`` all images must be of one size. With it, the side of a square or height and width,
    each is cut to that aspect ratio around its centre and resampled (bilinear, over all pixels that it
    covers). ``how`` says how to arrange them and ends the message when a folder is missing. Raises ``DataError``
    for that, an image size that is not from 1 to ``LARGEST``, classes that training and test do not share or
    that have no image, damaged files, and mixed sizes.
    """
    size = _checked_size(image_size)
    train = path / "train"
    test = path / "test" if (path / "test").is_dir() else path / "val"
    for folder, wanted in ((train, "train"), (test, "test or val")):
        if not folder.is_dir():
            raise DataError(f"{path} has no folder {wanted}; {how}")
    names = _classes(train)
    if not names:
        raise DataError(f"{train} has no folder of a class; {how}")
    for ours, theirs in ((train, test), (test, train)):
        lacking = [name for name in _classes(ours) if not (theirs / name).is_dir()]
        if lacking:
            more = f" (and {len(lacking) - 1} more)" if len(lacking) > 1 else ""
            raise DataError(f"{theirs} has no folder {lacking[0]}{more}, which {ours} has; each class needs images in "
                            "both")
    sets = [_files(folder, names) for folder in (train, test)]
    shape = _common_shape([file for files, _ in sets for file in files], size)
    return from_arrays(path, [array for files, labels in sets for array in (_read_all(files, shape), labels)], names)


def _checked_size(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if image_size is None:
        return None
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if not (1 <= height <= LARGEST and 1 <= width <= LARGEST):
        raise DataError(f"--image-size must be from 1 to {LARGEST}, not {image_size}")
    return height, width


def _classes(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(each.name for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")))


def _files(folder: Path, names: tuple[str, ...]) -> tuple[list[Path], NDArray[np.int64]]:
    """The image files of all classes, one of each in turn, and their labels."""
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = sorted(file for file in (folder / name).iterdir()
                       if file.suffix.lower() in _SUFFIXES and not file.name.startswith("."))
        if not found:
            raise DataError(f"{folder / name} has no image ({', '.join(_SUFFIXES)})")
        files += found
        labels += [label] * len(found)
    order = dealt(np.array(labels))
    return [files[place] for place in order], np.array(labels, np.int64)[order]


def _common_shape(files: list[Path], size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Channels, height and width of the arrays: all files have that size, or are brought to it if it is given."""
    channels = 1
    first: tuple[int, int] | None = None
    for file in files:
        image = open_image(file, str(file), decode=False)
        found = image.height, image.width
        first = first or found
        if size is None and found != first:
            raise DataError(f"{file} has {found[0]} x {found[1]} pixels and {files[0]} {first[0]} x {first[1]}; give "
                            "--image-size to bring all to one size")
        channels = channels if is_grey(image) else 3
    assert first is not None
    return channels, *(size or first)


def _read_all(files: list[Path], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    images = np.empty((len(files), *shape), np.uint8)
    for place, file in enumerate(files):
        images[place] = pixels(open_image(file, str(file)), shape[0], size=shape[1:])
    return images

"""Image data sets by name, from the files that they are spread as."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sw.errors import DataError
from sw.names import nearest
from sw.train.data import archive, cifar, folder, idx
from sw.train.data.dataset import Dataset, from_arrays, subset

__all__ = ["SOURCES", "Dataset", "Source", "load", "subset"]


@dataclass(frozen=True)
class Source:
    """Where a named data set is looked for when no place is given (``None``: nowhere), and how to get it."""

    folder: Path | None
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
    "cifar10": Source(
        Path("/usr/share/datasets/cifar10"),
        "get the Python version, cifar-10-python.tar.gz, from www.cs.toronto.edu/~kriz/cifar.html and name it, or "
        "the folder it unpacks to, with --data-dir",
    ),
    "folder": Source(
        None,
        "put images into train/CLASS/ and test/CLASS/ (or val/CLASS/) of a folder and name it with --data-dir",
    ),
})

#: By label; left out where files of one of these formats hold more classes, such as the letters of EMNIST.
_CLASS_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "fashion-mnist": ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
                      "ankle boot"),
    "mnist": tuple("0123456789"),
})


def load(name: str, location: Path | str | None = None, image_size: int | tuple[int, int] | None = None) -> Dataset:
    """The data set ``name`` from ``location``, or from where ``SOURCES`` says it usually is.

    ``fashion-mnist`` and ``mnist`` are a folder of IDX files (``sw.train.data.idx``) or an ``.npz`` file of
    ``x_train``, ``y_train``, ``x_test``, ``y_test`` (``sw.train.data.archive``); ``cifar10`` is any of the forms
    of ``sw.train.data.cifar``; ``folder`` is a folder of image files (``sw.train.data.folder``), the only one
    that takes ``image_size``. Raises ``DataError`` when the name is unknown, or the data missing or malformed.
    """
    source = SOURCES[nearest("data set", name, tuple(SOURCES), DataError)]
    path = Path(location) if location is not None else source.folder
    if path is None:
        raise DataError(f"{name} is not looked for anywhere; {source.how}")
    if not path.exists():
        raise DataError(f"{name} is not at {path}; {source.how}")
    if name == "folder":
        return folder.read(path, source.how, image_size)
    if image_size is not None:
        raise DataError(f"--image-size is for the data set folder; the images of {name} have their own size")
    if name == "cifar10":
        return cifar.read(path, source.how)
    arrays = idx.read(path, source.how) if path.is_dir() else archive.read(path, 1)
    return from_arrays(path, arrays, _CLASS_NAMES[name])

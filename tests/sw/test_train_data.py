"""``sw.train.data``: IDX files and archives, whole and damaged."""

import gzip
import re
import struct

import numpy as np
import pytest
import torch

from sw.errors import DataError
from sw.train import data

RNG = np.random.default_rng(8)
ARRAYS = {
    "x_train": RNG.integers(0, 256, (6, 5, 4), dtype=np.uint8),
    "y_train": np.array([0, 1, 2, 0, 1, 2], np.uint8),
    "x_test": RNG.integers(0, 256, (3, 5, 4), dtype=np.uint8),
    "y_test": np.array([2, 0, 1], np.uint8),
}
STEMS = {"x_train": "train-images{}idx3-ubyte", "y_train": "train-labels{}idx1-ubyte",
         "x_test": "t10k-images{}idx3-ubyte", "y_test": "t10k-labels{}idx1-ubyte"}


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, dash="-", compressed=True):
    for key, stem in STEMS.items():
        content = idx(ARRAYS[key])
        name = stem.format(dash) + (".gz" if compressed else "")
        (folder / name).write_bytes(gzip.compress(content) if compressed else content)


def check(dataset):
    for key, found in (("x_train", dataset.train_images), ("x_test", dataset.test_images)):
        assert found.dtype == torch.uint8
        assert np.array_equal(found.numpy(), ARRAYS[key][:, None])
    for key, found in (("y_train", dataset.train_labels), ("y_test", dataset.test_labels)):
        assert found.dtype == torch.int64
        assert found.tolist() == ARRAYS[key].tolist()
    assert dataset.classes == 3


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dash", ["-", "."])
@pytest.mark.parametrize("name", data.SOURCES)
def test_idx_folder(tmp_path, name, dash, compressed):
    write_idx(tmp_path, dash, compressed)
    check(data.load(name, tmp_path))


def test_archive(tmp_path):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, **ARRAYS)
    check(data.load("fashion-mnist", path))
    check(data.load("mnist", str(path)))


def test_default_folder(tmp_path, monkeypatch):
    write_idx(tmp_path)
    monkeypatch.setattr(data, "SOURCES", {"mnist": data.Source(tmp_path, "get it")})
    check(data.load("mnist"))


@pytest.mark.parametrize("name, place, expected", [
    ("cifar", "", "unknown data set: 'cifar'. There are: fashion-mnist, mnist"),
    ("fashion-mnist", "nowhere", "install the Debian package dataset-fashion-mnist, or put the four IDX"),
    ("mnist", "nowhere", "nowhere; put the four IDX files of MNIST"),
    ("mnist", "", "has no train-images-idx3-ubyte or .gz; put the four IDX files"),
])
def test_missing(tmp_path, name, place, expected):
    with pytest.raises(DataError) as caught:
        data.load(name, tmp_path / place)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("key, damage, expected", [
    ("x_train", lambda content: content[:-1], "should hold 120 bytes after its header, not 119; copy it"),
    ("y_test", lambda content: content + b"\0", "should hold 3 bytes after its header, not 4"),
    ("x_test", lambda content: content[:10], "is not an IDX file of unsigned bytes with 3 dimension(s)"),
    ("y_train", lambda content: b"PK\3\4" + content[4:], "is not an IDX file of unsigned bytes with 1"),
    ("y_train", lambda content: idx(ARRAYS["y_train"][:5]), "one label of at least 0 for each image, not 5"),
    ("x_test", lambda content: idx(ARRAYS["x_test"][:, :4]), "training and test images differ in size"),
    ("y_test", lambda content: idx(np.array([0, 1, 3], np.uint8)), "differ in size or classes"),
])
def test_damaged_idx(tmp_path, key, damage, expected):
    write_idx(tmp_path, compressed=False)
    (tmp_path / STEMS[key].format("-")).write_bytes(damage(idx(ARRAYS[key])))
    with pytest.raises(DataError, match=re.escape(expected)):
        data.load("mnist", tmp_path)


@pytest.mark.parametrize("damage", [lambda content: content[:-20], lambda content: b"not gzip",
                                    lambda content: content[:20] + b"\xff\xff\xff" + content[23:]])
def test_damaged_gzip(tmp_path, damage):
    write_idx(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=re.escape(f"{path} cannot be read: ")):
        data.load("mnist", tmp_path)


@pytest.mark.parametrize("change, expected", [
    ({"y_test": None}, "has no y_test; it must hold x_train, y_train, x_test, y_test"),
    ({"x_train": ARRAYS["x_train"] / 255}, "images must be uint8 (N, H, W) and labels integers (N,), not"),
    ({"x_test": ARRAYS["x_test"][0]}, "images must be uint8 (N, H, W)"),
    ({"y_train": np.eye(6, 3)}, "labels integers (N,)"),
    ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, "one label of at least 0"),
    ({"x_train": ARRAYS["x_train"][:0], "y_train": ARRAYS["y_train"][:0]}, "not 0 for 0"),
])
def test_malformed_archive(tmp_path, change, expected):
    path = tmp_path / "set.npz"
    np.savez(path, **{key: value for key, value in {**ARRAYS, **change}.items() if value is not None})
    with pytest.raises(DataError, match=re.escape(expected)):
        data.load("mnist", path)


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_truncated_archive(tmp_path, keep):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, **ARRAYS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=re.escape(f"{path} is not a whole .npz archive of arrays")):
        data.load("mnist", path)


def test_pickled_archive_is_refused(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, **{**ARRAYS, "y_test": np.array([{}, 1, 2], dtype=object)})
    with pytest.raises(DataError, match="is not a whole .npz archive of arrays"):
        data.load("mnist", path)

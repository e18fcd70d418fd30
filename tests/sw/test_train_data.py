"""``sw.train.data``: names, IDX files and archives, whole and damaged, and subsets."""

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from sw.errors import DataError
from sw.train import data

SHARED = Path(__file__).parents[3] / "shared" / "data"
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
@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
def test_idx_folder(tmp_path, name, dash, compressed):
    write_idx(tmp_path, dash, compressed)
    check(data.load(name, tmp_path))


def test_archive(tmp_path):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, **ARRAYS)
    check(data.load("fashion-mnist", path))
    check(data.load("mnist", str(path)))


def test_one_channel_may_be_an_axis(tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, **{key: array[..., None] if array.ndim == 3 else array for key, array in ARRAYS.items()})
    check(data.load("mnist", path))


def test_default_folder(tmp_path, monkeypatch):
    write_idx(tmp_path)
    monkeypatch.setattr(data, "SOURCES", {"mnist": data.Source(tmp_path, "get it")})
    check(data.load("mnist"))


@pytest.mark.parametrize("name, place, expected", [
    ("cifar", "", "unknown data set: 'cifar'; did you mean 'cifar10'? There are: fashion-mnist, mnist, cifar10, f"),
    ("x", "", "unknown data set: 'x'. There are: fashion-mnist, mnist, cifar10, folder"),
    ("fashion-mnist", "nowhere", "install the Debian package dataset-fashion-mnist, or put the four IDX"),
    ("mnist", "nowhere", "nowhere; put the four IDX files of MNIST"),
    ("mnist", "", "has no train-images-idx3-ubyte or .gz; put the four IDX files"),
    ("cifar10", "nowhere", "nowhere; get the Python version, cifar-10-python.tar.gz, from www.cs.toronto.edu/~kriz/"),
    ("cifar10", "", "has neither data_batch_1 nor cifar-10-python.tar.gz nor cifar10_train_jpeg.npz; get the Python"),
    ("folder", "nowhere", "nowhere; put images into train/CLASS/ and test/CLASS/ (or val/CLASS/)"),
    ("folder", "", "has no folder train; put images into train/CLASS/"),
])
def test_missing(tmp_path, name, place, expected):
    with pytest.raises(DataError) as caught:
        data.load(name, tmp_path / place)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_folder_has_no_usual_place():
    with pytest.raises(DataError, match="^folder is not looked for anywhere; put images into train/CLASS/"):
        data.load("folder")


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist", "cifar10"])
def test_image_size_is_for_folders(tmp_path, name):
    with pytest.raises(DataError, match=f"--image-size is for the data set folder; the images of {name} have"):
        data.load(name, tmp_path, 32)


def test_class_names(tmp_path):
    write_idx(tmp_path)
    assert data.load("mnist", tmp_path).class_names == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert data.load("fashion-mnist", tmp_path).class_names[6:] == ("shirt", "sneaker", "bag", "ankle boot")
    # Letters in the files of MNIST are not digits.
    path = tmp_path / "letters.npz"
    np.savez(path, **{**ARRAYS, "y_train": np.array([0, 1, 2, 0, 1, 10])})
    assert data.load("mnist", path).class_names == ()


@pytest.mark.parametrize("key, damage, expected", [
    ("x_train", lambda content: content[:-1], "should hold 120 bytes after its header, not 119; copy it"),
    ("y_test", lambda content: content + b"\0", "should hold 3 bytes after its header, not 4"),
    ("x_test", lambda content: content[:10], "is not an IDX file of unsigned bytes with 3 dimension(s)"),
    ("y_train", lambda content: b"PK\3\4" + content[4:], "is not an IDX file of unsigned bytes with 1"),
    ("y_train", lambda content: idx(ARRAYS["y_train"][:5]), "there must be one label for each image, not 5 for 6"),
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
    ({"x_train": ARRAYS["x_train"] / 255}, "x_train must be uint8 (N, H, W), not float64 (6, 5, 4)"),
    ({"x_train": np.zeros((6, 5, 4, 3), np.uint8)}, "x_train must be uint8 (N, H, W), not uint8 (6, 5, 4, 3)"),
    ({"x_test": ARRAYS["x_test"][0]}, "x_test must be uint8 (N, H, W), not uint8 (5, 4)"),
    ({"y_train": np.eye(6, 3)}, "labels integers (N,)"),
    ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, "labels must be from 0 to 65535, not from -1 to 2"),
    ({"y_test": np.array([0, 1, 1 << 63], np.uint64)}, "not from 0 to 9223372036854775808"),
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


def numbered(labels):
    """A data set whose image ``i`` has the one pixel ``i``."""
    images = torch.arange(len(labels), dtype=torch.uint8).reshape(-1, 1, 1, 1)
    return data.Dataset(images, torch.tensor(labels), images[:2], torch.tensor([0, 1]), ("a", "b", "c"))


@pytest.mark.parametrize("count, expected", [
    (1, [1]), (3, [1, 2, 0]), (4, [1, 2, 0, 4]), (6, [1, 2, 0, 4, 5, 3]), (7, [1, 2, 0, 4, 5, 3, 7]),
    (8, [1, 2, 0, 4, 5, 3, 7, 6]),
])
def test_subset_takes_the_first_of_each_class(count, expected):
    labels = [2, 0, 1, 2, 0, 1, 2, 0]
    dataset = numbered(labels)
    found = data.subset(dataset, count)
    assert found.train_images.flatten().tolist() == expected
    assert found.train_labels.tolist() == [labels[place] for place in expected]
    assert found.test_images is dataset.test_images and found.class_names == ("a", "b", "c")


def test_random_subset():
    labels = [0] * 20 + [1] * 20 + [2] * 3
    dataset = numbered(labels)
    found = [data.subset(dataset, 13, seed).train_images.flatten().tolist() for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2] and set(found[0]) != set(found[2])
    for places in found:
        # Three images are all there are of the last class.
        assert sorted(labels[place] for place in places) == [0] * 5 + [1] * 5 + [2] * 3
        assert len(set(places)) == 13
    drawn = [place for seed in range(200) for place in data.subset(dataset, 2, seed).train_images.flatten().tolist()]
    assert set(drawn) == set(range(40)) and max(drawn.count(place) for place in range(40)) < 30


@pytest.mark.parametrize("count", [-1, 0, 4])
def test_subset_of_a_wrong_size(count):
    with pytest.raises(DataError, match=f"a subset must have from 1 to 3 training images, not {count}"):
        data.subset(numbered([0, 1, 2]), count)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real data sets beside the project is absent")
@pytest.mark.parametrize("name, file, labels", [
    ("fashion-mnist", "fashion_mnist.npz", [9, 0, 0, 3]), ("mnist", "mnist.npz", [5, 0, 4, 1]),
])
def test_real_data(name, file, labels):
    dataset = data.load(name, SHARED / file)
    assert dataset.train_images.shape == (60_000, 1, 28, 28) and dataset.test_images.shape == (10_000, 1, 28, 28)
    # The first labels of the published files.
    assert dataset.train_labels[:4].tolist() == labels
    assert dataset.test_labels.bincount().numel() == dataset.classes == len(dataset.class_names) == 10

"""``sw.train.data.cifar``: pickled batches as Python 2 wrote them, archives and JPEG, whole and damaged."""

import io
import os
import pickle
import re
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sw.errors import DataError
from sw.train import data
from sw.train.data import unpickle

SHARED = Path(__file__).parents[3] / "shared" / "data"
RNG = np.random.default_rng(11)
NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
BATCHES = {name: (RNG.integers(0, 256, (3, 3, 32, 32), dtype=np.uint8), [int(label) for label in RNG.integers(0, 9, 3)])
           for name in NAMES}
BATCHES["data_batch_2"][1][1] = 9


def python2(array, labels, *, label_key=b"labels"):
    """The bytes that Python 2 and NumPy 1 write for a batch, protocol 2, put together opcode by opcode."""
    def text(content):
        return b"T" + struct.pack("<i", len(content)) + content  # BINSTRING

    def number(value):
        return b"J" + struct.pack("<i", value)  # BININT

    shape = b"(" + b"".join(map(number, array.shape)) + b"t"
    dtype = (b"cnumpy\ndtype\n" + b"(" + text(array.dtype.str[1:].encode()) + number(0) + number(1) + b"tR"
             + b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb")
    empty = (b"cnumpy.core.multiarray\n_reconstruct\n" + b"(" + b"cnumpy\nndarray\n" + b"(" + number(0) + b"t"
             + text(b"b") + b"tR")
    pickled = empty + b"(" + number(1) + shape + dtype + b"\x89" + text(array.tobytes()) + b"tb"
    return (b"\x80\x02}(" + text(b"batch_label") + text(b"a batch") + text(label_key) + b"](" +
            b"".join(map(number, labels)) + b"e" + text(b"data") + pickled + b"u.")


CONTENTS = {name: python2(images.reshape(3, -1), labels) for name, (images, labels) in BATCHES.items()}


def write_folder(folder, contents=CONTENTS):
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "readme.html").write_text("not a batch")
    return folder


def write_tar(path, contents=CONTENTS):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in {**contents, "readme.html": b"not a batch"}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def check(dataset):
    train = [BATCHES[name] for name in NAMES[:5]]
    assert dataset.train_images.dtype == dataset.test_images.dtype == torch.uint8
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == torch.int64
    assert np.array_equal(dataset.train_images.numpy(), np.concatenate([images for images, _ in train]))
    assert dataset.train_labels.tolist() == [label for _, labels in train for label in labels]
    assert np.array_equal(dataset.test_images.numpy(), BATCHES["test_batch"][0])
    assert dataset.test_labels.tolist() == BATCHES["test_batch"][1]
    assert dataset.class_names[0] == "airplane" and dataset.class_names[9] == "truck" and dataset.classes == 10


def test_folder_of_batches(tmp_path):
    check(data.load("cifar10", write_folder(tmp_path)))


def test_folder_that_the_archive_unpacks_to(tmp_path):
    write_folder(tmp_path / "cifar-10-batches-py")
    check(data.load("cifar10", tmp_path))


def test_official_archive(tmp_path):
    check(data.load("cifar10", write_tar(tmp_path / "cifar-10-python.tar.gz")))
    check(data.load("cifar10", tmp_path))


@pytest.mark.parametrize("protocol", [3, 4])
def test_batches_that_python_3_wrote(tmp_path, protocol):
    write_folder(tmp_path, {
        name: pickle.dumps({"data": images.reshape(3, -1), "labels": labels}, protocol)
        for name, (images, labels) in BATCHES.items()
    })
    check(data.load("cifar10", tmp_path))


def test_column_order(tmp_path):
    images, labels = BATCHES["data_batch_1"]
    content = pickle.dumps({"data": np.asfortranarray(images.reshape(3, -1)), "labels": labels}, 4)
    check(data.load("cifar10", write_folder(tmp_path, {**CONTENTS, "data_batch_1": content})))


def test_npz(tmp_path):
    path = tmp_path / "cifar10.npz"
    train = [BATCHES[name] for name in NAMES[:5]]
    arrays = {"x_train": np.concatenate([images for images, _ in train]).transpose(0, 2, 3, 1),
              "y_train": np.concatenate([labels for _, labels in train]),
              "x_test": BATCHES["test_batch"][0].transpose(0, 2, 3, 1), "y_test": np.array(BATCHES["test_batch"][1])}
    np.savez(path, **arrays)
    check(data.load("cifar10", path))
    for key, array, expected in (
        ("x_train", arrays["x_train"].transpose(0, 3, 1, 2), "x_train must be uint8 (N, H, W, 3), not uint8 (15, 3, 3"),
        ("x_test", arrays["x_test"][:, 1:], "training and test images differ in size"),
        ("y_train", np.full(15, 10), "the labels of CIFAR-10 are 0 to 9, not 10"),
        ("y_train", np.array(["cat"] * 15), "labels integers (N,)"),
    ):
        np.savez(path, **{**arrays, key: array})
        with pytest.raises(DataError, match=re.escape(expected)):
            data.load("cifar10", path)
    np.savez(path, **{key: array[:, 4:] if array.ndim == 4 else array for key, array in arrays.items()})
    with pytest.raises(DataError, match=re.escape("the images of CIFAR-10 have (3, 32, 32) channels, rows and columns, "
                                                  "not (3, 28, 32)")):
        data.load("cifar10", path)


@pytest.mark.parametrize("where", ["folder", "tar"])
def test_missing_batches(tmp_path, where):
    contents = {name: content for name, content in CONTENTS.items() if name not in ("data_batch_3", "test_batch")}
    path = write_folder(tmp_path, contents) if where == "folder" else write_tar(tmp_path / "set.tar.gz", contents)
    with pytest.raises(DataError, match="has no data_batch_3, test_batch; get the Python version"):
        data.load("cifar10", path)


@pytest.mark.parametrize("content, expected", [
    (b"", "is not a whole pickle"),
    (b"not a pickle", "is not a whole pickle"),
    (CONTENTS["data_batch_4"][:-1], "is not a whole pickle"),
    (CONTENTS["data_batch_4"][:5000], "is not a whole pickle"),
    (pickle.dumps([1, 2]), "must be a pickled dictionary, not list"),
    (pickle.dumps({"labels": [1]}), "data must be an array (N, 3072), not NoneType"),
    (python2(np.zeros((2, 3071), np.uint8), [0, 1]), "data must be an array (N, 3072), not (2, 3071)"),
    (python2(np.zeros(3072, np.uint8), [0]), "data must be an array (N, 3072), not (3072,)"),
    (python2(np.zeros((2, 3072), np.uint8), [0]), "labels must be a list of 2 numbers from 0 to 9"),
    (python2(np.zeros((2, 3072), np.uint8), [0, 10]), "labels must be a list of 2 numbers from 0 to 9"),
    (python2(np.zeros((2, 3072), np.uint8), [0, -1]), "labels must be a list of 2 numbers from 0 to 9"),
    (python2(np.zeros((2, 3072), np.uint8), [0, 1], label_key=b"fine_labels"), "labels must be a list of 2"),
    (python2(np.zeros((2, 3072), np.float32), [0, 1]), "is refused: it holds an array that is not whole or not of"),
    (python2(np.zeros((2, 3072), np.uint8), [0, 1]).replace(struct.pack("<i", 2) + b"J", struct.pack("<i", 3) + b"J"),
     "is refused: it holds an array that is not whole"),
])
def test_damaged_batch(tmp_path, content, expected):
    path = write_folder(tmp_path, {**CONTENTS, "data_batch_4": content})
    with pytest.raises(DataError, match=re.escape(f"{path}: data_batch_4") + ".*" + re.escape(expected)):
        data.load("cifar10", path)


class Runs:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_malicious_pickle_is_refused_and_not_run(tmp_path, protocol):
    made = tmp_path / "made"
    for attack in (Runs(os.mkdir, str(made)), Runs(eval, f"__import__('os').mkdir({str(made)!r})")):
        pickle.loads(pickle.dumps(attack, protocol))
        made.rmdir()  # so the attack works, on those who unpickle it
        content = pickle.dumps({"data": attack, "labels": [1]}, protocol)
        with pytest.raises(DataError, match="data_batch_1 is refused: it names [a-z_0-9]+.(mkdir|eval), and may name"):
            data.load("cifar10", write_folder(tmp_path / "set", {**CONTENTS, "data_batch_1": content}))
        assert not made.exists()


@pytest.mark.parametrize("content, expected", [
    (b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__init__\x93.", "names numpy.dtype.__init__, and may"),
    (b"\x80\x04\x8c\x05numpy\x8c\x08fromfile\x93.", "names numpy.fromfile, and may"),
    (b"c__builtin__\ngetattr\n.", "getattr, and may"),
    (b"cnumpy\nndarray\n}b.", "is not a whole pickle"),  # sets the state of the class itself
    (b"Pname\n.", "is not a whole pickle"),  # a persistent id
    (b"\x80\x02\x82\x01.", "is not a whole pickle"),  # an extension code
])
def test_other_ways_out_of_a_pickle(content, expected):
    with pytest.raises(DataError, match="^here .*" + re.escape(expected)):
        unpickle.read_table(content, "here")


@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: b"not gzip", lambda content: content[:-3000],
                                    lambda content: content[:100],
                                    lambda content: content[:2000] + b"\xff" * 50 + content[2050:]])
def test_damaged_archive(tmp_path, damage):
    path = write_tar(tmp_path / "cifar-10-python.tar.gz")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=re.escape(f"{path} is not a whole .tar.gz archive (") + ".*; copy it again"):
        data.load("cifar10", path)


COLOURS = {0: (250, 10, 10), 1: (10, 250, 10), 2: (10, 10, 250)}


def jpeg(label, size=(32, 32)):
    content = io.BytesIO()
    Image.new("RGB", size, COLOURS[label]).save(content, "JPEG", quality=95)
    return np.frombuffer(content.getvalue(), np.uint8)


def jpegs(labels):
    files = [jpeg(label) for label in labels]
    return {"data": np.concatenate(files), "offsets": np.cumsum([0, *map(len, files)]), "labels": np.array(labels)}


def write_jpegs(folder, changes=None):
    np.savez(folder / "cifar10_train_jpeg.npz", **{**jpegs([0, 0, 0, 1, 1, 2]), **(changes or {})})
    np.savez(folder / "cifar10_test_jpeg.npz", **jpegs([0, 1, 2]))


def test_jpeg_archives_are_dealt_by_class(tmp_path):
    write_jpegs(tmp_path)
    dataset = data.load("cifar10", tmp_path)
    assert dataset.train_labels.tolist() == [0, 1, 2, 0, 1, 0] and dataset.test_labels.tolist() == [0, 1, 2]
    for image, label in zip(dataset.train_images, dataset.train_labels.tolist()):
        expected = torch.tensor(COLOURS[label])[:, None, None].expand(3, 32, 32)
        assert image.shape == expected.shape and (image.int() - expected).abs().max() <= 4


GOOD = jpegs([0, 0, 0, 1, 1, 2])


@pytest.mark.parametrize("changes, expected", [
    ({"data": GOOD["data"][:-1]}, "data must be uint8 (B,), labels integers (N,) from 0 to 65535, and offsets N + 1"),
    ({"data": GOOD["data"].astype(np.int16)}, "data must be uint8 (B,)"),
    ({"offsets": GOOD["offsets"][[0, 2, 1, 3, 4, 5, 6]]}, "offsets N + 1 integers that rise from 0 to B"),
    ({"offsets": GOOD["offsets"] / 1}, "offsets N + 1 integers"),
    ({"labels": GOOD["labels"][:-1]}, "labels integers (N,)"),
    ({"labels": GOOD["labels"] - 1}, "labels integers (N,) from 0"),
    ({"labels": np.array([0, 1, 2, 3, 4, 1 << 63], np.uint64)}, "labels integers (N,) from 0 to 65535"),
    ({"labels": GOOD["labels"] + 8}, "the labels of CIFAR-10 are 0 to 9, not 10"),
    ({"data": np.concatenate([GOOD["data"][:GOOD["offsets"][5]], np.zeros(GOOD["offsets"][6] - GOOD["offsets"][5],
                                                                             np.uint8)])},
     "cifar10_train_jpeg.npz: image 5 cannot be read as an image: it is none of BMP, JPEG, PNG"),
    ({"data": np.concatenate([jpeg(0), jpeg(1, (32, 16))]), "labels": np.array([0, 1]),
      "offsets": np.cumsum([0, len(jpeg(0)), len(jpeg(1, (32, 16)))])},
     "image 1 is 16 x 32 pixels, and others are 32 x 32"),
])
def test_damaged_jpeg_archive(tmp_path, changes, expected):
    write_jpegs(tmp_path, changes)
    with pytest.raises(DataError, match=re.escape(expected)):
        data.load("cifar10", tmp_path)


@pytest.mark.parametrize("gone", ["train", "test"])
def test_one_jpeg_archive_alone(tmp_path, gone):
    write_jpegs(tmp_path)
    (tmp_path / f"cifar10_{gone}_jpeg.npz").unlink()
    with pytest.raises(DataError, match=f"has no cifar10_{gone}_jpeg.npz; get the Python version"):
        data.load("cifar10", tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real data sets beside the project is absent")
def test_real_jpegs_are_the_lossless_images_nearly():
    dataset = data.load("cifar10", SHARED)
    assert dataset.train_images.shape == (50_000, 3, 32, 32) and dataset.test_images.shape == (10_000, 3, 32, 32)
    assert dataset.train_labels.bincount().tolist() == [5000] * 10
    assert dataset.test_labels[:500].bincount().tolist() == [50] * 10
    with np.load(SHARED / "cifar10_train4000_lossless.npz") as lossless:
        images, labels = lossless["x"][:8].transpose(0, 3, 1, 2), lossless["y"][:8]
    for image, label in zip(images, labels):
        of_class = dataset.train_images[dataset.train_labels == int(label)].numpy()[:10].astype(float)
        # The archive keeps the order within a class, so each of the first images is among the first of its class.
        nearest, next_nearest = np.sort(((of_class - image) ** 2).mean((1, 2, 3)))[:2]
        assert nearest < 200 < 500 < next_nearest

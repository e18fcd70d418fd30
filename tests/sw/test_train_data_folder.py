"""``sw.train.data.folder``: folders of image files, whole and damaged."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from sw.errors import DataError
from sw.train import data

RNG = np.random.default_rng(12)


def write(path, array, **options):
    """``array`` (H, W) or (H, W, 3 or 4) as the image file ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def random_image(*shape):
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def write_all(folder, *, shape, suffix=".png", test="test"):
    """Two classes, cat with three training images and dog with two, and one test image each; all by path."""
    images = {}
    for name in ("train/cat/b", "train/cat/a", "train/cat/c", "train/dog/2", "train/dog/1", f"{test}/cat/z",
                 f"{test}/dog/y"):
        images[name] = random_image(*shape)
        write(folder / f"{name}{suffix}", images[name])
    return images


def check(dataset, images, test="test"):
    order = ["train/cat/a", "train/dog/1", "train/cat/b", "train/dog/2", "train/cat/c"]
    for found, names in ((dataset.train_images, order), (dataset.test_images, [f"{test}/cat/z", f"{test}/dog/y"])):
        expected = np.stack([np.atleast_3d(images[name]).transpose(2, 0, 1) for name in names])
        assert found.dtype == torch.uint8 and np.array_equal(found.numpy(), expected)
    assert dataset.train_labels.tolist() == [0, 1, 0, 1, 0] and dataset.test_labels.tolist() == [0, 1]
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == torch.int64
    assert dataset.class_names == ("cat", "dog")


@pytest.mark.parametrize("shape, suffix", [
    ((5, 7), ".png"), ((5, 7, 3), ".png"), ((5, 7, 3), ".BMP"), ((5, 7), ".pgm"), ((5, 7, 3), ".ppm"),
])
@pytest.mark.parametrize("test", ["test", "val"])
def test_lossless_files(tmp_path, shape, suffix, test):
    images = write_all(tmp_path, shape=shape, suffix=suffix, test=test)
    check(data.load("folder", tmp_path, image_size=None), images, test)
    check(data.load("folder", str(tmp_path), image_size=(5, 7)), images, test)


def test_other_files_are_left_out(tmp_path):
    images = write_all(tmp_path, shape=(4, 4))
    for name in ("notes.txt", "train/notes.txt", "train/cat/notes.txt", "train/cat/.a.png"):
        (tmp_path / name).write_text("not an image")
    (tmp_path / "train" / ".cache").mkdir()
    write(tmp_path / "val" / "cat" / "unused.png", random_image(4, 4))  # there is a test folder
    check(data.load("folder", tmp_path), images)


@pytest.mark.parametrize("suffix, options", [(".jpg", {"quality": 95}), (".JPEG", {"quality": 95}), (".webp", {})])
def test_lossy_files(tmp_path, suffix, options):
    colours = {"train/red/0": (240, 20, 20), "train/blue/0": (20, 20, 240), "test/red/0": (240, 20, 20),
               "test/blue/0": (20, 20, 240)}
    for name, colour in colours.items():
        write(tmp_path / f"{name}{suffix}", np.full((16, 16, 3), colour, np.uint8), **options)
    dataset = data.load("folder", tmp_path)
    assert dataset.class_names == ("blue", "red")
    for image, colour in zip(dataset.train_images, ((20, 20, 240), (240, 20, 20))):
        assert (image.int() - torch.tensor(colour)[:, None, None]).abs().max() <= 8


def test_one_coloured_file_makes_all_coloured(tmp_path):
    images = write_all(tmp_path, shape=(4, 6))
    images["test/dog/y"] = random_image(4, 6, 3)
    write(tmp_path / "test/dog/y.png", images["test/dog/y"])
    check(data.load("folder", tmp_path), {
        name: image if image.ndim == 3 else np.repeat(image[..., None], 3, 2) for name, image in images.items()})


def test_transparency_and_palettes(tmp_path):
    images = write_all(tmp_path, shape=(4, 6, 3))
    with_alpha = np.concatenate([images["train/cat/a"], random_image(4, 6, 1)], 2)
    write(tmp_path / "train/cat/a.png", with_alpha)
    colours = np.array([[10, 20, 30], [200, 100, 50]], np.uint8)
    indices = (random_image(4, 6) & 1).astype(np.uint8)
    indexed = Image.frombytes("P", (6, 4), indices.tobytes())
    indexed.putpalette(colours.tobytes())
    indexed.save(tmp_path / "train/dog/1.png", transparency=b"\x00\xff")
    images["train/dog/1"] = colours[indices]
    check(data.load("folder", tmp_path), images)


def test_black_and_white(tmp_path):
    images = write_all(tmp_path, shape=(4, 6))
    bits = images["train/cat/a"] > 127
    Image.fromarray(bits).save(tmp_path / "train/cat/a.png")
    images["train/cat/a"] = np.where(bits, 255, 0).astype(np.uint8)
    check(data.load("folder", tmp_path), images)


@pytest.mark.parametrize("channels", [1, 3])
def test_resized_to_means_of_the_middle(tmp_path, channels):
    # Constant blocks of 4 x 4, and at the sides two more columns that are cut: half the size has the blocks' values
    # but at their edges, where bilinear filtering looks past them.
    blocks = random_image(4, 4, channels)
    image = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
    sides = np.pad(image, [(0, 0), (6, 6), (0, 0)])
    for name in ("train/a/0", "train/b/0", "test/a/0"):
        write(tmp_path / f"{name}.png", sides.squeeze())
    write(tmp_path / "test/b/0.png", image.squeeze())
    dataset = data.load("folder", tmp_path, image_size=16)
    for found in (*dataset.train_images, *dataset.test_images):
        assert found.shape == (channels, 16, 16)
        for row in range(4):
            for column in range(4):
                middle = found[:, 4 * row + 1:4 * row + 3, 4 * column + 1:4 * column + 3]
                assert (middle.permute(1, 2, 0).numpy() == blocks[row, column]).all()


@pytest.mark.parametrize("size", [(8, 8), 8, (5, 9), (12, 3)])
def test_mixed_sizes(tmp_path, size):
    write_all(tmp_path, shape=(8, 8))
    write(tmp_path / "train/dog/2.png", random_image(8, 9))
    with pytest.raises(DataError, match="dog/2.png has 8 x 9 pixels and .*a.png 8 x 8; give --image-size to bring"):
        data.load("folder", tmp_path)
    dataset = data.load("folder", tmp_path, size)
    expected = (1, *size) if isinstance(size, tuple) else (1, size, size)
    assert dataset.train_images.shape == (5, *expected) and dataset.test_images.shape == (2, *expected)


@pytest.mark.parametrize("size", [0, -1, 4097, (0, 8), (8, 4097)])
def test_wrong_image_size(tmp_path, size):
    write_all(tmp_path, shape=(8, 8))
    with pytest.raises(DataError, match=re.escape(f"--image-size must be from 1 to 4096, not {size}")):
        data.load("folder", tmp_path, size)


def empty(folder):
    for file in folder.iterdir():
        file.unlink()


def remove(folder):
    empty(folder)
    folder.rmdir()


@pytest.mark.parametrize("damage, expected", [
    (lambda root: remove(root / "test/dog"), "test has no folder dog, which .*train has; each class needs images"),
    (lambda root: remove(root / "train/cat"), "train has no folder cat, which .*test has; each class"),
    (lambda root: [(root / f"train/{name}").mkdir() for name in ("ape", "bee")], "has no folder ape .and 1 more.,"),
    (lambda root: empty(root / "test/dog"), r"test/dog has no image \(.bmp, .jpg, .jpeg, .png"),
    (lambda root: [remove(root / f"test/{name}") for name in ("cat", "dog")], "test has no folder cat .and 1 more."),
    (lambda root: [remove(root / f"train/{name}") for name in ("cat", "dog")], "train has no folder of a class; put"),
    (lambda root: (root / "test").rename(root / "tests"), "has no folder test or val; put images into train/CLASS/"),
    (lambda root: (root / "train").rename(root / "training"), "has no folder train; put images into train/CLASS/"),
])
def test_missing_folders_and_images(tmp_path, damage, expected):
    write_all(tmp_path, shape=(8, 8))
    damage(tmp_path)
    with pytest.raises(DataError, match=expected) as caught:
        data.load("folder", tmp_path)
    assert "\n" not in str(caught.value)


def encoded(kind, **options):
    content = io.BytesIO()
    Image.fromarray(random_image(8, 8)).save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize("name, content, expected", [
    ("a.png", b"", "it is none of BMP, JPEG, PNG, PPM, WEBP"),
    ("a.png", b"not an image", "it is none of BMP"),
    ("a.png", encoded("GIF"), "it is none of BMP"),
    ("a.png", encoded("PNG")[:30], ""),
    ("a.png", encoded("PNG")[:60], ""),
    ("a.png", encoded("PNG")[:-30], ""),
    ("a.png", encoded("PNG").replace(b"IDAT", b"IDAT\xff\xff"), ""),
    ("a.jpg", encoded("JPEG")[:200], ""),
    ("a.jpg", encoded("JPEG")[:-20], ""),
    ("a.bmp", encoded("BMP")[:-20], ""),
    ("a.pgm", encoded("PPM")[:-20], ""),
])
def test_damaged_file(tmp_path, name, content, expected):
    write_all(tmp_path, shape=(8, 8))
    path = tmp_path / "train" / "cat" / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{path} cannot be read as an image: {expected}")) as caught:
        data.load("folder", tmp_path)
    assert "\n" not in str(caught.value)


def test_sixteen_bits(tmp_path):
    write_all(tmp_path, shape=(8, 8))
    write(tmp_path / "train/cat/a.png", RNG.integers(0, 1 << 16, (8, 8), dtype=np.uint16))
    with pytest.raises(DataError, match="cat/a.png has pixels of mode I;16; save it with 8 bits a channel"):
        data.load("folder", tmp_path)

"""``python -m sw.adopt`` on archives made by hand, and on CNV itself where it is at hand."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from sw import adopt, zoo
from sw.frontend.bnn_pynq import import_bnn_pynq
from sw.reference import run
from tests.sw.networks import random_images
from tests.sw.pynq_archives import make, maps_and_matches

SHARED = Path(__file__).parents[3] / "shared" / "data"
CNV = SHARED / "networks" / "bnn_pynq_cnvW1A1_cifar10.npz"

needs_cnv = pytest.mark.skipif(not CNV.is_file(), reason="the folder of real data sets beside the project is absent")


@pytest.fixture
def given(tmp_path):
    """Paths of an archive and of a data set of noise, and the latter's test images and labels."""
    np.savez(tmp_path / "net.npz", **make(1, [(6, 3, 3, 1), (5, 3, 3, 6), (8, 5), (16, 8)], classes=4))
    random = np.random.default_rng(2)
    images, labels = random_images(3, (6, 6, 1), count=310)[..., 0], random.integers(0, 4, 310)
    np.savez(tmp_path / "data.npz", x_train=images[:8], y_train=np.arange(8) % 4, x_test=images, y_test=labels)
    return tmp_path / "net.npz", tmp_path / "data.npz", images, labels


def command(archive, data_path, out, *more):
    return adopt.main(["--bnn-pynq", str(archive), "--data", "mnist", "--data-dir", str(data_path), "--out", str(out),
                       *more])


def test_adopt(given, tmp_path, capsys):
    path, data_path, images, labels = given
    assert command(path, data_path, tmp_path / "mine") == 0
    entry = zoo.load(tmp_path / "mine")
    assert sorted(file.name for file in (tmp_path / "mine").iterdir()) == ["graph.json", "graph.npz", "sample.npz"]
    assert entry.name == "mine"
    assert np.array_equal(entry.images[..., 0], images[:300]) and np.array_equal(entry.labels, labels[:300])
    with np.load(path) as arrays:
        known = dict(arrays)
    right = 0
    for image, label in zip(images, labels):
        matches = maps_and_matches(known, image[..., None].tolist())[1][:4]
        right += matches.index(max(matches)) == label
    assert entry.graph.metadata == {
        "labels": [f"class {number}" for number in range(4)], "accuracy": {"integer": right / 310, "images": 310},
        "data": "mnist", "archive_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert capsys.readouterr().out == (
        f"mine: {right / 310:.2%} of 310 test images of mnist, {right} right\nwrote {tmp_path / 'mine'}\n")


@pytest.mark.parametrize(("damage", "message"), [
    ("no archive", "sw.adopt: {path}: No such file or directory"),
    ("damaged", "sw.adopt: {path} is not a whole .npz archive of arrays"),
    ("no weights", "sw.adopt: {path} is no archive of BNN-PYNQ's CNV: it has no w0; "),
    ("few classes", "sw.adopt: mnist has 4 classes, more than the 3 of {path}; "),
    ("other images", "sw.adopt: {path} is no archive of BNN-PYNQ's CNV: conv1: weights take 2 channels, but image"),
    ("no data", "sw.adopt: mnist is not at "),
    ("no option", "sw.adopt: the following arguments are required: "),
])
def test_errors_are_one_line(given, tmp_path, capsys, damage, message):
    path, data_path, *_ = given
    options = [path, data_path, tmp_path / "out"]
    if damage == "no archive":
        path.unlink()
    elif damage == "damaged":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "no weights":
        np.savez(path, t0=np.zeros(3, int))
    elif damage == "few classes":
        np.savez(path, **make(1, [(6, 3, 3, 1), (5, 3, 3, 6), (4, 5)], classes=3))
    elif damage == "other images":
        np.savez(path, **make(1, [(6, 3, 3, 2), (5, 4, 4, 6), (4, 5)], classes=4))
    elif damage == "no data":
        data_path.unlink()
    code = adopt.main(["--out", "x"]) if damage == "no option" else command(*options)
    output = capsys.readouterr()
    assert (code, output.out, output.err.count("\n")) == (2, "", 1)
    assert output.err.startswith(message.format(path=path))
    assert not (tmp_path / "out").exists()


@needs_cnv
@pytest.mark.slow
def test_cnv_on_its_training_images():
    """97.98 % of those that are spread without loss, whatever decodes JPEG."""
    with np.load(SHARED / "cifar10_train4000_lossless.npz") as arrays:
        images, labels = arrays["x"], arrays["y"]
    assert (run(import_bnn_pynq(CNV, (32, 32, 3), "cnv"), images).classes == labels).sum() == 3919


@needs_cnv
@pytest.mark.slow
def test_cnv(tmp_path):
    """74.47 % of the 10,000 test images, as JPEG: those of libjpeg-turbo, which Pillow brings along."""
    assert adopt.main(["--bnn-pynq", str(CNV), "--data-dir", str(SHARED), "--out", str(tmp_path / "cnv")]) == 0
    metadata = json.loads((tmp_path / "cnv" / "graph.json").read_text())["metadata"]
    assert metadata["accuracy"] == {"integer": 0.7447, "images": 10_000}
    assert metadata["labels"][:3] == ["Airplane", "Automobile", "Bird"]

"""Arguments of ``python -m sw.train`` for a tiny data set, and what it leaves."""

import csv

import numpy as np

from sw.train.__main__ import main


def write_archive(path):
    """60 images of 6 x 6 in three classes, brighter ones in later classes; the first 20 are the test."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 60).astype(np.uint8)
    images = (rng.integers(0, 60, (60, 6, 6)) + 60 * labels[:, None, None]).astype(np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    return path


def on(archive, out, *more):
    return ["--data", "mnist", "--data-dir", str(archive), "--epochs", "2", "--batch-size", "16",
            "--threads", "1", "--seed", "7", "--device", "cpu", "--out", str(out), *more]


def command(archive, out, *more):
    return ["--model", "mlp", "--option", "hidden=[8]", "--option", "bits=4", *on(archive, out, *more)]


def log_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def trained_teacher(archive, folder, *more):
    path = folder / "teacher.safetensors"
    if not path.exists():
        assert main(["--model", "teacher", "--option", "channels=[4]", "--option", "pools=[1]",
                     *on(archive, path, "--epochs", "1", *more)]) == 0
    return path

import json

import numpy as np
import pytest
import torch
from torch import nn

from sw import export, models, zoo
from sw.frontend import import_module
from sw.passes import PASSES, lower
from sw.reference import run
from sw.train import checkpoint
from sw.train.recipes import Recipe
from tests.sw.networks import random_images

OPTIONS = {"channels": [3, 4], "pools": [2], "bits": 8, "image": [1, 6, 7], "classes": 4}


@pytest.fixture
def given(tmp_path):
    """Paths of a checkpoint of random weights, and of a data set of noise."""
    torch.manual_seed(1)
    model = models.build("cnn", **OPTIONS)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.normal_()
                module.running_mean.normal_(0, 5)
    metadata = checkpoint.Metadata(recipe=Recipe(model="cnn", options=OPTIONS), data="mnist", seed=3, epochs_done=2)
    checkpoint.save(tmp_path / "mine.safetensors", model, metadata)
    random = np.random.default_rng(1)
    images = random_images(1, (6, 7, 1), count=700)[..., 0]
    labels = random.integers(0, 4, 700)
    np.savez(tmp_path / "data.npz", x_train=images[:5], y_train=np.arange(5) % 4, x_test=images, y_test=labels)
    return tmp_path / "mine.safetensors", tmp_path / "data.npz", images, labels


def command(checkpoint_path, data_path, out, *more):
    return export.main(["--checkpoint", str(checkpoint_path), "--data-dir", str(data_path), "--out", str(out), *more])


def test_export(given, tmp_path, capsys):
    path, data_path, images, labels = given
    assert command(path, data_path, tmp_path / "net") == 0
    entry = zoo.load(tmp_path / "net")
    assert sorted(file.name for file in (tmp_path / "net").iterdir()) == ["graph.json", "graph.npz", "sample.npz"]
    assert np.array_equal(entry.images[..., 0], images[:300])
    assert np.array_equal(entry.labels, labels[:300])
    # Counted again, without sw.export.
    model, _ = checkpoint.load(path)
    with torch.inference_mode():
        logits = model(torch.from_numpy(images)[:, None])
    result = run(entry.graph, images[..., None])
    accuracy = entry.accuracy
    assert accuracy["images"] == 700
    assert accuracy["float"] == (logits.argmax(1).numpy() == labels).mean()
    assert accuracy["integer"] == (result.classes == labels).mean()
    metadata = entry.graph.metadata
    assert metadata["disagreements"] == {"classes": int((logits.argmax(1).numpy() != result.classes).sum()),
                                         "scores": int((logits.numpy() / model[-1].scale != result.scores).sum())}
    assert (metadata["data"], metadata["seed"], metadata["epochs_done"]) == ("mnist", 3, 2)
    assert metadata["recipe"]["options"] == OPTIONS
    assert capsys.readouterr().out == (
        f"net: PyTorch {accuracy['float']:.2%}, integers {accuracy['integer']:.2%} of 700 test images of mnist\n"
        f"they differ in 0 classes; PyTorch's and the graph's integer scores in 0\n"
        f"wrote {tmp_path / 'net'}\n")


def test_the_same_checkpoint_gives_the_same_bytes(given, tmp_path):
    for parent in ("a", "b"):
        assert command(*given[:2], tmp_path / parent / "net") == 0
    for name in ("graph.json", "graph.npz", "sample.npz"):
        assert (tmp_path / "a/net" / name).read_bytes() == (tmp_path / "b/net" / name).read_bytes()


def test_dump_passes(given, tmp_path):
    more = ("--dump-passes", str(tmp_path / "dump"), "--data", "fashion-mnist")
    assert command(*given[:2], tmp_path / "net", *more) == 0
    assert len(list((tmp_path / "dump").glob("*/graph.json"))) == len(PASSES) + 1
    assert json.loads((tmp_path / "net/graph.json").read_text())["metadata"]["data"] == "fashion-mnist"


def test_disagreements_are_counted(given):
    path, _, images, labels = given
    model, _ = checkpoint.load(path)
    graph = lower(import_module(model, (6, 7, 1), "net"))
    # One class always wins in PyTorch, and its score always differs.
    other = lower(import_module(model, (6, 7, 1), "net"))
    with torch.no_grad():
        model[-1].offset[2] += 10_000
    found = export.compare(model, graph, torch.from_numpy(images)[:, None], torch.from_numpy(labels))
    classes = run(other, images[..., None]).classes
    assert found == export.Comparison(
        images=700, float_right=int((labels == 2).sum()), integer_right=int((classes == labels).sum()),
        classes_differ=int((classes != 2).sum()), scores_differ=700)


def test_missing_checkpoint(given, tmp_path, capsys):
    assert command(tmp_path / "none.safetensors", given[1], tmp_path / "net") == 2
    assert capsys.readouterr().err.startswith(f"sw.export: there is no checkpoint {tmp_path / 'none.safetensors'}; ")
    assert not (tmp_path / "net").exists()


def test_missing_data(given, tmp_path, capsys):
    assert command(given[0], tmp_path / "none", tmp_path / "net") == 2
    assert capsys.readouterr().err.startswith(f"sw.export: mnist is not at {tmp_path / 'none'}; ")
    assert not (tmp_path / "net").exists()


def test_folder_that_cannot_be_written(given, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert command(*given[:2], tmp_path / "file" / "net") == 2
    assert capsys.readouterr().err.startswith("sw.export: ")


def test_labels_are_the_names_of_the_classes(given, tmp_path):
    for name, labels in (("mnist", ["0", "1", "2", "3"]),
                         ("fashion-mnist", ["T-shirt/top", "trouser", "pullover", "dress"])):
        assert command(*given[:2], tmp_path / "net", "--data", name) == 0
        metadata = zoo.load(tmp_path / "net").graph.metadata
        assert metadata["labels"] == labels and "image_size" not in metadata


def test_no_labels_where_a_class_has_no_name(given, tmp_path):
    options = {**OPTIONS, "classes": 11}
    metadata = checkpoint.Metadata(recipe=Recipe(model="cnn", options=options), data="mnist", seed=3, epochs_done=2)
    checkpoint.save(given[0], models.build("cnn", **options), metadata)
    assert command(*given[:2], tmp_path / "net") == 0
    assert "labels" not in zoo.load(tmp_path / "net").graph.metadata


def test_image_folder_in_the_size_of_training(tmp_path):
    random = np.random.default_rng(5)
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for index in range(2):
                pixels = random.integers(0, 256, (9, 11), dtype=np.uint8)
                (folder / f"{index}.pgm").write_bytes(b"P5 11 9 255\n" + pixels.tobytes())
    options = {**OPTIONS, "classes": 2}
    metadata = checkpoint.Metadata(recipe=Recipe(model="cnn", options=options), data="folder", seed=3, epochs_done=2,
                                   image_size=(6, 7))
    checkpoint.save(tmp_path / "net.safetensors", models.build("cnn", **options), metadata)
    assert command(tmp_path / "net.safetensors", tmp_path / "images", tmp_path / "net") == 0
    entry = zoo.load(tmp_path / "net")
    assert entry.images.shape == (4, 6, 7, 1)
    assert entry.graph.metadata["labels"] == ["cat", "dog"] and entry.graph.metadata["image_size"] == [6, 7]

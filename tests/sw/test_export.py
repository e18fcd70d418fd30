import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from sw import export, models, zoo
from sw.frontend.torch_import import import_module
from sw.ir.graph import equal
from sw.nn import WEIGHT_BINARIZERS, BinaryConv2d
from sw.nn.fixed import FixedPoint, fixed_point
from sw.passes import PASSES, lower
from sw.quantise import calibrate
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


def compact_options(binarizer):
    return {"method": "recu", "weights": binarizer, "image": [1, 6, 6], "classes": 4, "widths": [4, 6]}


@pytest.fixture
def residual(tmp_path):
    """Writes a checkpoint of random weights times ``scale``; gives its path, its model and that of a data set."""
    def make(binarizer, scale=1.0):
        options = compact_options(binarizer)
        torch.manual_seed(4)
        model = models.build("resnet8", **options)
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, BinaryConv2d) and module.weight_bits == 1:
                    module.weight.mul_(scale)
        metadata = checkpoint.Metadata(recipe=Recipe("resnet8", options), data="mnist", seed=3, epochs_done=2,
                                       test_accuracy=0.125)
        checkpoint.save(tmp_path / "mine.safetensors", model, metadata)
        images = random_images(1, (6, 6, 1), count=40)[..., 0]
        np.savez(tmp_path / "data.npz", x_train=images, y_train=np.arange(40) % 4, x_test=images,
                 y_test=np.arange(40) % 4)
        return tmp_path / "mine.safetensors", model.eval(), tmp_path / "data.npz"
    return make


@pytest.mark.parametrize("binarizer", WEIGHT_BINARIZERS)
def test_compact(residual, tmp_path, binarizer):
    # So small that rounding alone would make zeros of some weights, with another sign.
    path, model, data_path = residual(binarizer, 1e-6 if binarizer not in ("mean", "libra-pb") else 1.0)
    assert command(path, data_path, tmp_path / "net", "--compact") == 0
    small = tmp_path / "net/checkpoint.safetensors"
    loaded, metadata = checkpoint.load(small)
    layers = [(mine, theirs) for mine, theirs in zip(model.modules(), loaded.modules())
              if isinstance(mine, BinaryConv2d)]
    assert len(layers) > 4 and all(torch.equal(mine.binary_weight(), theirs.binary_weight()) for mine, theirs in layers)
    # The graph, its accuracy and its hash are of the compact file: exported by itself it gives the same.
    assert command(small, data_path, tmp_path / "again/net") == 0
    for name in ("graph.json", "graph.npz", "sample.npz"):
        assert (tmp_path / "net" / name).read_bytes() == (tmp_path / "again/net" / name).read_bytes()
    graph = zoo.load(tmp_path / "net").graph
    assert graph.metadata["checkpoint_sha256"] == hashlib.sha256(small.read_bytes()).hexdigest()
    assert metadata.test_accuracy == graph.metadata["accuracy"]["float"]
    assert metadata.recipe == checkpoint.load(path)[1].recipe and small.stat().st_size < path.stat().st_size
    # In place, and once more.
    before = small.read_bytes()
    assert command(small, data_path, tmp_path / "net", "--compact") == 0
    assert small.read_bytes() == before


def test_compact_on_other_data_has_no_accuracy_of_its_own(residual, tmp_path):
    path, _, data_path = residual("sign")
    assert command(path, data_path, tmp_path / "net", "--compact", "--data", "fashion-mnist") == 0
    assert checkpoint.load(tmp_path / "net/checkpoint.safetensors")[1].test_accuracy is None


def test_compact_is_refused(residual, tmp_path, capsys):
    path, _, data_path = residual("mean", 1e-6)
    assert command(path, data_path, tmp_path / "net", "--compact") == 2
    error = capsys.readouterr().err
    assert error.startswith("sw.export: stage1_block1a.") and "keep the checkpoint with float32" in error
    assert not (tmp_path / "net").exists()


def test_every_batch_is_in_integer_mode(residual):
    # 1,100 images are several batches; a model that is left as real numbers behind the first would have real scores.
    _, model, _ = residual("mean")
    images = torch.from_numpy(random_images(2, (6, 6, 1), count=1100)[..., 0])[:, None]
    labels = torch.arange(1100) % 4
    with torch.no_grad():
        right = int((model(images).argmax(1) == labels).sum())
    fixed = calibrate(model, images[:100])
    graph = lower(import_module(model, (6, 6, 1), "net"))
    found = export.compare(model, graph, images, labels)
    assert (found.images, found.float_right, found.scores_differ) == (1100, right, 0)
    assert fixed_point(model) == fixed


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


def test_other_widths(residual, tmp_path, capsys):
    path, model, data_path = residual("recu")
    images = torch.from_numpy(np.load(data_path)["x_test"])[:, None]
    labels = np.load(data_path)["y_test"]
    assert command(path, data_path, tmp_path / "net", "--widths", "5,12") == 0
    printed = capsys.readouterr().out
    metadata = zoo.load(tmp_path / "net").graph.metadata
    assert [each["bits"] for each in metadata["accuracy_by_word_bits"]] == [5, 12]
    for each in metadata["accuracy_by_word_bits"]:
        fixed = calibrate(model, images, each["bits"])
        with torch.no_grad():
            accuracy = (model(images).argmax(1).numpy() == labels).mean()
        assert each == {**asdict(fixed), "accuracy": accuracy}
        assert (f"words of {fixed.bits} bits: PyTorch {metadata['accuracy']['float']:.2%}, integers {accuracy:.2%}, "
                f"fraction {fixed.fraction}, shift {fixed.shift}\n") in printed
    assert FixedPoint(**metadata["fixed_point"]) == calibrate(model, images)
    # All else is as without.
    assert command(path, data_path, tmp_path / "plain/net") == 0
    plain = zoo.load(tmp_path / "plain/net").graph
    assert equal(plain, zoo.load(tmp_path / "net").graph.replace(metadata=plain.metadata))
    assert {*metadata} - {*plain.metadata} == {"accuracy_by_word_bits"}


def test_widths_of_words_that_only_become_bits(tmp_path, residual, capsys):
    _, _, data_path = residual("recu")
    options = {"method": "recu", "image": [1, 6, 6], "classes": 4, "hidden": 4}
    metadata = checkpoint.Metadata(recipe=Recipe("tfc", options), data="mnist", seed=3, epochs_done=2)
    checkpoint.save(tmp_path / "tfc.safetensors", models.build("tfc", **options), metadata)
    assert command(tmp_path / "tfc.safetensors", data_path, tmp_path / "net", "--widths", "7") == 0
    assert "words of 7 bits: PyTorch" in (printed := capsys.readouterr().out) and "shifts of each layer\n" in printed


@pytest.mark.parametrize("widths, message", [
    ("5,x", "argument --widths: invalid list of widths value: '5,x'"),
    ("8,3", "words must have 4 to 24 bits and a fraction of 0 to 20, not 3 and 1")])
def test_widths_that_are_none(residual, tmp_path, capsys, widths, message):
    path, _, data_path = residual("recu")
    assert command(path, data_path, tmp_path / "net", "--widths", widths) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "net").exists()


def test_no_widths_without_words(given, tmp_path, capsys):
    assert command(*given[:2], tmp_path / "net", "--widths", "8") == 2
    assert "the network has no words between its layers; leave out --widths" in capsys.readouterr().err
    assert not (tmp_path / "net").exists()


def test_a_fine_tuned_network_keeps_its_format(residual, tmp_path):
    path, model, data_path = residual("recu")
    images = torch.from_numpy(np.load(data_path)["x_train"])[:, None]
    metadata = checkpoint.load(path)[1]
    for bits, fraction in ((6, 2), (9, 3)):
        checkpoint.save(path, model, replace(metadata, recipe=replace(
            metadata.recipe, word_bits=bits, word_fraction=fraction)))
        assert command(path, data_path, tmp_path / "net", "--widths", "5") == 0
        found = zoo.load(tmp_path / "net").graph.metadata
        assert found["fixed_point"] == asdict(calibrate(model, images, bits, fraction))
        assert (found["fixed_point"]["bits"], found["fixed_point"]["fraction"]) == (bits, fraction)
        assert found["accuracy_by_word_bits"][0]["fraction"] == calibrate(model, images, 5).fraction
    assert command(path, data_path, tmp_path / "net", "--word-bits", "7") == 0
    assert zoo.load(tmp_path / "net").graph.metadata["fixed_point"] == asdict(calibrate(model, images, 7))

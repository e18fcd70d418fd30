"""``sw.train.checkpoint``: round trip and refusals."""

import json
import os
import re

import pytest
import safetensors
import safetensors.torch
import torch

from sw import models, zoo
from sw.errors import ArtifactError
from sw.train import checkpoint
from sw.train.loop import total_epochs
from sw.train.recipes import RECIPES, Recipe

RECIPE = Recipe(model="cnn", options={"channels": (3, 4), "pools": (1, 2), "image": (1, 8, 8), "classes": 3})
METADATA = checkpoint.Metadata(recipe=RECIPE, data="mnist", seed=4, epochs_done=2, test_accuracy=0.5,
                               versions={"torch": "2"})


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(9)
    model = models.build("cnn", **RECIPE.options)
    model(torch.randint(0, 256, (16, 1, 8, 8), dtype=torch.uint8))  # moves the running statistics
    path = tmp_path / "folder" / "net.safetensors"
    checkpoint.save(path, model, METADATA)
    return path, model


def test_round_trip(saved):
    path, model = saved
    loaded, metadata = checkpoint.load(path)
    assert metadata == METADATA
    assert not loaded.training
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(loaded(images), model.eval()(images))
    before = path.read_bytes()
    checkpoint.save(path, loaded, metadata)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_tensors_are_float32(saved):
    with safetensors.safe_open(saved[0], "pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float32}
        assert "norm1.running_var" in file.keys()


def test_channels_last_model_is_saved_alike(saved, tmp_path):
    path, model = saved
    checkpoint.save(tmp_path / "other.safetensors", model.to(memory_format=torch.channels_last), METADATA)
    assert (tmp_path / "other.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_file(saved, keep):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArtifactError, match=re.escape(f"{path} is not a whole safetensors file: ")):
        checkpoint.load(path)


def test_missing_file(tmp_path):
    with pytest.raises(ArtifactError, match="there is no checkpoint .*; train one with python -m sw.train"):
        checkpoint.load(tmp_path / "none.safetensors")


def rewrite(path, tensors=lambda old: old, header=lambda old: old):
    with safetensors.safe_open(path, "pt") as file:
        old = {key: file.get_tensor(key) for key in file.keys()}
        text = file.metadata()
    path.write_bytes(safetensors.torch.save(tensors(old), header(text)))


def with_metadata(**changes):
    def header(old):
        values = json.loads(old["popforge"])
        for key, value in changes.items():
            (values["recipe"] if key in values["recipe"] else values)[key] = value
        return {"popforge": json.dumps(values)}
    return header


@pytest.mark.parametrize("change, expected", [
    ({"header": lambda old: None}, "is no Popforge checkpoint of schema 1, but has schema None"),
    ({"header": with_metadata(schema=7)}, "but has schema 7; train it with this version"),
    ({"header": lambda old: {"popforge": '{"schema": 1}'}}, "its weights do not fit the model it names"),
    ({"header": lambda old: {"popforge": "{"}}, "but has schema None"),
    ({"header": lambda old: {"popforge": "[1]"}}, "but has schema None"),
    ({"header": with_metadata(model="resnet")}, "unknown model: 'resnet'"),
    ({"header": with_metadata(options={"channels": [3, 5]})}, "its weights do not fit the model it names"),
    ({"header": with_metadata(surprise=1)}, "surprise"),
    ({"header": with_metadata(recipe={"model": "cnn", "gamma": 1})}, "gamma"),
    ({"header": with_metadata(epochs=0)}, "epochs must be a whole number from 1 to 10000, not 0"),
    ({"header": with_metadata(options=[1])}, "a recipe's model must be a name and its options a table"),
    ({"header": with_metadata(image_size=3)}, "its weights do not fit the model it names"),
    ({"tensors": lambda old: {**old, "conv9.weight": torch.zeros(1)}},
     "tensors missing or not of cnn: conv9.weight"),
    ({"tensors": lambda old: {key: value for key, value in old.items() if key != "conv2.weight"}},
     "tensors missing or not of cnn: conv2.weight"),
])
def test_wrong_contents(saved, change, expected):
    rewrite(saved[0], **change)
    with pytest.raises(ArtifactError) as caught:
        checkpoint.load(saved[0])
    assert expected in str(caught.value)


def test_every_recipe_can_be_saved(tmp_path):
    for name, recipe in RECIPES.items():
        path = tmp_path / f"{name}.safetensors"
        metadata = checkpoint.Metadata(recipe=recipe, data="fashion-mnist", seed=1, epochs_done=0)
        checkpoint.save(path, models.build(recipe.model, **recipe.options), metadata)
        assert checkpoint.load(path)[1] == metadata


@pytest.mark.parametrize("name", zoo.names())
def test_shipped_checkpoints_load(name):
    path = zoo.resolve(name) / "checkpoint.safetensors"
    model, metadata = checkpoint.load(path)
    assert path.stat().st_size < 1_000_000
    assert metadata.recipe.model in models.names() and not model.training
    assert metadata.limit is None
    assert metadata.epochs_done == total_epochs(metadata.recipe)


def test_model_with_a_method(tmp_path):
    recipe = Recipe("resnet8", {"method": "recu", "image": [1, 8, 8], "classes": 3, "widths": [4, 8]})
    metadata = checkpoint.Metadata(recipe, "mnist", 1, 3, limit=40, image_size=(8, 8), teacher_sha256="ab" * 32)
    model = models.build(recipe.model, **recipe.options)
    checkpoint.save(tmp_path / "net.safetensors", model, metadata)
    loaded, found = checkpoint.load(tmp_path / "net.safetensors")
    assert found == metadata
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(loaded(images), model.eval()(images))

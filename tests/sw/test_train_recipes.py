"""``sw.train.recipes``: what a recipe refuses, and that the published settings are in the files."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from sw import models
from sw.errors import CompileError
from sw.models.methods import METHODS
from sw.train import recipes
from sw.train.recipes import RECIPES, SETTINGS, Recipe, recipe_for

METHODS_FILE = Path(recipes.__file__).parent / "methods.toml"
TABLES = tomllib.loads(METHODS_FILE.read_text())

FIELDS = ("optimizer", "learning_rate", "schedule", "warmup_epochs", "weight_decay", "epochs", "batch_size",
          "real_weight_epochs", "real_weight_decay", "distillation")

#: Copied by hand from the papers' trainers, in the order of FIELDS.
PUBLISHED = {
    ("ir-net", "resnet20"): ("sgd", 0.1, "cosine", 0, 1e-4, 400, 128, 0, 0, 0),
    ("ir-net", "vgg-small"): ("sgd", 0.007, "cosine", 0, 1e-4, 300, 128, 0, 0, 0),
    ("recu", "resnet20"): ("sgd", 0.1, "cosine", 5, 5e-4, 600, 256, 0, 0, 0),
    ("recu", "reactnet-resnet18"): ("adam", 1e-3, "cosine", 0, 0, 256, 512, 256, 1e-5, 1),
    ("sd-bnn", "resnet20"): ("sgd", 0.11, "cosine", 0, 1e-4, 500, 128, 0, 0, 0),
    ("sd-bnn", "vgg-small"): ("sgd", 0.08, "cosine", 0, 1e-4, 400, 128, 0, 0, 0),
    ("sd-bnn", "resnet18"): ("sgd", 0.08, "cosine", 0, 1e-4, 600, 128, 0, 0, 0),
    ("sd-bnn", "reactnet-resnet18"): ("adam", 1e-3, "linear", 0, 0, 256, 512, 256, 1e-5, 1),
    ("reactnet", "reactnet-a"): ("adam", 1.25e-3, "linear", 0, 0, 128, 256, 128, 1e-5, 1),
    ("reactnet", "reactnet-resnet18"): ("adam", 2.5e-3, "linear", 0, 0, 128, 512, 128, 1e-5, 1),
    ("adambnn", "reactnet-a"): ("adam", 1.25e-3, "linear", 0, 0, 256, 256, 256, 5e-6, 1),
    ("repbnn", "resnet20"): ("sgd", 0.1, "cosine", 5, 5e-4, 600, 256, 0, 0, 0),
    ("repbnn", "reactnet-a"): ("adam", 1.25e-3, "linear", 0, 0, 256, 256, 256, 5e-6, 1),
    ("insta", "reactnet-resnet18"): ("adam", 2.5e-3, "linear", 0, 0, 128, 512, 128, 1e-5, 1),
}


@pytest.mark.parametrize("method, model", PUBLISHED)
def test_published_settings(method, model):
    recipe = recipe_for(model, method)
    assert tuple(getattr(recipe, name) for name in FIELDS) == PUBLISHED[method, model]
    assert recipe.model == model and recipe.options == {"method": method}
    assert (recipe.flip, recipe.shift, recipe.label_smoothing, recipe.temperature) == (True, 4, 0, 1)


def test_every_method_has_a_table():
    assert set(TABLES) == set(METHODS)
    for method in METHODS:
        assert recipe_for("resnet20", method).epochs >= 100


def test_tables_name_settings_and_models():
    for table in TABLES.values():
        parts = [value for value in table.values() if isinstance(value, dict)]
        for part in (table, *parts):
            names = {key for key, value in part.items() if not isinstance(value, dict)}
            assert names <= {*SETTINGS, "like"}
            assert part.get("like", "recu") in TABLES
        assert {key for key, value in table.items() if isinstance(value, dict)} <= set(models.names())


def test_networks_name_models_and_their_options():
    for recipe in RECIPES.values():
        assert set(recipe.options) <= set(models.options(recipe.model))


def test_recipe_of_a_model_without_a_method():
    assert recipe_for("cnn") == RECIPES["cnn-fashion"]
    assert recipe_for("some-model") == Recipe(model="some-model")


def test_unknown_method():
    with pytest.raises(CompileError, match="unknown method: 'recuu'; did you mean 'recu'\\? There are: ir-net, "):
        recipe_for("resnet20", "recuu")


def test_lists_among_options_become_tuples():
    assert Recipe("cnn", {"pools": [1, 2], "bits": 3}).options == {"pools": (1, 2), "bits": 3}


@pytest.mark.parametrize("values, message", [
    ({"epochs": 0}, "epochs must be a whole number from 1 to 10000, not 0"),
    ({"epochs": 2.5}, "epochs must be a whole number from 1 to 10000, not 2.5"),
    ({"epochs": True}, "epochs must be a whole number from 1 to 10000, not True"),
    ({"batch_size": 1}, "batch_size must be a whole number from 2 to 100000, not 1"),
    ({"learning_rate": 0}, "learning_rate must be from 1e-09 to 1, not 0"),
    ({"learning_rate": float("nan")}, "learning_rate must be from 1e-09 to 1, not nan"),
    ({"learning_rate": "fast"}, "learning_rate must be from 1e-09 to 1, not 'fast'"),
    ({"warmup_epochs": -1.0}, "warmup_epochs must be from 0 to 100, not -1.0"),
    ({"weight_decay": 2.0}, "weight_decay must be from 0 to 1, not 2.0"),
    ({"real_weight_decay": -0.1}, "real_weight_decay must be from 0 to 1, not -0.1"),
    ({"real_weight_epochs": -1}, "real_weight_epochs must be a whole number from 0 to 10000, not -1"),
    ({"label_smoothing": 1.0}, "label_smoothing must be from 0 to 0.9, not 1.0"),
    ({"distillation": 1.1}, "distillation must be from 0 to 1, not 1.1"),
    ({"temperature": 0.0}, "temperature must be from 0.1 to 100, not 0.0"),
    ({"shift": 17}, "shift must be a whole number from 0 to 16, not 17"),
    ({"flip": 1}, "flip must be true or false, not 1"),
    ({"bfloat16": None}, "bfloat16 must be true or false, not None"),
    ({"optimizer": "lion"}, "optimizer must be one of adam, sgd, not 'lion'"),
    ({"schedule": ["linear"]}, "schedule must be one of cosine, linear, not ['linear']"),
    ({"model": 3}, "a recipe's model must be a name and its options a table, not 3 and {}"),
    ({"options": 3}, "a recipe's model must be a name and its options a table, not 'mlp' and 3"),
])
def test_illegal_values(values, message):
    for make in (lambda: Recipe(**{"model": "mlp", **values}), lambda: replace(Recipe("mlp"), **values)):
        with pytest.raises(CompileError) as caught:
            make()
        assert str(caught.value) == message


@pytest.mark.parametrize("name", [name for name, setting in SETTINGS.items() if setting.kind in (int, float)])
def test_ends_of_ranges_are_legal(name):
    setting = SETTINGS[name]
    for value in (setting.least, setting.most):
        assert getattr(Recipe("mlp", **{name: value}), name) == value

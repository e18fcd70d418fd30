"""The command line of ``python -m sw.train``: its options, and the recipe that they ask for."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from sw import models
from sw.command import Parser
from sw.errors import CompileError
from sw.models.methods import METHODS
from sw.names import nearest
from sw.quantise import default_bits
from sw.train import checkpoint, data
from sw.train.recipes import RECIPES, SETTINGS, Recipe, recipe_for

__all__ = ["chosen_recipe", "listing", "parser"]


def parser() -> argparse.ArgumentParser:
    """The options; what they cannot parse raises ``CompileError``."""
    result = Parser(
        prog="python -m sw.train", description="Train a binary neural network and write its checkpoint.")
    result.add_argument("--list", action="store_true",
                        help="print methods, models, recipes and data sets, and exit")
    what = result.add_argument_group("what to train")
    what.add_argument("--model", metavar="NAME", help="a model; its method or its first recipe gives all settings")
    what.add_argument("--method", metavar="NAME", help="of --model: how weights and activations become binary")
    what.add_argument("--recipe", metavar="NAME", help="a model and all settings of its training, by name")
    what.add_argument("--fine-tune", metavar="FILE", type=Path,
                      help="a checkpoint of the same data, which is trained on as the integers that it is exported as: "
                      "3 epochs with a tenth of its learning rate unless told")
    what.add_argument("--option", metavar="KEY=JSON", action="append", default=[],
                      help="an option of the model, such as channels=[16,16,32,32]; may be repeated; image and classes "
                      "are the data's unless told")
    what.add_argument("--seed", metavar="N", type=int, default=1,
                      help="of weights, order, augmentation and dropout (%(default)s)")
    images = result.add_argument_group("images")
    images.add_argument("--data", metavar="NAME", default="fashion-mnist", help="the data set (%(default)s)")
    images.add_argument("--data-dir", metavar="PATH", type=Path,
                        help="where it is: a folder, or an .npz of x_train, y_train, x_test and y_test")
    images.add_argument("--image-size", metavar="N|HxW", type=_size,
                        help="bring the images of the data set folder to this size")
    images.add_argument("--limit", metavar="N", type=int,
                        help="train on so many images only, as many of each class as can be")
    settings = result.add_argument_group("settings, instead of the method's or recipe's")
    for name, setting in SETTINGS.items():
        if setting.kind is bool:
            settings.add_argument(_flag(name), action=argparse.BooleanOptionalAction, help=setting.summary)
        else:
            settings.add_argument(_flag(name), metavar="NAME" if setting.choices else "N", type=setting.kind,
                                  help=setting.summary)
    settings.add_argument("--teacher", metavar="FILE", type=Path,
                          help="the checkpoint of the network to distil from, of the same data")
    run = result.add_argument_group("the run")
    run.add_argument("--out", metavar="FILE", type=Path,
                     help="the checkpoint to write, *.safetensors, with a log, *.csv, beside it")
    run.add_argument("--resume", action="store_true",
                     help="go on from the *.state that an interrupted training left beside --out")
    run.add_argument("--evaluate-every", metavar="N", type=int, default=5,
                     help="epochs between tests on the test images, which are shown and choose nothing (%(default)s)")
    run.add_argument("--device", metavar="NAME", default="auto", help="cpu, cuda or auto (%(default)s)")
    run.add_argument("--threads", metavar="N", type=int, help="threads of PyTorch (all cores)")
    run.add_argument("--compile", action="store_true", dest="compiled",
                     help="have torch.compile fuse operations: epochs of 0.7 times the length, a minute before the "
                     "first, a C++ compiler needed")
    return result


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _size(text: str) -> tuple[int, int]:
    sides = [int(side) for side in text.split("x", 1)]
    return sides[0], sides[-1]


_size.__name__ = "size"  # as argparse names it in messages


def chosen_recipe(given: argparse.Namespace) -> Recipe:
    """The recipe that the options name, with their changes. Raises ``CompileError`` for what does not exist."""
    if [given.model, given.recipe, given.fine_tune].count(None) != 2:
        raise CompileError("give one of --model, --recipe and --fine-tune; --list shows models and recipes")
    options = dict(_option(text) for text in given.option)
    if given.fine_tune is not None:
        if options or given.method is not None:
            raise CompileError("--method and --option are for new networks, not for --fine-tune")
        recipe = _recipe_of_checkpoint(given.fine_tune)
    elif given.recipe is not None:
        if given.method is not None:
            raise CompileError("--method goes with --model, not with --recipe, which says its own")
        recipe = RECIPES[nearest("recipe", given.recipe, tuple(RECIPES), CompileError)]
    else:
        recipe = _recipe_of_model(given.model, given.method)
    changes = {name: getattr(given, name) for name in SETTINGS if getattr(given, name) is not None}
    return dataclasses.replace(recipe, **changes, options={**recipe.options, **options})


def _recipe_of_checkpoint(path: Path) -> Recipe:
    """For fine-tuning: the last epochs of a training, as it were."""
    model, trained = checkpoint.load(path)
    recipe = trained.recipe
    return dataclasses.replace(
        recipe, epochs=3, learning_rate=recipe.learning_rate / 10, warmup_epochs=0, real_weight_epochs=0,
        word_bits=min(default_bits(model), int(SETTINGS["word_bits"].most)), word_fraction=0)


def _recipe_of_model(model: str, method: str | None) -> Recipe:
    options = models.options(model)
    if "method" not in options:
        if method is None:
            return recipe_for(model)
        able = [name for name in models.names() if "method" in models.options(name)]
        raise CompileError(f"{model} takes no --method; leave it out, or give a --model that does: {', '.join(able)}")
    chosen = options["method"] if method is None else method
    if not isinstance(chosen, str):
        raise CompileError(f"{model} needs --method, one of {', '.join(METHODS)}; --list explains them")
    return recipe_for(model, nearest("method", chosen, tuple(METHODS), CompileError))


def _option(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    try:
        parsed = json.loads(value)
    except ValueError:
        raise CompileError(f"--option must be KEY=JSON, such as bits=4, not {text!r}") from None
    if key == "method":
        raise CompileError("give the method with --method")
    return key, parsed


def listing() -> str:
    """What there is to choose from, as ``--list`` prints it."""
    lines = ["methods"]
    lines += [f"  {name:<20}{method.summary}" for name, method in METHODS.items()]
    lines.append("models (with the defaults of their options)")
    for name in models.names():
        lines.append(f"  {name:<20}{models.summary(name)}")
        options = models.options(name)
        lines += [f"  {'':<20}{key}={json.dumps(value)}" for key, value in options.items() if value is not None]
        changes = [key for key, value in options.items() if value is None]
        lines += [f"  {'':<20}{', '.join(changes)}: as the method has them"] * bool(changes)
    lines.append("recipes")
    lines += [f"  {name:<20}{recipe.model}, {recipe.epochs} epochs" for name, recipe in RECIPES.items()]
    lines.append("data sets (where they are looked for)")
    lines += [f"  {name:<20}{source.folder or 'where --data-dir says'}" for name, source in data.SOURCES.items()]
    return "\n".join(lines)

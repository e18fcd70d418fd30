"""``python -m sw.train``: train a network and write its checkpoint."""

import argparse
import dataclasses
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn
from tqdm import tqdm  # type: ignore[import-untyped]

from sw import models
from sw.errors import CompileError
from sw.train import checkpoint, data
from sw.train.loop import EpochResult, evaluate, train
from sw.train.recipes import RECIPES, Recipe, recipe_for

__all__ = ["main"]

#: Epochs between evaluations on the test set; they are shown and choose nothing.
EVALUATE_EVERY = 5

#: Settings of a recipe that the command line changes: the lowest legal value, and what must not be reached.
_SETTINGS = {
    "epochs": (1, 10_000), "batch_size": (2, 100_000), "learning_rate": (1e-9, 1), "warmup_epochs": (0, 100),
    "label_smoothing": (0, 1), "shift": (0, 16),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 for input it cannot use, 130 when interrupted."""
    try:
        given = _parser().parse_args(arguments)
        if given.list:
            print(_listing())
        else:
            _run(given)
    except CompileError as error:
        print(f"sw.train: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"sw.train: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sw.train: stopped; the checkpoint is as the last whole epoch left it", file=sys.stderr)
        return 130
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CompileError(f"{message}; --help shows what there is")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m sw.train", description="Train a binary neural network and write its checkpoint.")
    parser.add_argument("--recipe", metavar="NAME", help="a model and all settings of its training, by name")
    parser.add_argument("--model", metavar="NAME", help="a model; its first recipe gives what is not told")
    parser.add_argument("--option", metavar="KEY=JSON", action="append", default=[],
                        help="an option of the model, such as channels=[16,16,32,32]; may be repeated")
    parser.add_argument("--data", metavar="NAME", default="fashion-mnist", help="the data set (%(default)s)")
    parser.add_argument("--data-dir", metavar="PATH", type=Path,
                        help="its folder of IDX files, or an .npz of x_train, y_train, x_test and y_test")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the checkpoint to write, *.safetensors")
    parser.add_argument("--seed", type=int, default=1, help="of weights, order and flips (%(default)s)")
    for name in _SETTINGS:
        kind = float if name in ("learning_rate", "warmup_epochs", "label_smoothing") else int
        parser.add_argument(_flag(name), metavar="N", type=kind, help="instead of the recipe's")
    parser.add_argument("--threads", metavar="N", type=int, help="threads of PyTorch (all cores)")
    parser.add_argument("--list", action="store_true", help="print models, recipes and data sets, and exit")
    return parser


def _listing() -> str:
    lines = ["models (with the defaults of their options)"]
    for name in models.names():
        lines.append(f"  {name:<20}{models.summary(name)}")
        lines += [f"  {'':<20}{key}={json.dumps(value)}" for key, value in models.options(name).items()]
    lines.append("recipes")
    lines += [f"  {name:<20}{recipe.model}, {recipe.epochs} epochs" for name, recipe in RECIPES.items()]
    lines.append("data sets (where they are looked for)")
    lines += [f"  {name:<20}{source.folder}" for name, source in data.SOURCES.items()]
    return "\n".join(lines)


def _recipe(given: argparse.Namespace) -> Recipe:
    """The recipe with the command line's changes, checked."""
    if (given.recipe is None) == (given.model is None):
        raise CompileError("give one of --model and --recipe; --list shows them")
    if given.recipe is not None and given.recipe not in RECIPES:
        raise CompileError(f"unknown recipe: {given.recipe!r}. There are: {', '.join(RECIPES)}")
    recipe = RECIPES[given.recipe] if given.recipe is not None else recipe_for(given.model)
    changes = {name: getattr(given, name) for name in _SETTINGS if getattr(given, name) is not None}
    if not 0 <= given.seed < 1 << 63:
        raise CompileError(f"--seed must be at least 0 and below 2^63, not {given.seed}")
    for name, value in changes.items():
        least, below = _SETTINGS[name]
        if not least <= value < below:
            raise CompileError(f"{_flag(name)} must be at least {least:g} and below {below:g}, not {value:g}")
    options = {**recipe.options, **dict(_option(text) for text in given.option)}
    return dataclasses.replace(recipe, **changes, options=options)


def _option(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        raise CompileError(f"--option must be KEY=JSON, such as bits=4, not {text!r}") from None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _run(given: argparse.Namespace) -> None:
    recipe = _recipe(given)
    if given.out is None or given.out.suffix != ".safetensors" or given.out.is_dir():
        raise CompileError(f"--out must name a file ending in .safetensors, not {given.out}")
    if given.threads is not None:
        if given.threads < 1:
            raise CompileError(f"--threads must be at least 1, not {given.threads}")
        torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    model = models.build(recipe.model, **recipe.options)
    dataset = data.load(given.data, given.data_dir)
    _check_fit(model, dataset)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    metadata = checkpoint.Metadata(
        recipe=recipe, data=given.data, seed=given.seed, epochs_done=0,
        versions={"torch": version("torch"), "threads": str(torch.get_num_threads())})
    weights = sum(parameter.numel() for parameter in model.parameters())
    tqdm.write(f"{recipe.model}: {weights} parameters, seed {given.seed}, {recipe.epochs} epochs of "
               f"{len(dataset.train_images)} images of {given.data}")
    started = time.monotonic()

    def after_epoch(result: EpochResult) -> None:
        accuracy = None
        if result.epoch % EVALUATE_EVERY == 0 or result.epoch == recipe.epochs:
            accuracy = evaluate(model, dataset.test_images, dataset.test_labels)
        checkpoint.save(given.out, model, dataclasses.replace(metadata, epochs_done=result.epoch,
                                                              test_accuracy=accuracy))
        seconds = (time.monotonic() - started) / result.epoch * (recipe.epochs - result.epoch)
        tqdm.write(f"epoch {result.epoch}/{recipe.epochs}: loss {result.loss:.4f}, "
                   f"training accuracy {result.train_accuracy:.2%}"
                   + (f", test accuracy {accuracy:.2%}" if accuracy is not None else "")
                   + f", {seconds / 60:.0f} min left")

    train(model, recipe, dataset, seed=given.seed, after_epoch=after_epoch, progress=sys.stderr.isatty())
    tqdm.write(f"wrote {given.out}")


def _check_fit(model: nn.Sequential, dataset: data.Dataset) -> None:
    """Raise ``CompileError`` unless the model takes the images and has a score for every class."""
    if len(dataset.train_images) < 2:
        raise CompileError("the data has one training image; batch norm needs at least two")
    size = tuple(dataset.train_images.shape[1:])
    try:
        with torch.inference_mode():
            classes = model.eval()(dataset.train_images[:1]).shape[1]
    except RuntimeError:
        raise CompileError(f"the model does not take the data's images of {size}; give --option image="
                           f"{json.dumps(size)}") from None
    if classes < dataset.classes:
        raise CompileError(f"the model has {classes} classes and the data {dataset.classes}; give --option "
                           f"classes={dataset.classes}")


if __name__ == "__main__":
    sys.exit(main())

"""The command line of ``python -m sw.compare``: its own options, and those of ``python -m sw.train``."""

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sw import models
from sw.command import Parser
from sw.errors import CompileError
from sw.models.methods import METHODS
from sw.names import nearest
from sw.train import data, options
from sw.train.recipes import SETTINGS, Recipe

__all__ = ["AUGMENTATION", "able", "budget", "listing", "parse"]

#: Flip and shift for each data set, unless told; mirrored digits would be other characters.
AUGMENTATION: Mapping[str, tuple[bool, int]] = MappingProxyType({
    "fashion-mnist": (True, 1), "mnist": (False, 1), "cifar10": (True, 4), "folder": (True, 4)})

_EPILOG = """All options of python -m sw.train that say on what and how to train are taken too, and hold for every
network: --data, --data-dir, --image-size, --limit, --option, --seed (the first of the seeds), --teacher, --device,
--threads (of each training; all cores over --jobs), and every setting, such as --epochs, --batch-size and
--learning-rate."""


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m sw.compare", description="Train methods under one budget, and compare them.",
                     epilog=_EPILOG, allow_abbrev=False)
    parser.add_argument("--list", action="store_true", help="print methods, models and data sets, and exit")
    parser.add_argument("--models", metavar="NAMES", default="resnet20",
                        help="models that take a method, with commas between them (%(default)s)")
    parser.add_argument("--methods", metavar="NAMES", default="all",
                        help="methods with commas between them, or all (%(default)s)")
    parser.add_argument("--seeds", metavar="N", type=int, default=2, help="trainings of each network (%(default)s)")
    parser.add_argument("--jobs", metavar="N", type=int, default=1,
                        help="trainings at a time, each in a process of its own (%(default)s); small networks train "
                        "more efficiently on a core each")
    parser.add_argument("--out", metavar="FOLDER", type=Path,
                        help="for comparison.md, .json, .svg and .png, results and checkpoints; what is finished there "
                        "is not trained again")
    return parser


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """All options in one; ``models`` and ``methods`` become tuples of names.

    Raises ``CompileError`` for what does not exist or cannot be.
    """
    own, rest = _parser().parse_known_args(arguments)
    given = options.parser().parse_args(rest)
    if (given.model, given.method, given.recipe) != (None,) * 3:
        raise CompileError("--models and --methods say what is compared; --model, --method and --recipe are for "
                           "python -m sw.train")
    result = argparse.Namespace(**{**vars(given), **vars(own), "list": own.list or given.list})
    if result.list:
        return result
    result.models = _names("model", own.models, able())
    result.methods = tuple(METHODS) if own.methods == "all" else _names("method", own.methods, tuple(METHODS))
    for name in ("seeds", "jobs", *["threads"] * (given.threads is not None)):
        if getattr(result, name) < 1:
            raise CompileError(f"--{name} must be at least 1, not {getattr(result, name)}")
    if own.out is None:
        raise CompileError("--out must name the folder to write to")
    return result


def _names(kind: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    return tuple(dict.fromkeys(nearest(kind, name, known, CompileError) for name in names))


def able() -> tuple[str, ...]:
    """The models that take a method."""
    return tuple(name for name in models.names() if "method" in models.options(name))


def budget(given: argparse.Namespace) -> dict[str, Any]:
    """Every setting of training, the same for all networks: a ``Recipe``'s defaults unless told.

    Flip and shift follow the data set.
    """
    settings = {field.name: field.default for field in dataclasses.fields(Recipe) if field.name in SETTINGS}
    settings["flip"], settings["shift"] = AUGMENTATION.get(given.data, (False, 0))
    told = {name: getattr(given, name) for name in SETTINGS if getattr(given, name) is not None}
    return {**settings, **told}


def listing() -> str:
    """What there is to choose from, as ``--list`` prints it."""
    lines = ["methods"]
    lines += [f"  {name:<20}{method.summary}" for name, method in METHODS.items()]
    lines.append("models that take a method")
    lines += [f"  {name:<20}{models.summary(name)}" for name in able()]
    lines.append("data sets (where they are looked for)")
    lines += [f"  {name:<20}{source.folder or 'where --data-dir says'}" for name, source in data.SOURCES.items()]
    return "\n".join(lines)

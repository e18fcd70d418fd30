"""How a network is trained: every setting that decides the result, in TOML files beside this one.

``networks.toml`` has whole recipes by name, those of the shipped networks among them. ``methods.toml`` has a table for
each method: what is common to the models that it trains, and in a table named like a model what is particular to it.
"""

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sw.errors import CompileError
from sw.names import nearest

__all__ = ["RECIPES", "SETTINGS", "Recipe", "Setting", "recipe_for"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Setting:
    """What a field of ``Recipe`` may hold: one of ``choices``, or a value of ``kind`` from ``least`` to ``most``."""

    kind: type[bool] | type[int] | type[float] | type[str]
    summary: str
    least: float = 0
    most: float = 1
    choices: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> None:
        """Raise ``CompileError`` with the name, the value and what is legal unless ``value`` is."""
        if self.kind is str:
            legal, fits = "one of " + ", ".join(self.choices), value in self.choices
        elif self.kind is bool:
            legal, fits = "true or false", isinstance(value, bool)
        else:
            legal = f"{'a whole number ' * (self.kind is int)}from {self.least:.10g} to {self.most:.10g}"
            number = isinstance(value, int if self.kind is int else int | float) and not isinstance(value, bool)
            fits = number and self.least <= value <= self.most  # type: ignore[operator]
        if not fits:
            raise CompileError(f"{name} must be {legal}, not {value!r}")


def _setting(default: Any, summary: str, least: float = 0, most: float = 1, choices: Sequence[str] = ()) -> Any:
    setting = Setting(type(default), summary, least, most, tuple(choices))
    return field(default=default, metadata={"setting": setting})


@dataclass(frozen=True)
class Recipe:
    """A model with its options, and the settings of its training.

    ``optimizer`` is "adam" or "sgd" (momentum 0.9, not Nesterov's); ``weight_decay`` is L2 and acts on the weights of
    layers, never on scales, biases, slopes or batch norms. The learning rate rises linearly over ``warmup_epochs`` to
    ``learning_rate`` and falls to zero as ``schedule`` says, on a "cosine" or a "linear" ramp. ``flip`` and ``shift``
    are those of ``sw.train.augment``. ``bfloat16`` runs the convolutions of training (never evaluation) with 8-bit
    mantissas.

    Two-step training (Liu et al., "ReActNet", ECCV 2020; "AdamBNN", ICML 2021) begins with ``real_weight_epochs``
    in which activations are binary and weights real, under ``real_weight_decay``; optimiser and schedule then start
    anew. ``distillation`` is the share of a teacher in the loss, from 0 to 1 (see ``sw.train.loss``), at
    ``temperature``. Lists among the options become tuples.

    With ``word_bits`` a trained network is fine-tuned as the integers that it is exported as (docs/numerics.md):
    words of so many bits, ``word_fraction`` of them behind the point, calibrated if it is 0. The log's accuracies
    on test images are then those of the integers.

    Raises ``CompileError`` for a value that its ``Setting`` does not allow.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = _setting(60, "epochs, or those of the second step", 1, 10_000)
    batch_size: int = _setting(128, "images a step", 2, 100_000)
    optimizer: str = _setting("adam", "adam or sgd (momentum 0.9)", choices=("adam", "sgd"))
    learning_rate: float = _setting(1e-3, "the highest learning rate", 1e-9, 1)
    schedule: str = _setting("cosine", "how the learning rate falls: cosine or linear", choices=("cosine", "linear"))
    warmup_epochs: float = _setting(1.0, "epochs in which the learning rate rises", 0, 100)
    weight_decay: float = _setting(0.0, "L2 of the weights of layers", 0, 1)
    label_smoothing: float = _setting(0.0, "share of all classes in each label", 0, 0.9)
    distillation: float = _setting(0.0, "share of the teacher in the loss; above 0 it needs --teacher", 0, 1)
    temperature: float = _setting(1.0, "by which both logits are divided in distillation", 0.1, 100)
    real_weight_epochs: int = _setting(0, "epochs of a first step with real weights", 0, 10_000)
    real_weight_decay: float = _setting(0.0, "L2 of the weights of layers in the first step", 0, 1)
    flip: bool = _setting(False, "mirror images at random")
    shift: int = _setting(0, "move images at random by up to so many pixels", 0, 16)
    word_bits: int = _setting(0, "width of the words with which --fine-tune computes", 0, 16)
    word_fraction: int = _setting(0, "bits of a word behind the point; 0 has them chosen from the data", 0, 15)
    bfloat16: bool = _setting(False, "convolve with 8-bit mantissas in training (default on a GPU)")

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not isinstance(self.options, Mapping):
            raise CompileError(f"a recipe's model must be a name and its options a table, not {self.model!r} and "
                               f"{self.options!r}")
        object.__setattr__(self, "options", {
            key: tuple(value) if isinstance(value, list) else value for key, value in self.options.items()
        })
        for name, setting in SETTINGS.items():
            setting.check(name, getattr(self, name))


#: What each field of ``Recipe`` may hold, besides the model and its options.
SETTINGS: Mapping[str, Setting] = MappingProxyType({
    each.name: each.metadata["setting"] for each in dataclasses.fields(Recipe) if each.metadata})


@cache
def _read(name: str) -> Mapping[str, Any]:
    with (_FOLDER / name).open("rb") as file:
        return tomllib.load(file)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {name: Recipe(**values) for name, values in _read("networks.toml").items()})


def _published(method: str, model: str) -> dict[str, Any]:
    table = _read("methods.toml")[method]
    settings: dict[str, Any] = {}
    for level in (table, table.get(model, {})):
        if "like" in level:
            settings |= _published(level["like"], model)
        settings |= {key: value for key, value in level.items() if key in SETTINGS}
    return settings


def recipe_for(model: str, method: str | None = None) -> Recipe:
    """The settings that a model is trained with unless told.

    With a method, those of its table and of the model's within it; the method is then among the options. Without one,
    those of the first of ``RECIPES`` for the model. Raises ``CompileError`` for a method without a table.
    """
    if method is not None:
        nearest("method", method, tuple(_read("methods.toml")), CompileError)
        return Recipe(model, {"method": method}, **_published(method, model))
    for recipe in RECIPES.values():
        if recipe.model == model and "method" not in recipe.options:
            return recipe
    return Recipe(model=model)

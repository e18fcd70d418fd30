"""How each network was trained: every setting that decides the result, under a name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

__all__ = ["RECIPES", "Recipe", "recipe_for"]


@dataclass(frozen=True)
class Recipe:
    """A model with its options, and the settings of its training.

    The optimiser is Adam without weight decay; its learning rate rises linearly over ``warmup_epochs`` to
    ``learning_rate`` and falls to zero on a cosine. ``flip`` and ``shift`` are those of ``sw.train.augment``.
    ``bfloat16`` runs the convolutions of training (never evaluation) with 8-bit mantissas. Lists among the
    options become tuples.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 1e-3
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.0
    flip: bool = False
    shift: int = 0
    bfloat16: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", {
            key: tuple(value) if isinstance(value, list) else value for key, value in self.options.items()
        })


RECIPES: Mapping[str, Recipe] = MappingProxyType({
    "mlp-fashion": Recipe(model="mlp", epochs=60),
    "cnn-fashion": Recipe(
        model="cnn", options={"channels": (48, 48, 48, 48, 48), "pools": (2, 4, 5)},
        epochs=55, learning_rate=5e-3, flip=True, shift=1, bfloat16=True,
    ),
    "cnn-small-fashion": Recipe(
        model="cnn", options={"channels": (16, 16, 32, 32), "pools": (2, 4)},
        epochs=20, learning_rate=5e-3, flip=True, shift=1, bfloat16=True,
    ),
})


def recipe_for(model: str) -> Recipe:
    """The settings that a model is trained with unless told: those of its first recipe."""
    for recipe in RECIPES.values():
        if recipe.model == model:
            return recipe
    return Recipe(model=model)

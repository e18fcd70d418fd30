"""The networks that Popforge trains, by name."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from sw.errors import CompileError
from sw.models.cnn import cnn
from sw.models.mlp import mlp

__all__ = ["ModelError", "build", "names", "options", "summary"]


class ModelError(CompileError):
    """A model name or option that does not exist."""


_MODELS: Mapping[str, Callable[..., nn.Sequential]] = MappingProxyType({"cnn": cnn, "mlp": mlp})


def names() -> tuple[str, ...]:
    """The names that ``build`` takes."""
    return tuple(sorted(_MODELS))


def build(name: str, **given: Any) -> nn.Sequential:
    """A freshly initialised model; ``options(name)`` lists what may be given.

    The order of modules is input, then convolution or linear layer, optionally max pool, batch norm, sign,
    and so on, and a ``ScoreHead`` at the end. Raises ``ModelError`` for an unknown name or option and
    ``CompileError`` for a bad value.
    """
    make = _MODELS[_known("model", name, names())]
    for option in given:
        _known(f"option of {name}", option, tuple(options(name)))
    try:
        return make(**given)
    except TypeError:
        raise ModelError(f"{name}: the options {given} are not of the types in its defaults "
                         f"{options(name)}") from None


def options(name: str) -> dict[str, Any]:
    """The options of a model and their defaults. Raises ``ModelError`` for an unknown name."""
    make = _MODELS[_known("model", name, names())]
    return {key: parameter.default for key, parameter in inspect.signature(make).parameters.items()}


def summary(name: str) -> str:
    """One line on a model. Raises ``ModelError`` for an unknown name."""
    text = inspect.getdoc(_MODELS[_known("model", name, names())]) or ""
    return text.splitlines()[0].replace("``", "")


def _known(kind: str, given: str, known: tuple[str, ...]) -> str:
    if given in known:
        return given
    nearest = difflib.get_close_matches(given, known, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
    raise ModelError(f"unknown {kind}: {given!r}{hint} There are: {', '.join(known)}")

"""The networks that Popforge trains, by name."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from sw.errors import CompileError
from sw.models.cnn import cnn
from sw.models.methods import METHOD_OPTIONS
from sw.models.mlp import mlp
from sw.models.reactnet import reactnet_a
from sw.models.resnet import reactnet_resnet18, resnet8, resnet18, resnet20
from sw.models.teacher import teacher
from sw.models.vgg import cnv, lfc, sfc, tfc, vgg_small, vgg_tiny
from sw.names import nearest

__all__ = ["ModelError", "build", "names", "options", "summary"]


class ModelError(CompileError):
    """A model name or option that does not exist."""


_MODELS: Mapping[str, Callable[..., nn.Sequential]] = MappingProxyType({
    "cnn": cnn, "cnv": cnv, "lfc": lfc, "mlp": mlp, "reactnet-a": reactnet_a, "reactnet-resnet18": reactnet_resnet18,
    "resnet8": resnet8, "resnet18": resnet18, "resnet20": resnet20, "sfc": sfc, "teacher": teacher, "tfc": tfc,
    "vgg-small": vgg_small, "vgg-tiny": vgg_tiny,
})


def names() -> tuple[str, ...]:
    """The names that ``build`` takes."""
    return tuple(sorted(_MODELS))


def build(name: str, **given: Any) -> nn.Sequential:
    """A freshly initialised model; ``options(name)`` lists what may be given.

    It begins with a ``PixelInput`` and, unless it is a teacher, can be exported. Raises ``ModelError`` for an unknown
    name or option and ``CompileError`` for a bad value.
    """
    make = _MODELS[nearest("model", name, names(), ModelError)]
    for option in given:
        nearest(f"option of {name}", option, tuple(options(name)), ModelError)
    try:
        return make(**given)
    except TypeError:
        raise ModelError(f"{name}: the options {given} are not of the types in its defaults "
                         f"{options(name)}") from None


def options(name: str) -> dict[str, Any]:
    """The options of a model and their defaults; None where the method decides.

    Raises ``ModelError`` for an unknown name.
    """
    make = _MODELS[nearest("model", name, names(), ModelError)]
    parameters = inspect.signature(make).parameters.values()
    found = {parameter.name: parameter.default for parameter in parameters
             if parameter.kind is not parameter.VAR_KEYWORD}
    return {**found, **dict.fromkeys(METHOD_OPTIONS)} if "method" in found else found


def summary(name: str) -> str:
    """One line on a model. Raises ``ModelError`` for an unknown name."""
    text = inspect.getdoc(_MODELS[nearest("model", name, names(), ModelError)]) or ""
    return text.splitlines()[0].replace("``", "")

"""RepTran: any network of the library rewritten for repeated channels, with as many weights and operations."""

from collections.abc import Callable

from torch import nn

from sw.errors import CompileError

__all__ = ["repeat_channels"]


def repeat_channels(model: nn.Module, beta: int) -> nn.Module:
    """Rewrite a model in place so that every map has ``beta`` times the channels; gives it back, freshly initialised.

    A binary convolution of C to O channels becomes one of ``beta C`` to ``O / beta`` whose result is repeated
    ``beta**2`` times before a batch norm of ``beta O`` channels: weights and multiply-accumulates stay as many. The
    first convolution stays, its result is repeated. All that is learned a channel, and the last layer's input, becomes
    ``beta`` times as wide. ``beta`` 1 is the identity. From Shi et al., "RepBNN: towards a precise Binary Neural
    Network with Enhanced Feature Map via Repeating" (2022), whose code has ``beta`` 2.

    Raises ``CompileError`` if ``beta`` is no positive integer or does not divide the channels of a convolution.
    """
    if not isinstance(beta, int) or beta < 1:
        raise CompileError(f"beta must be a positive integer, not {beta!r}")
    if beta > 1:
        _rewrite(model, beta, "")
    return model


def _rewrite(module: nn.Module, beta: int, prefix: str) -> None:
    for name, child in list(module.named_children()):
        repeated: Callable[[int], nn.Module] | None = getattr(child, "repeated", None)
        if repeated is None:
            _rewrite(child, beta, f"{prefix}{name}.")
            continue
        try:
            setattr(module, name, repeated(beta))
        except ValueError as error:
            raise CompileError(f"{prefix}{name}: {error}; take another beta or other widths") from None

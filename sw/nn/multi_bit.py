"""Weights of several bits, for the first and the last layer, as bipolar odd integers. See docs/numerics.md."""

from typing import Any

import torch
from torch import Tensor

from sw.nn.estimators import STE
from sw.nn.weights import WeightBinarizer

__all__ = ["MultiBit", "odd_integers"]


def _odd(x: Tensor, most: int) -> Tensor:
    """The odd integer nearest to ``x``, within ``most``, with derivative 1."""
    odd = (x.detach() / 2).floor().mul_(2).add_(1).clamp_(-most, most)
    return x + (odd - x.detach()) if x.requires_grad and torch.is_grad_enabled() else odd


def odd_integers(weight: Tensor, bits: int) -> tuple[Tensor, float]:
    """Weights of a whole layer as odd integers ``float64`` of ``bits`` bits, and the unit that they all count."""
    most = (1 << bits) - 1
    unit = float(weight.detach().abs().max()) / most or 1.0
    return _odd(weight.double() / unit, most), unit


class MultiBit(WeightBinarizer):
    """Weights of ``bits`` bits: the odd integer nearest to ``w / s``, from ``-(2**bits - 1)`` to ``2**bits - 1``.

    ``s``, the ``scale``, is ``max |w| / (2**bits - 1)`` of each output channel, detached; ``signs`` gives the odd
    integers, which are sums of +-1 planes, with derivative ``1 / s``, so that the product of both has derivative 1. A
    channel of zeros has scale 1.

    Raises ``ValueError`` unless ``bits`` is 2 to 8.
    """

    def __init__(self, out_channels: int, bits: int):
        if bits not in range(2, 9):
            raise ValueError(f"MultiBit bits must be from 2 to 8, not {bits!r}")
        super().__init__(out_channels, STE())
        self.bits = bits
        self.most = (1 << bits) - 1

    def signs(self, weight: Tensor, coarser: Tensor | None = None) -> Tensor:
        """The odd integers, in the shape and dtype of ``weight``; for units ``coarser`` (O,) times ``s`` if given."""
        unit = self.scale(weight)
        if coarser is not None:
            unit = (unit * coarser).to(unit.dtype)
        return _odd(weight / unit.view(-1, *[1] * (weight.ndim - 1)), self.most)

    def scale(self, weight: Tensor) -> Tensor:
        """``s`` of the class."""
        largest = weight.detach().flatten(1).abs().amax(1)
        return torch.where(largest > 0, largest, torch.full_like(largest, self.most)) / self.most

    def _settings(self) -> dict[str, Any]:
        return {"bits": self.bits}

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.out_channels}, bits={self.bits}"

"""Binarisation: sign with sign(0) = +1, and the surrogate gradients that train through it.

The forward function and the surrogate derivative are separate objects: ``sign(x, estimator)`` takes any
object whose call returns g(x), the elementwise factor that replaces the derivative of sign. An estimator with
a schedule, such as EDE(t, k) with g(x) = k t (1 - tanh(t x)**2), is one more frozen dataclass.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["ApproxSign", "ClippedSTE", "Estimator", "round_straight_through", "sign"]


class Estimator(Protocol):
    """A surrogate derivative of sign."""

    def __call__(self, x: Tensor) -> Tensor:
        """The factor g(x) by which an incoming gradient is multiplied: shape and dtype of ``x``."""
        ...


@dataclass(frozen=True)
class ClippedSTE:
    """Straight-through estimator, clipped: g(x) = 1 where ``|x| <= limit``, else 0.

    With limit 1 it is the one of Hubara et al., "Binarized Neural Networks" (NeurIPS 2016).
    """

    limit: float = 1.0

    def __call__(self, x: Tensor) -> Tensor:
        """See the class."""
        return (x.abs() <= self.limit).to(x.dtype)


@dataclass(frozen=True)
class ApproxSign:
    """Triangle: g(x) = max(0, 2 - 2 |x|), the derivative of a piecewise quadratic close to sign.

    From Liu et al., "Bi-Real Net" (ECCV 2018).
    """

    def __call__(self, x: Tensor) -> Tensor:
        """See the class."""
        return x.abs().mul_(-2).add_(2).clamp_min_(0)


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, estimator: Estimator) -> Tensor:
        ctx.save_for_backward(x)
        ctx.estimator = estimator
        return (x >= 0).to(x.dtype).mul_(2).sub_(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return ctx.estimator(x) * gradients[0], None


def sign(x: Tensor, estimator: Estimator) -> Tensor:
    """+1 where ``x >= 0`` (zero and negative zero too), else -1; shape and dtype of ``x``.

    Backward multiplies the incoming gradient by ``estimator(x)``.
    """
    result: Tensor = _Sign.apply(x, estimator)
    return result


class _Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def round_straight_through(x: Tensor) -> Tensor:
    """The nearest integer, halves to even, with derivative 1."""
    result: Tensor = _Round.apply(x)
    return result

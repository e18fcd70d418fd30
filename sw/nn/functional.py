"""Sign with sign(0) = +1 and a gradient of choice, and rounding that gradients pass.

The forward function and the surrogate derivative are separate objects: the estimators of ``sw.nn.estimators``,
or any callable that gives g(x), the elementwise factor that replaces the derivative of sign.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, autograd

__all__ = ["round_straight_through", "sign"]


class _Sign(autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, estimator: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.estimator = estimator
        return (x >= 0).to(x.dtype).mul_(2).sub_(1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return ctx.estimator(x) * gradients[0], None


def sign(x: Tensor, estimator: Callable[[Tensor], Tensor]) -> Tensor:
    """+1 where ``x >= 0`` (zero and negative zero too), else -1; shape and dtype of ``x``.

    Backward multiplies the incoming gradient by ``estimator(x)``.
    """
    result: Tensor = _Sign.apply(x, estimator)
    return result


class _Round(autograd.Function):
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

"""Gradient estimators: what stands in for the derivative of sign in the backward pass.

An estimator is an immutable object whose call gives g(x), the elementwise factor by which a gradient is
multiplied on its way back through sign. ``surrogate`` is the function whose derivative g is: the network is
trained as if sign were that function. An estimator with a schedule gives by ``at`` the one of an epoch.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["EDE", "STE", "ApproxSign", "ClippedSTE", "EDESchedule", "Estimator", "LongTail", "elapsed"]


def elapsed(epoch: int, epochs: int) -> float:
    """``epoch / epochs``, from 0 at the first epoch to ``1 - 1 / epochs`` at the last, as papers' schedules count.

    Raises ``ValueError`` unless ``epoch`` is from 0 to ``epochs - 1``.
    """
    if not 0 <= epoch < epochs:
        raise ValueError(f"epoch must be from 0 to epochs - 1, not {epoch!r} of {epochs!r}")
    return epoch / epochs


class Estimator(ABC):
    """A surrogate derivative of sign."""

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """The factor g(x) by which an incoming gradient is multiplied: shape and dtype of ``x``."""

    @abstractmethod
    def surrogate(self, x: Tensor) -> Tensor:
        """The odd function, 0 at 0, whose derivative is g: shape and dtype of ``x``."""

    def at(self, epoch: int, epochs: int) -> "Estimator":
        """The estimator of one epoch, counted from 0 to ``epochs - 1``: itself where there is no schedule."""
        return self


@dataclass(frozen=True)
class STE(Estimator):
    """Straight-through estimator: g(x) = 1, the derivative of x.

    From Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons" (2013).
    """

    def __call__(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.ones_like(x)

    def surrogate(self, x: Tensor) -> Tensor:
        """The identity."""
        return x


@dataclass(frozen=True)
class ClippedSTE(Estimator):
    """Straight-through estimator, clipped: g(x) = 1 where ``|x| <= limit``, else 0.

    With limit 1 it is the one of Hubara et al., "Binarized Neural Networks" (NeurIPS 2016). Raises
    ``ValueError`` unless ``limit`` is positive and finite.
    """

    limit: float = 1.0

    def __post_init__(self) -> None:
        _require_positive("ClippedSTE limit", self.limit)

    def __call__(self, x: Tensor) -> Tensor:
        """See the class."""
        return (x.abs() <= self.limit).to(x.dtype)

    def surrogate(self, x: Tensor) -> Tensor:
        """``x`` clamped to ``[-limit, limit]``."""
        return x.clamp(-self.limit, self.limit)


@dataclass(frozen=True)
class ApproxSign(Estimator):
    """Triangle: g(x) = max(0, 2 - 2 |x|), the derivative of a piecewise quadratic close to sign.

    From Liu et al., "Bi-Real Net" (ECCV 2018).
    """

    def __call__(self, x: Tensor) -> Tensor:
        """See the class."""
        return x.abs().mul_(-2).add_(2).clamp_min_(0)

    def surrogate(self, x: Tensor) -> Tensor:
        """``x (2 - |x|)`` where ``|x| <= 1``, beyond that -1 or +1."""
        inner = x.clamp(-1, 1)
        return inner * (2 - inner.abs())


@dataclass(frozen=True)
class EDE(Estimator):
    """Error decay estimator: g(x) = k t (1 - tanh(t x)**2), the derivative of k tanh(t x).

    From Qin et al., "IR-Net" (CVPR 2020), which moves ``t`` and ``k`` from epoch to epoch: ``EDESchedule``.
    Raises ``ValueError`` unless both are positive and finite.
    """

    t: float
    k: float

    def __post_init__(self) -> None:
        _require_positive("EDE t", self.t)
        _require_positive("EDE k", self.k)

    def __call__(self, x: Tensor) -> Tensor:
        """See the class."""
        return (x * self.t).tanh_().square_().neg_().add_(1).mul_(self.k * self.t)

    def surrogate(self, x: Tensor) -> Tensor:
        """``k tanh(t x)``."""
        return (x * self.t).tanh() * self.k


@dataclass(frozen=True)
class EDESchedule(Estimator):
    """``EDE`` whose ``t`` grows geometrically over the epochs, from ``t_min`` towards ``t_max``.

    In epoch i of E, ``t = 10**(log10(t_min) + i / E * (log10(t_max) - log10(t_min)))`` and
    ``k = max(1 / t, 1)``: while t < 1 the peak of g is 1 and its width shrinks, from then on the peak grows
    as t. Called itself it is the estimator of the first epoch. From Qin et al., "IR-Net" (CVPR 2020); the
    released trainers take 0.1 to 10 for VGG-Small and 0.001 to 10 for ResNet-20.

    Raises ``ValueError`` unless both are positive and finite and ``t_min <= t_max``.
    """

    t_min: float = 1e-1
    t_max: float = 10.0

    def __post_init__(self) -> None:
        _require_positive("EDESchedule t_min", self.t_min)
        _require_positive("EDESchedule t_max", self.t_max)
        if self.t_min > self.t_max:
            raise ValueError(f"EDESchedule t_min must be at most t_max, not {self.t_min!r} with {self.t_max!r}")

    def at(self, epoch: int, epochs: int) -> EDE:
        """See the class. Raises ``ValueError`` unless ``epoch`` is from 0 to ``epochs - 1``."""
        low, high = math.log10(self.t_min), math.log10(self.t_max)
        t = 10 ** (low + elapsed(epoch, epochs) * (high - low))
        return EDE(t, max(1 / t, 1.0))

    def __call__(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.at(0, 1)(x)

    def surrogate(self, x: Tensor) -> Tensor:
        """That of the first epoch."""
        return self.at(0, 1).surrogate(x)


@dataclass(frozen=True)
class LongTail(Estimator):
    """Triangle with a tail: g(x) = 2 - 4 |x| where ``|x| <= 0.4``, 0.4 from there to ``|x| = 1``, else 0.

    After Xu and Cheung, "Accurate and Compact Convolutional Neural Networks with Trained Binarization"
    (BMVC 2019). No code was released, and these numbers are a reconstruction that was not checked against it.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """See the class."""
        magnitude = x.abs()
        # Beyond 0.4 the triangle is below its tail.
        return (2 - 4 * magnitude).clamp_min_(0.4).mul_(magnitude <= 1)

    def surrogate(self, x: Tensor) -> Tensor:
        """``2 x - 2 x |x|`` where ``|x| <= 0.4``, then a line of slope 0.4 that ends at -0.72 and +0.72."""
        near, far = x.clamp(-0.4, 0.4), x.clamp(-1, 1)
        return near * (2 - 2 * near.abs()) + 0.4 * (far - near)


def _require_positive(name: str, value: float) -> None:
    if not (isinstance(value, (int, float)) and 0 < value < math.inf):
        raise ValueError(f"{name} must be a positive finite number, not {value!r}")

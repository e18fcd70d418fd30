"""Weight binarizers: how each published method makes +-1 of real latent weights, and how that is trained.

Every method has one form: sign of the ``latent`` form of the weight, whose backward pass goes through an
estimator and on through that form, and a ``scale`` an output channel. ``weight`` is the parameter of a layer,
``(O, C, K, K)`` or ``(O, I)``; a channel's weights are the ``n`` values under one output index. At inference
only the signs and the scales remain, and a scale is a gain before the batch norm.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sw.nn.estimators import STE, ClippedSTE, EDESchedule, Estimator, LongTail, elapsed
from sw.nn.functional import sign

__all__ = [
    "WEIGHT_BINARIZERS", "WSD", "LibraPB", "MeanScale", "PlainSign", "ReCU", "TrainableScale", "WeightBinarizer",
]

_STE = STE()
_CLIPPED_STE = ClippedSTE()
_EDE = EDESchedule()
_LONG_TAIL = LongTail()

_SMALLEST_STD = 1e-6
"""Weights of a channel that spread less than this count as all equal."""


class WeightBinarizer(nn.Module):
    """What a binary layer asks of a method; as it stands, the plain sign.

    ``estimator`` gives the gradient of the sign, ``current_estimator`` is the one of the epoch last set, that
    of the first epoch until then; a saved state holds parameters only, so training that resumes sets its epoch
    again. No method gives a NaN for equal weights in a channel, forward or backward.

    Raises ``ValueError`` unless ``out_channels`` is a positive integer.
    """

    def __init__(self, out_channels: int, estimator: Estimator):
        if not (isinstance(out_channels, int) and out_channels > 0):
            raise ValueError(f"{type(self).__name__} out_channels must be a positive integer, not {out_channels!r}")
        super().__init__()
        self.out_channels = out_channels
        self.estimator = estimator
        self.current_estimator = estimator.at(0, 1)

    def latent(self, weight: Tensor) -> Tensor:
        """The real weights of which ``signs`` takes the sign: shape of ``weight``, differentiable.

        In the first step of a two-step training they are the weights of the layer, without ``scale``.
        """
        return weight

    def signs(self, weight: Tensor) -> Tensor:
        """The weights +-1 in the shape and dtype of ``weight``, sign(0) = +1, differentiable.

        Raises ``ValueError`` unless ``weight`` has ``out_channels``.
        """
        if weight.shape[0] != self.out_channels:
            raise ValueError(f"{type(self).__name__} of {self.out_channels} output channels cannot take a weight of "
                             f"shape {tuple(weight.shape)}")
        return sign(self.latent(weight), self.current_estimator)

    def scale(self, weight: Tensor) -> Tensor | None:
        """The gain of each output channel, ``(O,)``, which may be zero or negative; None where it is 1."""
        return None

    def penalty(self) -> Tensor | None:
        """A scalar that the loss has to include; None where there is none."""
        return None

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Moves all schedules to ``epoch``, counted from 0 to ``epochs - 1``."""
        self.current_estimator = self.estimator.at(epoch, epochs)

    def like(self, out_channels: int) -> "WeightBinarizer":
        """A new binarizer of the same method and settings for another number of output channels."""
        return type(self)(out_channels, **self._settings())

    def _settings(self) -> dict[str, Any]:
        return {"estimator": self.estimator}

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.out_channels}, estimator={self.estimator!r}"


class PlainSign(WeightBinarizer):
    """sign(w), no scale. Hubara et al., "Binarized Neural Networks" (NeurIPS 2016)."""

    def __init__(self, out_channels: int, estimator: Estimator = _CLIPPED_STE):
        super().__init__(out_channels, estimator)


class MeanScale(WeightBinarizer):
    """sign(w), scaled by the mean of ``|w|`` in each output channel; no gradient goes through the scale.

    Rastegari et al., "XNOR-Net" (ECCV 2016); with clipped STE, as in Liu et al., "ReActNet" (ECCV 2020). A
    channel of zeros has scale 0.
    """

    def __init__(self, out_channels: int, estimator: Estimator = _CLIPPED_STE):
        super().__init__(out_channels, estimator)

    def scale(self, weight: Tensor) -> Tensor:
        """See the class."""
        return weight.detach().flatten(1).abs().mean(1)


class LibraPB(WeightBinarizer):
    """Libra parameter binarization: balanced, standardised, scaled by a power of two.

    In each output channel ``v = (w - mean(w)) / std(w)`` with the unbiased ``std`` (divisor n - 1), the weight
    is sign(v), and its scale 2**s with ``s = round(log2(mean |v|))``, which is detached. Gradients go through
    mean and std. Qin et al., "Forward and Backward Information Retention for Accurate Binary Neural Networks"
    (IR-Net, CVPR 2020), with its estimator; the schedule's ``t_min`` is 1e-3 in the released ResNet-20 trainer.

    A channel whose std is below 1e-6, equal weights among them, is balanced and left undivided; if all its v
    are 0, its scale is 1. Without ``shift`` there is no scale: before a batch norm it changes nothing.
    """

    def __init__(self, out_channels: int, estimator: Estimator = _EDE, shift: bool = True):
        super().__init__(out_channels, estimator)
        self.shift = shift

    def latent(self, weight: Tensor) -> Tensor:
        """The v of the class."""
        balanced = _balance(weight)
        variance = _variance(balanced)
        # Chosen before the root, whose derivative at 0 is infinite.
        std = torch.where(variance > _SMALLEST_STD ** 2, variance, torch.ones_like(variance)).sqrt()
        return (balanced / std).view_as(weight)

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "shift": self.shift}

    @torch.no_grad()
    def scale(self, weight: Tensor) -> Tensor | None:
        """See the class."""
        if not self.shift:
            return None
        mean = self.latent(weight).flatten(1).abs().mean(1)
        exponent = torch.where(mean > 0, mean, torch.ones_like(mean)).log2().round()
        return torch.ldexp(torch.ones_like(mean), exponent)


class ReCU(WeightBinarizer):
    """Rectified clamp unit: weights standardised, dead ones brought back to a quantile, a learned scale.

    In each output channel ``w1 = 2 sqrt(2) (w - mean(w)) / sqrt(var(w) + 1e-5)`` with the unbiased ``var``
    (divisor n - 1); ``latent`` is w1 clamped to +-Q with ``Q = -mean |w1| ln(2 - 2 tau)``, the mean over the
    whole tensor and Q detached. The weight is the sign of that, with a straight-through gradient unless another
    ``estimator`` is given, which the clamp stops outside of +-Q. In epoch e of E, ``tau = A exp(e / E) + B`` goes from
    ``tau_min`` at e = 0 to ``tau_max`` at e = E. The scale is the parameter ``alpha``, uniform in [0, 1) at first; it
    may become negative. Without ``scaled`` there is none: before a batch norm a positive one changes nothing. Xu et
    al., "ReCU: Reviving the Dead Weights in Binary Neural Networks" (ICCV 2021).

    Raises ``ValueError`` unless ``0.5 < tau_min <= tau_max < 1``: there Q is positive and finite.
    """

    def __init__(self, out_channels: int, estimator: Estimator = _STE, tau_min: float = 0.85, tau_max: float = 0.99,
                 scaled: bool = True):
        if not 0.5 < tau_min <= tau_max < 1:
            raise ValueError(f"ReCU tau_min and tau_max must be 0.5 < tau_min <= tau_max < 1, not {tau_min!r} and "
                             f"{tau_max!r}")
        super().__init__(out_channels, estimator)
        self.tau_min = tau_min
        self.tau_max = tau_max
        self.tau = tau_min
        # A tensor, which compiled code takes anew in every epoch, and which no checkpoint has.
        self._limit = nn.Buffer(torch.tensor(_limit(tau_min)), persistent=False)
        self.alpha = nn.Parameter(torch.rand(out_channels)) if scaled else None

    def latent(self, weight: Tensor) -> Tensor:
        """The w1 of the class, clamped."""
        balanced = _balance(weight)
        standard = balanced / ((_variance(balanced) + 1e-5).sqrt() / (2 * math.sqrt(2)))
        limit = standard.detach().abs().mean() * self._limit
        return standard.clamp(-limit, limit).view_as(weight)

    def scale(self, weight: Tensor) -> Tensor | None:
        """``alpha``."""
        return self.alpha

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """See the class. Raises ``ValueError`` unless ``epoch`` is from 0 to ``epochs - 1``."""
        super().set_epoch(epoch, epochs)
        a = (self.tau_max - self.tau_min) / (math.e - 1)
        self.tau = a * math.exp(elapsed(epoch, epochs)) + (self.tau_min - a)
        self._limit.fill_(_limit(self.tau))

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "tau_min": self.tau_min, "tau_max": self.tau_max,
                "scaled": self.alpha is not None}

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.out_channels}, tau_min={self.tau_min:g}, tau_max={self.tau_max:g}"


def _limit(tau: float) -> float:
    """Q of ReCU for weights whose mean magnitude is 1."""
    return -math.log(2 - 2 * tau)


class WSD(WeightBinarizer):
    """Weight self-distribution: sign(w + 0.01 sigmoid(alpha) mean(w)) in each output channel, no scale.

    The mean is detached, ``alpha`` is a parameter ``(O,)``, 0 at first. Xue et al., "Self-Distribution Binary
    Neural Networks" (SD-BNN, 2021), which takes EDE for CIFAR and clipped STE for ImageNet.
    """

    def __init__(self, out_channels: int, estimator: Estimator = _EDE):
        super().__init__(out_channels, estimator)
        self.alpha = nn.Parameter(torch.zeros(out_channels))

    def latent(self, weight: Tensor) -> Tensor:
        """See the class."""
        flat = weight.flatten(1)
        shift = 0.01 * self.alpha.sigmoid() * flat.detach().mean(1)
        return (flat + shift[:, None]).view_as(weight)


class TrainableScale(WeightBinarizer):
    """sign(w), scaled by a learned factor of each output channel, with a penalty on its size.

    The parameter ``alpha`` is the scale, and ``decay * sum(alpha**2)`` is added to the loss. After Xu and
    Cheung, "Accurate and Compact Convolutional Neural Networks with Trained Binarization" (BMVC 2019). No code
    was released; choices of ours are one factor a channel, 1 at first (a plain sign, whatever the latent
    weights), and ``decay``.

    Raises ``ValueError`` unless ``decay`` is finite and not negative.
    """

    def __init__(self, out_channels: int, estimator: Estimator = _LONG_TAIL, decay: float = 1e-5):
        if not 0 <= decay < math.inf:
            raise ValueError(f"TrainableScale decay must be a finite number from 0, not {decay!r}")
        super().__init__(out_channels, estimator)
        self.decay = decay
        self.alpha = nn.Parameter(torch.ones(out_channels))

    def scale(self, weight: Tensor) -> Tensor:
        """``alpha``."""
        return self.alpha

    def penalty(self) -> Tensor:
        """``decay * sum(alpha**2)``."""
        return self.decay * self.alpha.square().sum()

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "decay": self.decay}

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{super().extra_repr()}, decay={self.decay:g}"


WEIGHT_BINARIZERS: Mapping[str, type[WeightBinarizer]] = {
    "sign": PlainSign,
    "mean": MeanScale,
    "libra-pb": LibraPB,
    "recu": ReCU,
    "wsd": WSD,
    "trainable": TrainableScale,
}
"""The methods by name; each is made by ``WEIGHT_BINARIZERS[name](out_channels)``."""


def _balance(weight: Tensor) -> Tensor:
    """``w - mean(w)`` of each output channel, ``(O, n)``."""
    flat = weight.flatten(1)
    # Relative to the first weight equal weights are exact zeros, as their rounded mean would not make them.
    flat = flat - flat[:, :1].detach()
    return flat - flat.mean(1, keepdim=True)


def _variance(balanced: Tensor) -> Tensor:
    """The unbiased variance of each output channel, ``(O, n)`` to ``(O, 1)``; 0 for a single weight."""
    return balanced.square().sum(1, keepdim=True) / max(balanced.shape[1] - 1, 1)

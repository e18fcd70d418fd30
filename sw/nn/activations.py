"""Activation binarizers: how each published method makes +-1 of the real values before a binary convolution.

Each takes ``(N, C, H, W)`` and gives +-1 of that shape, sign(0) = +1; in integer mode it takes words and gives the
same bits that the hardware makes of them. ``scale`` is a gain for the convolution that takes the bits.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sw.nn.estimators import ApproxSign, Estimator
from sw.nn.fixed import FixedModule, round_half_up
from sw.nn.functional import sign
from sw.nn.statistics import InstanceBias, SqueezeExcite

__all__ = [
    "ACTIVATION_BINARIZERS", "ASD", "ActivationBinarizer", "InstaThreshold", "NormalisedSign", "PlainActivation",
    "RSign", "ScaledSign", "SqueezeInstaThreshold",
]

_APPROX_SIGN = ApproxSign()


class ActivationBinarizer(FixedModule):
    """What a block asks of a method; as it stands, the plain sign, with the gradient of ``estimator``."""

    def __init__(self, channels: int, estimator: Estimator = _APPROX_SIGN):
        super().__init__()
        self.channels = channels
        self.estimator = estimator
        self.current_estimator = estimator.at(0, 1)

    def repeated(self, beta: int) -> "ActivationBinarizer":
        """The RepTran form: a new one of ``beta`` times the channels."""
        return type(self)(self.channels * beta, self.estimator)

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Moves the estimator's schedule, if it has one, to ``epoch``, counted from 0 to ``epochs - 1``."""
        self.current_estimator = self.estimator.at(epoch, epochs)

    def scale(self) -> Tensor | None:
        """A scalar by which the bits are to be multiplied; None where it is 1."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        """See the module."""
        return sign(self.as_reals(x), self.current_estimator)

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.channels}, estimator={self.estimator!r}"


class PlainActivation(ActivationBinarizer):
    """sign(x). Hubara et al., "Binarized Neural Networks" (NeurIPS 2016)."""


class NormalisedSign(ActivationBinarizer):
    """sign(x), whose gradient is taken at ``x / sqrt(var + 1e-5)``, the variance of an image's whole map.

    Xu et al., "ReCU" (ICCV 2021). The division changes no sign; it is of training alone, and evaluation skips it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.as_reals(x)
        if self.training:
            # Unbiased, from moments: one pass over the map where var() takes several.
            count = x[0].numel()
            mean = x.mean((1, 2, 3), keepdim=True, dtype=torch.float32)
            moment = x.square().mean((1, 2, 3), keepdim=True, dtype=torch.float32)
            variance = (moment - mean.square()).clamp_min(0) * (count / max(1, count - 1))
            x = x * (variance + 1e-5).rsqrt().to(x.dtype)
        return sign(x, self.current_estimator)


class RSign(ActivationBinarizer):
    """sign(x + beta), beta learned a channel, 0 at first. Liu et al., "ReActNet" (ECCV 2020)."""

    def __init__(self, channels: int, estimator: Estimator = _APPROX_SIGN):
        super().__init__(channels, estimator)
        self.beta = nn.Parameter(torch.zeros(channels))

    def offsets(self) -> Tensor:
        """``beta`` as words, ``float64 (C,)``, in integer mode."""
        assert self.fixed is not None
        return round_half_up(self.beta.double() * self.fixed.one)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        beta = self.beta.to(x.dtype) if self.fixed is None else self.offsets()
        return sign(self.as_reals(x + beta[:, None, None]), self.current_estimator)


class ScaledSign(ActivationBinarizer):
    """sign(x), scaled by a learned factor of the layer, 1 at first.

    After Xu and Cheung, "Accurate and Compact Convolutional Neural Networks with Trained Binarization" (BMVC 2019); no
    code was released, and one factor a layer, 1 at first, is a choice of ours.
    """

    def __init__(self, channels: int, estimator: Estimator = _APPROX_SIGN):
        super().__init__(channels, estimator)
        self.beta = nn.Parameter(torch.ones(()))

    def scale(self) -> Tensor:
        """The factor."""
        return self.beta


class ASD(ActivationBinarizer):
    """Activation self-distribution: ``sign(x + sigmoid(FC(ReLU(FC(mean(x))))))``, a shift an image and channel.

    The mean is over pixels, neither FC has a bias, and the hidden layer has ``C // 16`` features (1 at least). Xue et
    al., "Self-Distribution Binary Neural Networks" (SD-BNN, 2021), whose ImageNet networks take ``C // 8``.
    """

    def __init__(self, channels: int, estimator: Estimator = _APPROX_SIGN, reduction: int = 16):
        super().__init__(channels, estimator)
        self.reduction = reduction
        self.shift = SqueezeExcite(channels, reduction, "sigmoid")

    def repeated(self, beta: int) -> "ASD":
        """See ``ActivationBinarizer``."""
        return ASD(self.channels * beta, self.estimator, self.reduction)

    def sum_format(self, pixels: int) -> tuple[float, int]:
        """What the sum of words over ``pixels`` counts in integer mode, and its width in bits, signed."""
        assert self.fixed is not None
        return 1 / (pixels * self.fixed.one), self.fixed.bits + (pixels - 1).bit_length()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.fixed is None:
            shift = self.shift(x.float().mean((2, 3))).to(x.dtype)
        else:
            shift = self.shift(x.sum((2, 3)), *self.sum_format(x.shape[2] * x.shape[3]))
        return sign(x + shift[:, :, None, None], self.current_estimator)


class InstaThreshold(ActivationBinarizer):
    """sign(x - T), T an ``InstanceBias`` of x in its affine form: a threshold that follows the image's third moment.

    After Lee et al., "INSTA-BNN" (ICCV 2023).
    """

    squeeze_excite = False

    def __init__(self, channels: int, estimator: Estimator = _APPROX_SIGN):
        super().__init__(channels, estimator)
        self.threshold = InstanceBias(channels, self.squeeze_excite)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return sign(x - self.threshold(x), self.current_estimator)


class SqueezeInstaThreshold(InstaThreshold):
    """``InstaThreshold`` with the squeeze-excite branch of the "+" form."""

    squeeze_excite = True


ACTIVATION_BINARIZERS: Mapping[str, type[ActivationBinarizer]] = {
    "sign": PlainActivation,
    "normalised": NormalisedSign,
    "rsign": RSign,
    "trainable": ScaledSign,
    "asd": ASD,
    "insta": InstaThreshold,
    "insta-plus": SqueezeInstaThreshold,
}
"""The methods by name; each is made by ``ACTIVATION_BINARIZERS[name](channels, estimator)``."""

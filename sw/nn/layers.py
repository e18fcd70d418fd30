"""The modules of which an exportable network is a ``torch.nn.Sequential``.

Around them stand plain ``BatchNorm1d/2d``, ``MaxPool2d`` and ``Flatten``. In eval mode every value before a
batch norm is an integer that float32 holds exactly. Latent weights are real; their signs are the network's
weights.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.nn.functional import ApproxSign, ClippedSTE, Estimator, round_straight_through, sign

__all__ = ["BinaryConv2d", "BinaryLinear", "PixelInput", "ScoreHead", "SignActivation"]

_CLIPPED_STE = ClippedSTE()
_APPROX_SIGN = ApproxSign()


class PixelInput(nn.Module):
    """Images ``uint8 (N, C, H, W)`` to odd integers: ``2u - (2**bits - 1)``, ``u = pixel >> (8 - bits)``.

    Raises ``ValueError`` unless ``bits`` is 1 to 8, and ``TypeError`` for images of another dtype.
    """

    def __init__(self, bits: int):
        if bits not in range(1, 9):
            raise ValueError(f"PixelInput bits must be from 1 to 8, not {bits!r}")
        super().__init__()
        self.bits = bits

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        if images.dtype != torch.uint8:
            raise TypeError(f"PixelInput takes uint8 images, not {images.dtype}")
        return (images >> (8 - self.bits)).float().mul_(2).sub_((1 << self.bits) - 1)

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"bits={self.bits}"


class BinaryConv2d(nn.Module):
    """Convolution with weights sign(``weight``), no bias: ``(N, C, H, W)`` to ``(N, O, H', W')``.

    ``weight`` is latent, ``float32 (O, C, K, K)``. ``pad_value`` is what padded taps hold: 0 after a sign; in
    an n-bit first layer black, ``-(2**n - 1)``, for a zero cannot be a sum of +-1 planes. The gradient of the
    latent weights is the one that ``estimator`` gives, clipped STE unless told.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1,
                 padding: int = 0, pad_value: float = 0.0, estimator: Estimator = _CLIPPED_STE):
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.pad_value = pad_value
        self.estimator = estimator
        self.weight = nn.Parameter(_latent(out_channels, in_channels, kernel_size, kernel_size))

    def binary_weight(self) -> Tensor:
        """The weights +-1 that the forward pass uses, ``float32 (O, C, K, K)``, differentiable."""
        return sign(self.weight, self.estimator)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.pad_value and self.padding:
            x = functional.pad(x, [self.padding] * 4, value=self.pad_value)
            return functional.conv2d(x, self.binary_weight(), stride=self.stride)
        return functional.conv2d(x, self.binary_weight(), stride=self.stride, padding=self.padding)

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return (f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
                f"stride={self.stride}, padding={self.padding}, pad_value={self.pad_value:g}")


class BinaryLinear(nn.Module):
    """Fully connected layer with weights sign(``weight``), no bias: ``(N, I)`` to ``(N, O)``.

    ``weight`` is latent, ``float32 (O, I)``; ``estimator`` as in ``BinaryConv2d``.
    """

    def __init__(self, in_features: int, out_features: int, estimator: Estimator = _CLIPPED_STE):
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.estimator = estimator
        self.weight = nn.Parameter(_latent(out_features, in_features))

    def binary_weight(self) -> Tensor:
        """The weights +-1 that the forward pass uses, ``float32 (O, I)``, differentiable."""
        return sign(self.weight, self.estimator)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.linear(x, self.binary_weight())

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.in_features}, {self.out_features}"


class SignActivation(nn.Module):
    """Elementwise sign, sign(0) = +1; its gradient is that of ``estimator``, ApproxSign unless told."""

    def __init__(self, estimator: Estimator = _APPROX_SIGN):
        super().__init__()
        self.estimator = estimator

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return sign(x, self.estimator)

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return repr(self.estimator)


class ScoreHead(nn.Module):
    """Integer sums ``(N, features)`` to logits ``(sum + round(offset)) * scale``.

    ``offset`` is a parameter in units of the sums, one a class, rounded (halves to even) with derivative 1.
    ``scale`` is a power of two, so ``logits / scale`` are the integer scores exactly and the order of classes
    is theirs. Raises ``ValueError`` for another scale.
    """

    def __init__(self, features: int, scale: float):
        if not scale > 0 or math.frexp(scale)[0] != 0.5:
            raise ValueError(f"ScoreHead scale must be a power of two, not {scale!r}")
        super().__init__()
        self.features = features
        self.scale = scale
        self.offset = nn.Parameter(torch.zeros(features))

    def rounded_offset(self) -> Tensor:
        """The integer offsets that the forward pass adds, ``float32 (features,)``, differentiable."""
        return round_straight_through(self.offset)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return (x + self.rounded_offset()) * self.scale

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.features}, scale={self.scale}"


def _latent(*shape: int) -> Tensor:
    """Initial latent weights: uniform, standard deviation ``1 / sqrt(3 fan_in)``, as in PyTorch's layers."""
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return torch.empty(shape).uniform_(-bound, bound)

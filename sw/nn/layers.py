"""The modules of which an exportable network is a ``torch.nn.Sequential``.

Around them stand plain ``BatchNorm1d/2d``, ``MaxPool2d`` and ``Flatten``. In eval mode every value before a
batch norm is an integer that float32 holds exactly. Latent weights are real; their signs are the network's
weights.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.nn.estimators import ApproxSign, Estimator
from sw.nn.functional import round_straight_through, sign
from sw.nn.multi_bit import MultiBit
from sw.nn.weights import PlainSign, WeightBinarizer
from sw.numerics import thermometer_thresholds

__all__ = [
    "BinaryConv2d", "BinaryLinear", "MultiBitConv2d", "PixelInput", "ScoreHead", "SignActivation", "ThermometerInput",
    "initial_weight", "score_scale", "set_epoch", "set_real_weights",
]

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


class ThermometerInput(nn.Module):
    """Images ``uint8 (N, C, H, W)`` to thermometer codes of ``count`` bits, ``(N, count * C, H, W)`` of -1 / +1.

    Those of a channel are side by side; bit k is +1 where the pixel reaches
    ``sw.numerics.thermometer_thresholds(count)[k]``. A black pixel's are all -1. The first convolution is then binary
    like any other (Zhang et al., "FracBNN", FPGA 2021).

    Raises ``ValueError`` unless ``count`` is 1 to 8, and ``TypeError`` for images of another dtype.
    """

    thresholds: Tensor

    def __init__(self, count: int):
        if count not in range(1, 9):
            raise ValueError(f"ThermometerInput count must be from 1 to 8, not {count!r}")
        super().__init__()
        self.count = count
        self.register_buffer("thresholds", torch.from_numpy(thermometer_thresholds(count)), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        if images.dtype != torch.uint8:
            raise TypeError(f"ThermometerInput takes uint8 images, not {images.dtype}")
        reached = images[:, :, None] >= self.thresholds[:, None, None]
        return reached.flatten(1, 2).float().mul_(2).sub_(1)

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"count={self.count}"


class BinaryConv2d(nn.Module):
    """Convolution with binary weights, no bias: ``(N, C, H, W)`` to ``(N, O, H', W')``.

    ``weight`` is latent, ``float32 (O, C / groups, K, K)``; ``binarizer`` makes the weights +-1 of it and their scale
    an output channel, by which the integer sums are multiplied; it is ``PlainSign`` unless told. ``pad_value`` is what
    padded taps hold: 0 after a sign; in an n-bit first layer it may be black, ``-(2**n - 1)``. While ``real_weights``
    is set, the binarizer's ``latent`` weights stand in for the binary ones (two-step training).

    Raises ``ValueError`` for ``groups`` that do not divide both channel counts.
    """

    weight_bits = 1

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0,
                 pad_value: float = 0.0, groups: int = 1, binarizer: WeightBinarizer | None = None):
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"{type(self).__name__} groups must divide {in_channels} input and {out_channels} output "
                             f"channels, not {groups!r}")
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.pad_value = pad_value
        self.groups = groups
        self.binarizer = PlainSign(out_channels) if binarizer is None else binarizer
        self.real_weights = False
        self.weight = nn.Parameter(initial_weight(out_channels, in_channels // groups, kernel_size, kernel_size))

    def binary_weight(self) -> Tensor:
        """The integer weights (here +-1) that the forward pass uses, shape of ``weight``, differentiable."""
        return self.binarizer.signs(self.weight)

    def scale(self) -> Tensor | None:
        """The gain ``(O,)`` of the sums; None where it is 1."""
        return None if self.real_weights else self.binarizer.scale(self.weight)

    def sums(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """The convolution without its scale: integers if ``x`` holds integers and ``real_weights`` is not set.

        ``weight`` is taken in place of the layer's if given.
        """
        if weight is None:
            weight = self.binarizer.latent(self.weight) if self.real_weights else self.binary_weight()
        weight = weight.to(x.dtype)
        if self.weight.is_contiguous(memory_format=torch.channels_last):
            # What a binarizer computes has lost it, and a convolution's result is laid out as its weights are.
            weight = weight.contiguous(memory_format=torch.channels_last)
        if self.pad_value and self.padding:
            x = functional.pad(x, [self.padding] * 4, value=self.pad_value)
            return functional.conv2d(x, weight, stride=self.stride, groups=self.groups)
        return functional.conv2d(x, weight, stride=self.stride, padding=self.padding, groups=self.groups)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        scale = self.scale()
        return self.sums(x) if scale is None else self.sums(x) * scale[:, None, None]

    def like(self, in_channels: int, out_channels: int) -> "BinaryConv2d":
        """A new layer with other channel counts and all else as this one's. Raises ``ValueError`` as the class."""
        return BinaryConv2d(in_channels, out_channels, self.kernel_size, self.stride, self.padding, self.pad_value,
                            self.groups, self.binarizer.like(out_channels))

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return (f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
                f"padding={self.padding}, pad_value={self.pad_value:g}, groups={self.groups}")


class MultiBitConv2d(BinaryConv2d):
    """A ``BinaryConv2d`` of weights of ``weight_bits`` (2 to 8) bits, odd integers; see ``MultiBit``.

    It is what networks have first and last, where the papers use real weights.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0,
                 pad_value: float = 0.0, weight_bits: int = 8):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, pad_value,
                         binarizer=MultiBit(out_channels, weight_bits))
        self.weight_bits = weight_bits

    def like(self, in_channels: int, out_channels: int) -> "MultiBitConv2d":
        """See ``BinaryConv2d``."""
        return MultiBitConv2d(in_channels, out_channels, self.kernel_size, self.stride, self.padding, self.pad_value,
                              self.weight_bits)


class BinaryLinear(nn.Module):
    """Fully connected layer with binary weights, no bias: ``(N, I)`` to ``(N, O)``.

    ``weight`` is latent, ``float32 (O, I)``; ``binarizer`` and ``real_weights`` as in ``BinaryConv2d``.
    """

    weight_bits = 1

    def __init__(self, in_features: int, out_features: int, binarizer: WeightBinarizer | None = None):
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.binarizer = PlainSign(out_features) if binarizer is None else binarizer
        self.real_weights = False
        self.weight = nn.Parameter(initial_weight(out_features, in_features))

    def binary_weight(self) -> Tensor:
        """The weights +-1 that the forward pass uses, ``float32 (O, I)``, differentiable."""
        return self.binarizer.signs(self.weight)

    def scale(self) -> Tensor | None:
        """The gain ``(O,)`` of the sums; None where it is 1."""
        return None if self.real_weights else self.binarizer.scale(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        scale = self.scale()
        sums = functional.linear(x, self.binarizer.latent(self.weight) if self.real_weights else self.binary_weight())
        return sums if scale is None else sums * scale

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return f"{self.in_features}, {self.out_features}"


def set_real_weights(model: nn.Module, real: bool) -> None:
    """Let all binary layers use real weights, or their own again: the first step of a two-step training."""
    for module in model.modules():
        if isinstance(module, BinaryConv2d | BinaryLinear) and module.weight_bits == 1:
            module.real_weights = real


def set_epoch(model: nn.Module, epoch: int, epochs: int) -> None:
    """Call ``set_epoch`` of every module that has one: ``epoch`` is counted from 0 to ``epochs - 1``."""
    for module in model.modules():
        if callable(step := getattr(module, "set_epoch", None)):
            step(epoch, epochs)


class SignActivation(nn.Module):
    """Elementwise sign, sign(0) = +1; its gradient is that of ``estimator``, ApproxSign unless told."""

    def __init__(self, estimator: Estimator = _APPROX_SIGN):
        super().__init__()
        self.estimator = estimator
        self.current_estimator = estimator.at(0, 1)

    def set_epoch(self, epoch: int, epochs: int) -> None:
        """Moves the estimator's schedule, if it has one, to ``epoch``, counted from 0 to ``epochs - 1``."""
        self.current_estimator = self.estimator.at(epoch, epochs)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return sign(x, self.current_estimator)

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return repr(self.estimator)


def score_scale(features: int) -> float:
    """The power of two next to ``1 / sqrt(features)``: sums of so many random signs become logits near 1."""
    return 2.0 ** -round(math.log2(features) / 2)


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


def initial_weight(*shape: int) -> Tensor:
    """Initial latent weights: uniform, standard deviation ``1 / sqrt(3 fan_in)``, as in PyTorch's layers."""
    bound = 1 / math.sqrt(math.prod(shape[1:]))
    return torch.empty(shape).uniform_(-bound, bound)

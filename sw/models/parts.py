"""What the models of more than one method are put together from, and the checks of their options."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sw.errors import CompileError
from sw.models.methods import Method, method_for
from sw.nn.conv_norm import ConvNorm
from sw.nn.layers import BinaryConv2d, MultiBitConv2d, PixelInput
from sw.nn.nonlinear import Hardtanh
from sw.nn.rep import repeat_channels
from sw.numerics import black

__all__ = ["checked", "finish", "start"]


def checked(model: str, image: Sequence[int], classes: int, bits: int, method: str, changes: dict[str, Any]) -> Method:
    """The method with its changes, for options that make a network. Raises ``CompileError`` for others."""
    if len(image) != 3 or min(*image, classes) < 1 or image[1] != image[2]:
        raise CompileError(f"{model}: image must be (C, H, W), all at least 1 and H = W, and classes at least 1, not "
                           f"{tuple(image)} and {classes}; square images with --image-size")
    if bits not in range(1, 9):
        raise CompileError(f"{model}: bits must be 1 to 8, not {bits!r}")
    try:
        return method_for(method, model, **changes)
    except (TypeError, CompileError) as error:
        raise CompileError(f"{model}: {error}") from None


def start(method: Method, image: Sequence[int], channels: int, bits: int, weight_bits: int, *, kernel: int = 3,
          stride: int = 1, padding: int = 1, pool: int = 1, bounded: bool = True) -> nn.Sequential:
    """The input and the first convolution, padded with black; behind it a hardtanh if the method is ``bounded``.

    Raises ``CompileError`` for a ``weight_bits`` that is not 1 to 8.
    """
    if weight_bits not in range(1, 9):
        raise CompileError(f"stem_bits must be 1 to 8, not {weight_bits!r}")
    pad_value = black(bits) if padding else 0
    conv = (BinaryConv2d(image[0], channels, kernel, stride, padding, pad_value) if weight_bits == 1 else
            MultiBitConv2d(image[0], channels, kernel, stride, padding, pad_value, weight_bits))
    model = nn.Sequential()
    model.add_module("input", PixelInput(bits))
    model.add_module("stem", ConvNorm(conv, pool=pool, stem=True))
    if method.bounded and bounded:
        model.add_module("stem_nonlinearity", Hardtanh(channels))
    return model


def finish(model: nn.Sequential, method: Method) -> nn.Sequential:
    """The model with the method's repeated channels."""
    repeat_channels(model, method.beta)
    return model

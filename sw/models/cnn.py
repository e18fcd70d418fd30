"""Chains of binary 3 x 3 convolutions with a fully connected head."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import nn

from sw.errors import CompileError
from sw.names import nearest
from sw.nn import (
    BinaryConv2d,
    BinaryLinear,
    LibraPB,
    PixelInput,
    PlainSign,
    ReCU,
    ScoreHead,
    SignActivation,
    ThermometerInput,
    WeightBinarizer,
    score_scale,
)
from sw.numerics import black

__all__ = ["cnn"]

#: By name, for a number of output channels; without a scale, which the batch norms behind would take in.
_BINARIZERS: Mapping[str, Callable[[int], WeightBinarizer]] = {
    "sign": PlainSign, "libra-pb": partial(LibraPB, shift=False), "recu": partial(ReCU, scaled=False),
}


def cnn(channels: Sequence[int] = (48, 48, 48, 48, 48), pools: Sequence[int] = (2, 4, 5), bits: int = 8,
        image: Sequence[int] = (1, 28, 28), classes: int = 10, weights: str = "sign", thermometer: int = 0,
        strides: Sequence[int] = (), unpadded: Sequence[int] = ()) -> nn.Sequential:
    """Convolutions of ``channels`` output channels each, all 3 x 3, then a linear head.

    Of the convolutions, counted from 1, ``pools`` lists those that a 2 x 2 max pool follows, directly, so that batch
    norm works on the smaller map; ``strides`` those of stride 2, all others have 1; ``unpadded`` those without padding,
    all others have 1 pixel. ``image`` is ``(C, H, W)`` of ``uint8`` images, of which the ``bits`` highest bits are
    used or, unless it is 0, a ``thermometer`` code of so many; its border is padded with black, later maps with zero.
    ``weights`` is how weights are binarized: "sign", "libra-pb" or "recu", all without a scale. Output: logits
    ``(N, classes)``, a power of two times integers.

    Raises ``CompileError`` for options that make no network.
    """
    if not channels or len(image) != 3 or min(*channels, *image, classes) < 1 or bits not in range(1, 9):
        raise CompileError(f"cnn: channels {tuple(channels)}, image {tuple(image)} and classes {classes} "
                           f"must be at least 1, and bits 1 to 8, not {bits}")
    if thermometer not in range(9):
        raise CompileError(f"cnn: thermometer must be 0, for none, or 1 to 8 bits, not {thermometer!r}")
    for option, listed in (("pools", pools), ("strides", strides), ("unpadded", unpadded)):
        if not set(listed) <= set(range(1, len(channels) + 1)):
            raise CompileError(f"cnn: {option} {tuple(listed)} must name convolutions 1 to {len(channels)}")
    binarizer = _BINARIZERS[nearest("weights of cnn", weights, tuple(_BINARIZERS), CompileError)]
    model = nn.Sequential()
    model.add_module("input", ThermometerInput(thermometer) if thermometer else PixelInput(bits))
    border = black(1 if thermometer else bits)
    depth, height, width = image[0] * max(1, thermometer), *image[1:]
    for index, count in enumerate(channels, start=1):
        stride, padding = 1 + (index in strides), int(index not in unpadded)
        model.add_module(f"conv{index}", BinaryConv2d(depth, count, 3, stride, padding,
                                                      border if index == 1 and padding else 0.0,
                                                      binarizer=binarizer(count)))
        height, width = ((size + 2 * padding - 3) // stride + 1 for size in (height, width))
        if index in pools:
            model.add_module(f"pool{index}", nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        if min(height, width) < 1:
            raise CompileError(f"cnn: strides {tuple(strides)}, unpadded {tuple(unpadded)} and pools {tuple(pools)} "
                               f"leave no pixel of {image[1]} x {image[2]} behind convolution {index}; list fewer")
        model.add_module(f"norm{index}", nn.BatchNorm2d(count))
        model.add_module(f"sign{index}", SignActivation())
        depth = count
    features = depth * height * width
    model.add_module("flatten", nn.Flatten())
    model.add_module("head", BinaryLinear(features, classes, binarizer(classes)))
    model.add_module("scores", ScoreHead(classes, score_scale(features)))
    return model

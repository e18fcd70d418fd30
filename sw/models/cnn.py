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
        image: Sequence[int] = (1, 28, 28), classes: int = 10, weights: str = "sign") -> nn.Sequential:
    """Convolutions of ``channels`` output channels each, all 3 x 3, stride 1, padding 1, then a linear head.

    ``pools`` lists the convolutions (counted from 1) that a 2 x 2 max pool follows, directly, so that batch
    norm works on the smaller map. ``image`` is ``(C, H, W)`` of ``uint8`` images, of which the ``bits``
    highest bits are used; its border is padded with black, later maps with zero. ``weights`` is how weights are
    binarized: "sign", "libra-pb" or "recu", all without a scale. Output: logits ``(N, classes)``, a power of two
    times integers.

    Raises ``CompileError`` for options that make no network.
    """
    if not channels or len(image) != 3 or min(*channels, *image, classes) < 1 or bits not in range(1, 9):
        raise CompileError(f"cnn: channels {tuple(channels)}, image {tuple(image)} and classes {classes} "
                           f"must be at least 1, and bits 1 to 8, not {bits}")
    unknown = [pool for pool in pools if not 1 <= pool <= len(channels)]
    side = min(image[1:]) >> len(set(pools))
    if unknown or side < 1:
        raise CompileError(f"cnn: pools {tuple(pools)} must name convolutions 1 to {len(channels)} and leave "
                           f"at least one pixel of {image[1]} x {image[2]}")
    binarizer = _BINARIZERS[nearest("weights of cnn", weights, tuple(_BINARIZERS), CompileError)]
    model = nn.Sequential()
    model.add_module("input", PixelInput(bits))
    depth, height, width = image
    for index, count in enumerate(channels, start=1):
        model.add_module(f"conv{index}", BinaryConv2d(depth, count, 3, padding=1,
                                                      pad_value=black(bits) if index == 1 else 0.0,
                                                      binarizer=binarizer(count)))
        if index in pools:
            model.add_module(f"pool{index}", nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        model.add_module(f"norm{index}", nn.BatchNorm2d(count))
        model.add_module(f"sign{index}", SignActivation())
        depth = count
    features = depth * height * width
    model.add_module("flatten", nn.Flatten())
    model.add_module("head", BinaryLinear(features, classes, binarizer(classes)))
    model.add_module("scores", ScoreHead(classes, score_scale(features)))
    return model

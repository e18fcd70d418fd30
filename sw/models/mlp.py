"""Chains of binary fully connected layers."""

import math
from collections.abc import Sequence

from torch import nn

from sw.errors import CompileError
from sw.nn import BinaryLinear, PixelInput, ScoreHead, SignActivation, score_scale

__all__ = ["mlp"]


def mlp(hidden: Sequence[int] = (64, 64, 64), bits: int = 1, image: Sequence[int] = (1, 28, 28),
        classes: int = 10) -> nn.Sequential:
    """Fully connected layers of ``hidden`` features each, with batch norm and sign, then a linear head.

    ``image`` is ``(C, H, W)`` of ``uint8`` images, of which the ``bits`` highest bits are used; bits 1
    compares a pixel with half of the range. Output: logits ``(N, classes)``, a power of two times integers.
    The default is the topology that the field calls TFC.

    Raises ``CompileError`` for options that make no network.
    """
    if not hidden or len(image) != 3 or min(*hidden, *image, classes) < 1 or bits not in range(1, 9):
        raise CompileError(f"mlp: hidden {tuple(hidden)}, image {tuple(image)} and classes {classes} must be "
                           f"at least 1, and bits 1 to 8, not {bits}")
    model = nn.Sequential()
    model.add_module("input", PixelInput(bits))
    model.add_module("flatten", nn.Flatten())
    features = math.prod(image)
    for index, count in enumerate(hidden, start=1):
        model.add_module(f"linear{index}", BinaryLinear(features, count))
        model.add_module(f"norm{index}", nn.BatchNorm1d(count))
        model.add_module(f"sign{index}", SignActivation())
        features = count
    model.add_module("head", BinaryLinear(features, classes))
    model.add_module("scores", ScoreHead(classes, score_scale(features)))
    return model

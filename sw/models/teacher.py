"""A float network of ordinary convolutions: it teaches binary ones by distillation and is never exported."""

from collections.abc import Sequence

from torch import nn

from sw.errors import CompileError
from sw.nn import PixelInput

__all__ = ["teacher"]


def teacher(channels: Sequence[int] = (32, 64, 64, 128, 128), pools: Sequence[int] = (1, 3, 5),
            image: Sequence[int] = (1, 28, 28), classes: int = 10, dropout: float = 0.2) -> nn.Sequential:
    """Float 3 x 3 convolutions with batch norm and ReLU, pooled to one vector: a teacher for distillation.

    ``pools`` lists the convolutions (counted from 1) that a 2 x 2 max pool follows. Output: logits ``(N, classes)``.
    Raises ``CompileError`` for options that make no network.
    """
    if not channels or len(image) != 3 or min(*channels, *image, classes) < 1 or not 0 <= dropout < 1:
        raise CompileError(f"teacher: channels {tuple(channels)}, image {tuple(image)} and classes {classes} must be "
                           f"at least 1, and dropout from 0 to below 1, not {dropout}")
    if any(not 1 <= pool <= len(channels) for pool in pools) or min(image[1:]) >> len(set(pools)) < 1:
        raise CompileError(f"teacher: pools {tuple(pools)} must name convolutions 1 to {len(channels)} and leave at "
                           f"least one pixel of {image[1]} x {image[2]}")
    model = nn.Sequential(PixelInput(8))
    model.append(nn.BatchNorm2d(image[0], affine=False))
    depth = image[0]
    for index, count in enumerate(channels, start=1):
        model.extend([nn.Conv2d(depth, count, 3, padding=1, bias=False), nn.BatchNorm2d(count), nn.ReLU()])
        if index in pools:
            model.append(nn.MaxPool2d(2))
        depth = count
    model.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(depth, classes)])
    return model

"""ReActNet-A: a MobileNetV1-like network without real convolutions in its body."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sw.errors import CompileError
from sw.models.parts import checked, finish, start
from sw.nn.blocks import DoublingUnit, ResidualUnit
from sw.nn.head import PooledHead

__all__ = ["reactnet_a"]

#: Channels and stride of the 13 blocks, channels in multiples of the stem's.
_BLOCKS = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), (16, 1), (16, 1), (16, 1), (16, 1), (16, 1), (32, 2),
           (32, 1))


def reactnet_a(method: str = "reactnet", image: Sequence[int] = (3, 224, 224), classes: int = 1000, bits: int = 8,
               stem_bits: int = 8, base: int = 32, **changes: Any) -> nn.Sequential:
    """ReActNet-A for ImageNet: 13 blocks of a dense 3 x 3 and a 1 x 1 binary convolution, 28,253,184 weights.

    Liu et al., ECCV 2020. Channels double by two 1 x 1 convolutions on the same bits. ``base`` is the channels of the
    stem, of stride 2. The other options are those of ``resnet20``.
    """
    name = "reactnet-a"
    parts = checked(name, image, classes, bits, method, changes)
    if image[1] % 32 or base < 1:
        raise CompileError(f"{name}: the side of images must be a multiple of 32 and base at least 1, not {image[1]} "
                           f"and {base}; give --image-size 224")
    depth, side = base * parts.width, image[1] // 2
    model = start(parts, image, depth, bits, stem_bits, stride=2)
    for index, (multiple, stride) in enumerate(_BLOCKS, start=1):
        width = multiple * base * parts.width
        model.add_module(f"block{index}a", ResidualUnit(
            parts.activation(depth), parts.conv(depth, depth, 3, stride=stride, padding=1), parts.nonlinear(depth),
            parts.make_shortcut(depth, depth, stride), parts.before, parts.shuffle(depth)))
        if width == depth:
            second: nn.Module = ResidualUnit(
                parts.activation(depth), parts.conv(depth, depth, 1), parts.nonlinear(depth), nn.Identity(),
                parts.before, parts.shuffle(depth))
        else:
            second = DoublingUnit(parts.activation(depth), parts.conv(depth, depth, 1), parts.conv(depth, depth, 1),
                                  parts.nonlinear(width), parts.before, parts.shuffle(depth))
        model.add_module(f"block{index}b", second)
        depth, side = width, side // stride
    model.add_module("head", PooledHead(depth, classes, side))
    return finish(model, parts)

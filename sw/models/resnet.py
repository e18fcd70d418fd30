"""Residual networks of 3 x 3 binary convolutions, for small images and for ImageNet."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sw.errors import CompileError
from sw.models.methods import Method
from sw.models.parts import checked, finish, start
from sw.nn.blocks import PairUnit, PlainUnit, ResidualUnit
from sw.nn.head import PooledHead

__all__ = ["reactnet_resnet18", "resnet8", "resnet18", "resnet20"]


def resnet20(method: str = "recu", image: Sequence[int] = (1, 28, 28), classes: int = 10, bits: int = 8,
             stem_bits: int = 8, widths: Sequence[int] = (16, 32, 64), blocks: int = 3,
             **changes: Any) -> nn.Sequential:
    """ResNet-20: three stages of six 3 x 3 binary convolutions, 267,264 binary weights (He et al., CVPR 2016).

    ``image`` is ``(C, H, W)`` of ``uint8`` images, of which the ``bits`` highest bits are used; the first convolution
    has weights of ``stem_bits``, the last layer of 8. ``widths`` are the channels of the stages, of ``blocks`` blocks
    of two convolutions each; the map halves between them. ``changes`` are fields of ``sw.models.methods.Method``.
    Output: logits ``(N, classes)``.
    """
    return _resnet("resnet20", method, image, classes, bits, stem_bits, widths, blocks, changes)


def resnet8(method: str = "recu", image: Sequence[int] = (1, 28, 28), classes: int = 10, bits: int = 8,
            stem_bits: int = 8, widths: Sequence[int] = (16, 32, 64), blocks: int = 1, **changes: Any) -> nn.Sequential:
    """ResNet-8: as ResNet-20 with one block a stage, 73,728 binary weights, for quick trials."""
    return _resnet("resnet8", method, image, classes, bits, stem_bits, widths, blocks, changes)


def resnet18(method: str = "recu", image: Sequence[int] = (3, 32, 32), classes: int = 10, bits: int = 8,
             stem_bits: int = 8, widths: Sequence[int] = (64, 128, 256, 512), blocks: int = 2,
             **changes: Any) -> nn.Sequential:
    """ResNet-18 for small images: four stages of two blocks, 10,985,472 binary weights without those of shortcuts.

    Images whose side is no multiple of 8 are padded with black to the next one. Options are those of ``resnet20``.
    """
    return _resnet("resnet18", method, image, classes, bits, stem_bits, widths, blocks, changes)


def reactnet_resnet18(method: str = "reactnet", image: Sequence[int] = (3, 224, 224), classes: int = 1000,
                      bits: int = 8, stem_bits: int = 8, widths: Sequence[int] = (64, 128, 256, 512), blocks: int = 2,
                      **changes: Any) -> nn.Sequential:
    """ReActNet's ResNet-18 for ImageNet: 7 x 7 stem of stride 2, max pool, 16 binary convolutions (ECCV 2020).

    The max pool is 2 x 2 and before the batch norm, where the paper's is 3 x 3 behind it: the hardware has the former.
    Options are those of ``resnet20``.
    """
    name = "reactnet-resnet18"
    parts = checked(name, image, classes, bits, method, changes)
    _check_stages(name, widths, blocks)
    multiple = 4 << (len(widths) - 1)
    if image[1] % multiple:
        raise CompileError(f"{name}: the side of images must be a multiple of {multiple}, not {image[1]}; give "
                           f"--image-size {7 * multiple}")
    widths = tuple(width * parts.width for width in widths)
    model = start(parts, image, widths[0], bits, stem_bits, kernel=7, stride=2, padding=3, pool=2)
    depth, side = _stages(model, parts, widths, blocks, image[1] // 4)
    model.add_module("head", PooledHead(depth, classes, side))
    return finish(model, parts)


def _resnet(name: str, method: str, image: Sequence[int], classes: int, bits: int, stem_bits: int,
            widths: Sequence[int], blocks: int, changes: dict[str, Any]) -> nn.Sequential:
    parts = checked(name, image, classes, bits, method, changes)
    _check_stages(name, widths, blocks)
    multiple = 1 << (len(widths) - 1)
    widths = tuple(width * parts.width for width in widths)
    side = -(-image[1] // multiple) * multiple
    if (side - image[1]) % 2:
        raise CompileError(f"{name}: images of side {image[1]} cannot be padded evenly to {side}; give --image-size")
    model = start(parts, image, widths[0], bits, stem_bits, padding=1 + (side - image[1]) // 2)
    depth, side = _stages(model, parts, widths, blocks, side)
    model.add_module("head", PooledHead(depth, classes, side, norm=parts.bounded))
    return finish(model, parts)


def _check_stages(name: str, widths: Sequence[int], blocks: int) -> None:
    if not widths or min(*widths, blocks) < 1:
        raise CompileError(f"{name}: widths {tuple(widths)} and blocks {blocks} must be at least 1")


def _stages(model: nn.Sequential, method: Method, widths: Sequence[int], blocks: int, side: int) -> tuple[int, int]:
    """Add all blocks; returns channels and side of the last map."""
    depth = widths[0]
    for stage, width in enumerate(widths, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            name = f"stage{stage}_block{block}"
            if method.double:
                model.add_module(f"{name}a", _unit(method, depth, width, stride))
                model.add_module(f"{name}b", _unit(method, width, width, 1))
            else:
                model.add_module(name, PairUnit(_plain(method, depth, width, stride), _plain(method, width, width, 1),
                                                method.make_shortcut(depth, width, stride), method.before))
            depth, side = width, side // stride
    return depth, side


def _unit(method: Method, depth: int, width: int, stride: int) -> ResidualUnit:
    return ResidualUnit(method.activation(depth), method.conv(depth, width, 3, stride=stride, padding=1),
                        method.nonlinear(width), method.make_shortcut(depth, width, stride), method.before,
                        method.shuffle(depth))


def _plain(method: Method, depth: int, width: int, stride: int) -> PlainUnit:
    return PlainUnit(method.activation(depth), method.conv(depth, width, 3, stride=stride, padding=1),
                     method.nonlinear(width), method.shuffle(depth))

"""Networks without shortcuts: VGG-Small, FINN's CNV, and its fully connected TFC, SFC and LFC."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from sw.errors import CompileError
from sw.models.methods import Method
from sw.models.parts import checked, finish, start
from sw.nn.blocks import PlainUnit
from sw.nn.head import BinaryHead, MultiBitHead

__all__ = ["cnv", "lfc", "sfc", "tfc", "vgg_small", "vgg_tiny"]


def vgg_small(method: str = "recu", image: Sequence[int] = (3, 32, 32), classes: int = 10, bits: int = 8,
              stem_bits: int = 8, head_bits: int = 8, widths: Sequence[int] = (128, 256, 512),
              **changes: Any) -> nn.Sequential:
    """VGG-Small: six 3 x 3 convolutions, a max pool behind every second, 4.57 M binary weights.

    ``widths`` are the channels of each two. Weights have ``stem_bits`` (1 to 8) in the first convolution and
    ``head_bits`` (1 or 8) in the last layer. The other options are those of ``resnet20``.
    """
    return _vgg("vgg-small", method, image, classes, bits, stem_bits, head_bits, widths, changes)


def vgg_tiny(method: str = "recu", image: Sequence[int] = (1, 28, 28), classes: int = 10, bits: int = 8,
             stem_bits: int = 1, head_bits: int = 1, widths: Sequence[int] = (32, 48), **changes: Any) -> nn.Sequential:
    """VGG-Tiny: VGG-Small's pattern with two stages and binary weights throughout, for 28 x 28 images."""
    return _vgg("vgg-tiny", method, image, classes, bits, stem_bits, head_bits, widths, changes)


def cnv(method: str = "xu-cheung", image: Sequence[int] = (3, 32, 32), classes: int = 10, bits: int = 8,
        widths: Sequence[int] = (64, 128, 256), hidden: int = 512, **changes: Any) -> nn.Sequential:
    """CNV: FINN's VGG-like network, six unpadded 3 x 3 convolutions and three fully connected layers, all binary.

    Umuroglu et al., "FINN" (FPGA 2017): 1,542,848 weights. Images smaller than 32 x 32 are padded with black.
    """
    parts = checked("cnv", image, classes, bits, method, changes)
    if image[1] > 32 or image[1] % 2:
        raise CompileError(f"cnv: images must have an even side of at most 32, not {image[1]}; give --image-size 32")
    if len(widths) != 3 or min(*widths, hidden) < 1:
        raise CompileError(f"cnv: widths must be three, and they and hidden at least 1, not {tuple(widths)} and "
                           f"{hidden}")
    widths, hidden = tuple(width * parts.width for width in widths), hidden * parts.width
    model = start(parts, image, widths[0], bits, 1, padding=(32 - image[1]) // 2)
    layers = [(widths[0], 3, 2), (widths[1], 3, 1), (widths[1], 3, 2), (widths[2], 3, 1), (widths[2], 3, 1),
              (hidden, 1, 1), (hidden, 1, 1)]
    depth = _layers(model, parts, widths[0], layers, padding=0)
    _head(model, parts, depth, classes, 1, 1)
    return finish(model, parts)


def tfc(method: str = "xu-cheung", image: Sequence[int] = (1, 28, 28), classes: int = 10, bits: int = 1,
        hidden: int = 64, layers: int = 3, **changes: Any) -> nn.Sequential:
    """TFC: ``layers`` fully connected binary layers of ``hidden`` features, 59,008 weights (FINN, FPGA 2017)."""
    return _fully_connected("tfc", method, image, classes, bits, hidden, layers, changes)


def sfc(method: str = "xu-cheung", image: Sequence[int] = (1, 28, 28), classes: int = 10, bits: int = 1,
        hidden: int = 256, layers: int = 3, **changes: Any) -> nn.Sequential:
    """SFC: as TFC, with 256 features, 334,336 weights."""
    return _fully_connected("sfc", method, image, classes, bits, hidden, layers, changes)


def lfc(method: str = "xu-cheung", image: Sequence[int] = (1, 28, 28), classes: int = 10, bits: int = 1,
        hidden: int = 1024, layers: int = 3, **changes: Any) -> nn.Sequential:
    """LFC: as TFC, with 1,024 features, 2,910,208 weights."""
    return _fully_connected("lfc", method, image, classes, bits, hidden, layers, changes)


def _vgg(name: str, method: str, image: Sequence[int], classes: int, bits: int, stem_bits: int, head_bits: int,
         widths: Sequence[int], changes: dict[str, Any]) -> nn.Sequential:
    parts = checked(name, image, classes, bits, method, changes)
    if not widths or min(widths) < 1 or image[1] >> len(widths) < 1 or head_bits not in (1, 8):
        raise CompileError(f"{name}: widths {tuple(widths)} must be at least 1 and leave a pixel of {image[1]} x "
                           f"{image[1]}, and head_bits 1 or 8, not {head_bits!r}")
    widths = tuple(width * parts.width for width in widths)
    model = start(parts, image, widths[0], bits, stem_bits)
    layers = [layer for width in widths for layer in ((width, 3, 1), (width, 3, 2))][1:]
    depth = _layers(model, parts, widths[0], layers, padding=1)
    _head(model, parts, depth, classes, image[1] >> len(widths), head_bits)
    return finish(model, parts)


def _fully_connected(name: str, method: str, image: Sequence[int], classes: int, bits: int, hidden: int, layers: int,
                     changes: dict[str, Any]) -> nn.Sequential:
    parts = checked(name, image, classes, bits, method, changes)
    if min(hidden, layers) < 1:
        raise CompileError(f"{name}: hidden and layers must be at least 1, not {hidden} and {layers}")
    hidden *= parts.width
    model = start(parts, image, hidden, bits, 1, kernel=image[1], padding=0)
    depth = _layers(model, parts, hidden, [(hidden, 1, 1)] * (layers - 1), padding=0)
    _head(model, parts, depth, classes, 1, 1)
    return finish(model, parts)


def _layers(model: nn.Sequential, method: Method, depth: int, layers: Sequence[tuple[int, int, int]],
            padding: int) -> int:
    """Add binary layers of ``(channels, kernel, pool)``; returns the channels of the last."""
    for index, (width, kernel, pool) in enumerate(layers, start=2):
        conv = method.conv(depth, width, kernel, padding=padding, pool=pool)
        model.add_module(f"layer{index}", PlainUnit(method.activation(depth), conv, method.nonlinear(width),
                                                    method.shuffle(depth)))
        depth = width
    return depth


def _head(model: nn.Sequential, method: Method, depth: int, classes: int, side: int, bits: int) -> None:
    """Add the last sign and the scores."""
    model.add_module("head_sign", method.activation(depth))
    model.add_module("head", (BinaryHead if bits == 1 else MultiBitHead)(depth, classes, side))

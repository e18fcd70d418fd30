"""From an archive of BNN-PYNQ's CNV to a lowered graph: binary weights and integer thresholds, nothing else.

BNN-PYNQ (Umuroglu et al., "FINN: A Framework for Fast, Scalable Binarized Neural Network Inference", 2017) spreads
its networks as the contents of its accelerators' memories. The archive is an ``.npz`` file of those, for layer ``i``
from 0:

* ``w{i}``: ``uint8 (O, ceil(fan_in / 8))``, a row of bits for each output, the first in a byte's highest bit, 1 is +1;
* ``w{i}_shape``: ``(O, KH, KW, C)`` of a convolution, whose fan-in is in this order, or ``(O, fan_in)`` of a fully
  connected layer behind all of them, whose fan-in is in the order of (row, column, channel);
* ``t{i}``: signed integers ``(O,)``, thresholds; the last layer has none, and what is there is not read;
* ``classes``: the names of the classes, which are the last layer's first outputs; its others are padding.

Convolutions have stride 1 and no padding. Behind each second one stands a 2 x 2 max pool, as long as the map is large
enough; the archive does not say so, the topology does.
"""

import re
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.errors import ArtifactError, CompileError
from sw.files import read_npz
from sw.numerics import bits_to_signs

__all__ = ["PIXEL_LEVELS", "import_bnn_pynq"]

_Arrays = Mapping[str, NDArray[Any]]

_BITS = 8
_HALF = 1 << _BITS - 1
_INT32 = np.iinfo(np.int32)

#: What enters for each 8-bit pixel p: BNN-PYNQ's fixed-point number ``floor((2 p / 255 - 1) * 128 + 1 / 2)``, limited
#: to -128 ... 127, plus 128. It is p below 128 and p + 1 above, so it steps over 0, and 255 twice.
PIXEL_LEVELS = tuple(
    min(((2 * pixel - 255) * 2 * _HALF + 255) // 510, _HALF - 1) + _HALF for pixel in range(256))


def import_bnn_pynq(path: Path | str, shape: ir.Shape, name: str) -> ir.Graph:
    """The lowered graph of an archive, for images of ``shape`` ``(H, W, C)``; its metadata has ``labels``, the classes.

    A score is twice BNN-PYNQ's, a number of matches, less the fan-in: their order is the same. Raises
    ``ArtifactError`` in one line if the archive is damaged, lacks an array, or has one that is none of such a network.
    """
    arrays = read_npz(Path(path), ArtifactError)
    try:
        return _graph(arrays, shape, name)
    except CompileError as error:
        raise ArtifactError(f"{path} is no archive of BNN-PYNQ's CNV: {error}") from None


def _graph(arrays: _Arrays, shape: ir.Shape, name: str) -> ir.Graph:
    sizes = _sizes(arrays)
    classes = _classes(arrays, sizes[-1][0])
    nodes: list[ir.Node] = [ir.Input("image", shape, _BITS, np.array(PIXEL_LEVELS, np.uint8))]
    for index, size in enumerate(sizes):
        weights = _weights(arrays[f"w{index}"], index, size, _shape(nodes))
        if index == len(sizes) - 1:
            nodes.append(ir.Conv("head", nodes[-1].name, weights[:len(classes)]))
            nodes.append(ir.Scores("scores", "head", np.zeros(len(classes), np.int32)))
            break
        nodes.append(ir.Conv(f"{'conv' if len(size) == 4 else 'linear'}{index + 1}", nodes[-1].name, weights))
        thresholds = _thresholds(arrays[f"t{index}"], index, weights)
        nodes.append(ir.Threshold(f"sign{index + 1}", nodes[-1].name, thresholds))
        if len(size) == 4 and index % 2 and min(_shape(nodes)[:2]) > 1:
            nodes.append(ir.MaxPool(f"pool{index + 1}", nodes[-1].name, 2))
    return ir.Graph(tuple(nodes), name, {"labels": list(classes)})


def _shape(nodes: list[ir.Node]) -> ir.Shape:
    """That of the last node's result."""
    return ir.Graph(tuple(nodes), "so far").shape(nodes[-1].name)


def _sizes(arrays: _Arrays) -> list[tuple[int, ...]]:
    """What ``w{i}_shape`` holds for each layer, of which there must be two: four integers, and two in the last ones."""
    numbers = [int(found[1]) for key in arrays if (found := re.fullmatch(r"[wt](\d+)(?:_shape)?", key))]
    last = max([1, *numbers])
    sizes: list[tuple[int, ...]] = []
    for index in range(last + 1):
        for key in (f"w{index}", f"w{index}_shape", f"t{index}"):
            if key not in arrays and (index < last or key[0] == "w"):
                raise ArtifactError(f"it has no {key}; each layer i needs w(i), w(i)_shape and, but for the last, t(i)")
        given = arrays[f"w{index}_shape"]
        if given.shape not in ((2,), (4,)) or given.dtype.kind not in "iu" or given.min() < 1:
            raise ArtifactError(f"w{index}_shape must be 4 or 2 positive integers, not {given.tolist()}")
        if given.shape == (4,) and sizes and len(sizes[-1]) == 2:
            raise ArtifactError(f"w{index}_shape is {given.tolist()}, a convolution behind a fully connected layer")
        sizes.append(tuple(given.tolist()))
    if len(sizes[0]) == 2:
        raise ArtifactError(f"w0_shape is {list(sizes[0])}, a fully connected layer; the first must be a convolution")
    return sizes


def _classes(arrays: _Arrays, outputs: int) -> tuple[str, ...]:
    if "classes" not in arrays:
        raise ArtifactError("it has no classes, the names of the last layer's first outputs")
    names = arrays["classes"]
    if names.ndim != 1 or names.dtype.kind != "U" or not 1 <= len(names) <= outputs:
        raise ArtifactError(f"classes must be up to {outputs} strings, as the last layer has outputs, not "
                            f"{names.dtype} {names.shape}")
    return tuple(names.tolist())


def _weights(packed: NDArray[Any], index: int, size: tuple[int, ...], before: ir.Shape) -> NDArray[np.int8]:
    """Weights ``(O, KH, KW, C)`` for a map of shape ``before``."""
    fan_in = prod(size[1:])
    if len(size) == 2 and fan_in != prod(before):
        raise ArtifactError(f"w{index}_shape is {list(size)}, but the map before it has {' x '.join(map(str, before))} "
                            f"values")
    wanted = size[0], -(-fan_in // 8)
    if packed.dtype != np.uint8 or packed.shape != wanted:
        raise ArtifactError(f"w{index} must be bits packed into uint8 {wanted}, not {packed.dtype} {packed.shape}")
    signs = bits_to_signs(np.unpackbits(packed, axis=1, count=fan_in))
    return signs.reshape(size if len(size) == 4 else (size[0], *before))


def _thresholds(given: NDArray[Any], index: int, weights: NDArray[np.int8]) -> NDArray[np.int32]:
    """Those of ``acc >= T``, clamped to one beyond the reach of ``acc``."""
    if given.shape != weights.shape[:1] or given.dtype.kind != "i":
        raise ArtifactError(f"t{index} must be signed integers ({len(weights)},), not {given.dtype} {given.shape}")
    fan_in = prod(weights.shape[1:])
    bound = np.clip(given.astype(np.int64), _INT32.min, _INT32.max)
    if index == 0:
        # Twice the sum over BNN-PYNQ's pixels must exceed it. A pixel is u - 128 there, and here 2 u - 255.
        reach = fan_in * (2 * _HALF - 1)
        least = bound + 1 + weights.sum(axis=(1, 2, 3), dtype=np.int64)
    else:
        # The matches m must exceed it: m is at least one more, and acc = 2 m - fan_in.
        reach = fan_in
        least = 2 * (bound + 1) - fan_in
    if np.all((least <= -reach) | (least > reach)):
        raise ArtifactError(f"t{index} runs from {given.min()} to {given.max()}: none of these divides the sums of "
                            f"{fan_in} inputs, so no output depends on the image")
    return np.clip(least, -reach - 1, reach + 1).astype(np.int32)

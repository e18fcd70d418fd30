"""The integer model: what a network means, bit for bit. Everything else is compared with it by ``==``.

Sums are taken by floating-point matrix products, in which integers below ``2**24`` (float32) or ``2**53``
(float64) are exact whatever the order of the additions; the type follows from each layer's reach. Only
``BatchNorm``, which no lowered network has, is evaluated in rounded arithmetic (float64): there the exact
meaning is that of ``sw.passes.fold_batchnorm``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.errors import CompileError, DataError
from sw.numerics import argmax_lowest, bipolar, quantise_pixels

__all__ = ["Result", "reach", "run", "trace"]

#: Elements of the largest temporary array: it and a few smaller ones are alive at a time.
_BATCH_ELEMENTS = 1 << 22


@dataclass(frozen=True, eq=False)
class Result:
    """``scores`` int32 ``(N, O)`` and ``classes`` int64 ``(N,)``.

    When traced, ``maps`` holds each node's result ``(N, H, W, C)`` by name: int32, or float64 if a
    ``BatchNorm`` made it.
    """

    scores: NDArray[np.int32]
    classes: NDArray[np.int64]
    maps: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def run(graph: ir.Graph, images: NDArray[np.uint8], trace: bool = False) -> Result:
    """Classify 8-bit images ``(N, H, W, C)``, of which the input takes its highest bits.

    Memory is bounded, whatever ``N``, unless ``trace`` keeps all maps. Raises ``DataError`` for images of
    another shape or type and ``CompileError`` for a graph that does not end in scores.
    """
    images = np.asarray(images)
    shape = graph.inputs.shape
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
        raise DataError(f"network {graph.name} takes uint8 images (N, {shape[0]}, {shape[1]}, {shape[2]}), "
                        f"not {images.dtype} of shape {images.shape}")
    if not isinstance(graph.nodes[-1], ir.Scores):
        raise CompileError(f"network {graph.name}: it must end in scores, not in {graph.nodes[-1].name}")
    bounds = {node.name: reach(graph, node.name) for node in graph.nodes}
    batch = max(1, _BATCH_ELEMENTS // max(_temporary(graph, node) for node in graph.nodes))
    kept: dict[str, list[NDArray[Any]]] = {node.name: [] for node in graph.nodes}
    scores = []
    for start in range(0, max(1, len(images)), batch):
        maps: dict[str, NDArray[Any]] = {}
        for node in graph.nodes:
            sources = [maps[name] for name in node.sources]
            if isinstance(node, ir.Input):
                sources = [images[start:start + batch]]
            maps[node.name] = _EVALUATE[type(node)](node, bounds[node.name], *sources)
            if trace:
                kind = np.int32 if bounds[node.name] else np.float64
                kept[node.name].append(maps[node.name].astype(kind))
        scores.append(maps[graph.nodes[-1].name].reshape(-1, graph.shape(graph.nodes[-1].name)[2]))
    total = np.concatenate(scores).astype(np.int32)
    whole = {name: np.concatenate(parts) for name, parts in kept.items()} if trace else {}
    return Result(total, argmax_lowest(total), whole)


def trace(graph: ir.Graph, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Each node's result ``(H, W, C)`` for one 8-bit image ``(H, W, C)``; types and errors are ``run``'s."""
    return {name: values[0] for name, values in run(graph, np.asarray(image)[None], trace=True).maps.items()}


def reach(graph: ir.Graph, name: str) -> int:
    """The largest magnitude that a node's integers can have, whatever the image; 0 if they are no integers.

    Raises ``CompileError`` where it is beyond 32 bits, and for sums of what are no integers.
    """
    node = graph.node(name)
    below = max((reach(graph, source) for source in node.sources), default=0)
    if isinstance(node, ir.Conv | ir.Scores) and not below:
        raise CompileError(f"{name}: its source {node.source} gives real numbers; put a sign between them")
    if isinstance(node, ir.Input):
        below = (1 << node.bits) - 1
    elif isinstance(node, ir.Conv):
        below *= node.weights[0].size
    elif isinstance(node, ir.Scores):
        below += int(np.abs(node.offsets.astype(np.int64)).max())
    elif isinstance(node, ir.Sign | ir.Threshold):
        below = 1
    elif isinstance(node, ir.BatchNorm):
        below = 0
    if below >= 1 << 31:
        raise CompileError(f"{name}: its values can reach {below}, beyond 32 bits; use fewer inputs")
    return below


def _temporary(graph: ir.Graph, node: ir.Node) -> int:
    """Elements that one image needs at a node."""
    rows, columns, channels = graph.shape(node.name)
    return rows * columns * (node.weights[0].size if isinstance(node, ir.Conv) else channels)


def _signs(positive: NDArray[np.bool_]) -> NDArray[np.int8]:
    """+1 where true, else -1, in place of the array."""
    signs = positive.view(np.int8)
    signs *= 2
    signs -= 1
    return signs


def _input(node: ir.Input, bound: int, images: NDArray[np.uint8]) -> NDArray[Any]:
    return bipolar(quantise_pixels(images, node.bits), node.bits).astype(np.float32)


def _conv(node: ir.Conv, bound: int, x: NDArray[Any]) -> NDArray[Any]:
    kind = np.float32 if bound < 1 << 24 else np.float64
    count, kernel_h, kernel_w, channels = node.weights.shape
    weights = node.weights.reshape(count, -1).T.astype(kind)
    margin = node.padding
    if margin:
        size = (len(x), x.shape[1] + 2 * margin, x.shape[2] + 2 * margin, channels)
        padded = np.full(size, node.pad_value, x.dtype)
        padded[:, margin:-margin, margin:-margin] = x
        x = padded
    rows = (x.shape[1] - kernel_h) // node.stride + 1
    columns = (x.shape[2] - kernel_w) // node.stride + 1
    taps = np.empty((len(x), rows, columns, kernel_h, kernel_w, channels), kind)
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel_h, kernel_w), axis=(1, 2))
    taps[...] = windows[:, ::node.stride, ::node.stride].transpose(0, 1, 2, 4, 5, 3)
    return (taps.reshape(-1, len(weights)) @ weights).reshape(len(x), rows, columns, count)


def _batch_norm(node: ir.BatchNorm, bound: int, x: NDArray[Any]) -> NDArray[Any]:
    gain, bias, mean, variance = (
        array.astype(np.float64) for array in (node.gain, node.bias, node.mean, node.variance))
    return (x - mean) * gain / np.sqrt(variance + node.epsilon) + bias


def _max_pool(node: ir.MaxPool, bound: int, x: NDArray[Any]) -> NDArray[Any]:
    size = node.size
    rows, columns = x.shape[1] // size * size, x.shape[2] // size * size
    corners = [x[:, y:rows:size, z:columns:size] for y in range(size) for z in range(size)]
    pooled = corners[0].copy()
    for corner in corners[1:]:
        np.maximum(pooled, corner, out=pooled)
    return pooled


_EVALUATE: Mapping[type[ir.Node], Callable[..., NDArray[Any]]] = {
    ir.Input: _input,
    ir.Conv: _conv,
    ir.BatchNorm: _batch_norm,
    ir.Sign: lambda node, bound, x: _signs(x >= 0),
    ir.MaxPool: _max_pool,
    ir.Threshold: lambda node, bound, x: _signs(x >= node.thresholds),
    ir.Scores: lambda node, bound, x: x.astype(np.int64) + node.offsets,
}

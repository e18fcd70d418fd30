"""What the nodes of a chain of binary layers compute.

Each function takes a node, a magnitude that nothing exceeds on its way, and the source ``(N, H, W, C)``.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.numerics import bipolar, quantise_pixels

__all__ = ["EVALUATE", "signs"]


def signs(positive: NDArray[np.bool_]) -> NDArray[np.int8]:
    """+1 where true, else -1, in place of the array."""
    result = positive.view(np.int8)
    result *= 2
    result -= 1
    return result


def _input(node: ir.Input, bound: int, images: NDArray[np.uint8]) -> NDArray[Any]:
    return bipolar(quantise_pixels(images, node.bits, node.levels), node.bits).astype(np.float32)


def _conv(node: ir.Conv, bound: int, x: NDArray[Any]) -> NDArray[Any]:
    kind = np.float32 if bound < 1 << 24 else np.float64 if bound < 1 << 53 else np.int64
    count, kernel_h, kernel_w, each = node.weights.shape
    weights = node.weights.reshape(node.groups, count // node.groups, -1).transpose(0, 2, 1).astype(kind)
    # Converted before the windows overlap: copies without conversion are several times as fast.
    x = x.astype(kind, copy=False)
    margin = node.padding
    if margin:
        size = (len(x), x.shape[1] + 2 * margin, x.shape[2] + 2 * margin, x.shape[3])
        padded = np.full(size, node.pad_value, kind)
        padded[:, margin:-margin, margin:-margin] = x
        x = padded
    rows = (x.shape[1] - kernel_h) // node.stride + 1
    columns = (x.shape[2] - kernel_w) // node.stride + 1
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel_h, kernel_w), axis=(1, 2))
    windows = windows[:, ::node.stride, ::node.stride]
    # A matrix product for each group: pixels x taps by taps x output channels.
    taps = np.empty((node.groups, len(x), rows, columns, kernel_h, kernel_w, each), kind)
    for group in range(node.groups):
        taps[group] = windows[:, :, :, group * each:(group + 1) * each].transpose(0, 1, 2, 4, 5, 3)
    sums = taps.reshape(node.groups, -1, weights.shape[1]) @ weights
    return sums.transpose(1, 0, 2).reshape(len(x), rows, columns, count)


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


EVALUATE: Mapping[type[ir.Node], Callable[..., NDArray[Any]]] = {
    ir.Input: _input,
    ir.Conv: _conv,
    ir.BatchNorm: _batch_norm,
    ir.Sign: lambda node, bound, x: signs(x >= 0),
    ir.MaxPool: _max_pool,
    ir.Threshold: lambda node, bound, x: signs(x >= node.thresholds),
    ir.Scores: lambda node, bound, x: x.astype(np.int64) + node.offsets,
}

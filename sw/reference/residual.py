"""What the nodes of residual networks compute: fixed-point words, joined maps, and statistics of the image.

Each function takes a node, a magnitude that nothing exceeds on its way, and the sources ``(N, H, W, C)``. All is
done in integers, of 32 bits where the magnitude lets them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.ir.ranges import rounded_shift, signed_limits
from sw.reference.chain import signs

__all__ = ["EVALUATE"]

_Map = NDArray[Any]


def _integers(values: _Map, bound: int) -> _Map:
    """The same values as integers that are wide enough for ``bound``."""
    return values.astype(np.int32 if bound < 1 << 31 else np.int64, copy=False)


def _saturate(values: _Map, bits: int) -> _Map:
    """Limited to signed ``bits`` bits (32 at most), and as narrow an array."""
    return np.clip(values, *signed_limits(bits)).astype(np.int32, copy=False)


def _affine(node: ir.Affine, bound: int, x: _Map) -> _Map:
    gain, offset = _integers(node.gain, bound), _integers(node.offset, bound)
    return _saturate(rounded_shift(_integers(x, bound) * gain + offset, node.shift), node.bits)


def _add(node: ir.Add, bound: int, left: _Map, right: _Map) -> _Map:
    return _saturate(_integers(left, bound) + _integers(right, bound), node.bits)


def _slopes(node: ir.Slopes, bound: int, x: _Map) -> _Map:
    x = _integers(x, bound)
    slope = np.where(x >= 0, _integers(node.positive, bound), _integers(node.negative, bound))
    return _saturate(rounded_shift(slope * x, node.shift), node.bits)


def _average_pool(node: ir.AveragePool, bound: int, x: _Map) -> _Map:
    size = node.size
    rows, columns = x.shape[1] // size, x.shape[2] // size
    x = _integers(x, bound)[:, :rows * size, :columns * size]
    total = x.reshape(len(x), rows, size, columns, size, -1).sum(axis=(2, 4), dtype=x.dtype)
    return rounded_shift(total, node.shift)


def _select(node: ir.Select, bound: int, x: _Map) -> _Map:
    # Number -1 takes some channel, which zeros replace.
    selected = np.take(x, node.channels, axis=3)
    selected[..., node.channels < 0] = 0
    return selected


def _concat(node: ir.Concat, bound: int, left: _Map, right: _Map) -> _Map:
    return np.concatenate((_integers(left, bound), _integers(right, bound)), axis=3)


def _global_sum(node: ir.GlobalSum, bound: int, x: _Map) -> _Map:
    x = _integers(x, bound)
    return x.sum(axis=(1, 2), keepdims=True, dtype=x.dtype)


def _power(node: ir.Power, bound: int, x: _Map) -> _Map:
    x = _integers(x, bound)
    return x * x if node.exponent == 2 else x * x * x


def _table(node: ir.Table, bound: int, x: _Map) -> _Map:
    entries = len(node.table)
    index = ((_integers(x, bound) * node.multiplier) >> node.shift) + entries // 2
    return node.table[np.clip(index, 0, entries - 1)]


def _compare(node: ir.Compare, bound: int, left: _Map, right: _Map) -> _Map:
    return signs(_integers(left, bound) >= _integers(right, bound))


EVALUATE: Mapping[type[ir.Node], Callable[..., _Map]] = {
    ir.Affine: _affine,
    ir.Add: _add,
    ir.Clip: lambda node, bound, x: np.clip(_integers(x, bound), node.low, node.high),
    ir.Slopes: _slopes,
    ir.AveragePool: _average_pool,
    ir.Subsample: lambda node, bound, x: x[:, ::node.stride, ::node.stride],
    ir.Select: _select,
    ir.Concat: _concat,
    ir.GlobalSum: _global_sum,
    ir.Power: _power,
    ir.Table: _table,
    ir.Compare: _compare,
}

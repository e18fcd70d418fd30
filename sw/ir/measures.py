"""What a graph's values and sums amount to: reach, width, and work."""

import numpy as np
from numpy.typing import NDArray

from sw.errors import CompileError
from sw.ir.base import Node, Pair
from sw.ir.chain import Conv, MaxPool
from sw.ir.graph import Graph
from sw.ir.residual import AveragePool, Subsample
from sw.ir.statistics import GlobalSum

__all__ = ["binary_macs", "reach", "value_bits"]


def reach(graph: Graph, name: str) -> int:
    """The largest magnitude that a node's integers can have, whatever the image; 0 if they are no integers.

    Raises ``CompileError`` where a node that it depends on takes real numbers for integers.
    """
    misuse = graph.misuse(name)
    if misuse is not None:
        raise CompileError(misuse)
    values = graph.range(name)
    return values.reach if values else 0


def value_bits(graph: Graph, name: str) -> int:
    """Bits of a node's values: the planes of +-1 in which an array of XNOR gates takes them.

    +-1 is 1 bit; the odd integers of an n-bit image are n; others are as wide as a signed number that holds them
    all, ``x`` being taken as the odd ``2x + 1``. Raises ``CompileError`` if they are no integers.
    """
    values = graph.range(name)
    if values is None:
        raise CompileError(f"{name}: it gives real numbers, which have no width; lower the network first")
    return values.bits


def binary_macs(graph: Graph, name: str) -> int:
    """Binary multiply-accumulates of a convolution that a score depends on.

    Each output pixel counts its whole kernel, padded taps too; weights of several bits and values of several bits
    count once for each pair of their bits. Pixels that a later pool or stride drops do not count. Raises
    ``CompileError`` if the node is no convolution.
    """
    conv = graph.node(name)
    if not isinstance(conv, Conv):
        raise CompileError(f"{name}: a convolution is wanted, not a node {type(conv).__name__}")
    planes = conv.weight_bits * value_bits(graph, conv.source)
    return int(_needed(graph)[name].sum()) * conv.weights.size * planes


def _needed(graph: Graph) -> dict[str, NDArray[np.bool_]]:
    """For each node the pixels ``(H, W)`` of its result on which the last node's depends."""
    masks = {node.name: np.full(graph.shape(node.name)[:2], node is graph.nodes[-1]) for node in graph.nodes}
    for node in reversed(graph.nodes):
        for source in node.sources:
            mask = masks[node.name]
            if isinstance(node, Pair) and masks[source].shape == (1, 1):  # a pixel that all share
                masks[source] |= mask.any()
                continue
            for axis, (kernel, stride, padding) in enumerate(_windows(node, masks[source].shape)):
                mask = _reached(mask, axis, masks[source].shape[axis], kernel, stride, padding)
            masks[source] |= mask
    return masks


def _windows(node: Node, sizes: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
    """Kernel, stride and padding along each axis of a source of ``sizes`` pixels."""
    if isinstance(node, Conv):
        return tuple((kernel, node.stride, node.padding) for kernel in node.weights.shape[1:3])
    if isinstance(node, MaxPool | AveragePool):
        return ((node.size, node.size, 0),) * 2
    if isinstance(node, Subsample):
        return ((1, node.stride, 0),) * 2
    if isinstance(node, GlobalSum):
        return tuple((size, 1, 0) for size in sizes)
    return ((1, 1, 0),) * 2


def _reached(mask: NDArray[np.bool_], axis: int, size: int, kernel: int, stride: int,
             padding: int) -> NDArray[np.bool_]:
    """Along one axis, the source pixels that windows at the mask's pixels touch."""
    mask = np.moveaxis(mask, axis, 0)
    touched = np.zeros((size + 2 * padding, *mask.shape[1:]), bool)
    for tap in range(kernel):
        touched[tap:tap + stride * len(mask):stride] |= mask
    return np.moveaxis(touched[padding:padding + size], 0, axis)

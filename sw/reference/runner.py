"""Runs a graph on images, node after node, a batch at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.errors import CompileError, DataError
from sw.numerics import argmax_lowest
from sw.reference import chain, residual

__all__ = ["Result", "evaluate", "run", "trace"]

#: Elements of the largest temporary array, so few that it stays in the cache: it and a few smaller ones are alive at a
#: time.
_BATCH_ELEMENTS = 1 << 20

_EVALUATE: Mapping[type[ir.Node], Callable[..., NDArray[Any]]] = {**chain.EVALUATE, **residual.EVALUATE}


@dataclass(frozen=True, eq=False)
class Result:
    """``scores`` int32 ``(N, O)`` and ``classes`` int64 ``(N,)``.

    When traced, ``maps`` holds each node's result ``(N, H, W, C)`` by name: int32 where its range fits, else
    int64, or float64 if a ``BatchNorm`` made it.
    """

    scores: NDArray[np.int32]
    classes: NDArray[np.int64]
    maps: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def run(graph: ir.Graph, images: NDArray[np.uint8], trace: bool = False) -> Result:
    """Classify 8-bit images ``(N, H, W, C)``, of which the input takes its highest bits.

    Memory is bounded, whatever ``N``, unless ``trace`` keeps all maps. Raises ``DataError`` for images of
    another shape or type and ``CompileError`` for a graph that does not end in scores, or in which real numbers
    stand where integers must.
    """
    images = np.asarray(images)
    shape = graph.inputs.shape
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
        raise DataError(f"network {graph.name} takes uint8 images (N, {shape[0]}, {shape[1]}, {shape[2]}), "
                        f"not {images.dtype} of shape {images.shape}")
    last = graph.nodes[-1]
    if not isinstance(last, ir.Scores):
        raise CompileError(f"network {graph.name}: it must end in scores, not in {last.name}")
    for node in graph.nodes:
        ir.reach(graph, node.name)
    bounds = {node.name: _bound(graph, node) for node in graph.nodes}
    batch = max(1, _BATCH_ELEMENTS // max(_temporary(graph, node) for node in graph.nodes))
    done = {source: node.name for node in graph.nodes for source in node.sources}  # by whom a map is taken last
    kept: dict[str, list[NDArray[Any]]] = {node.name: [] for node in graph.nodes}
    scores = []
    for start in range(0, max(1, len(images)), batch):
        maps: dict[str, NDArray[Any]] = {}
        for node in graph.nodes:
            sources = [maps[name] for name in node.sources] or [images[start:start + batch]]
            maps[node.name] = _EVALUATE[type(node)](node, bounds[node.name], *sources)
            if trace:
                kept[node.name].append(maps[node.name].astype(_kind(graph.range(node.name))))
            for source in {name for name in node.sources if done[name] == node.name}:
                del maps[source]
        scores.append(maps[last.name].reshape(-1, graph.shape(last.name)[2]))
    total = np.concatenate(scores).astype(np.int32)
    whole = {name: np.concatenate(parts) for name, parts in kept.items()} if trace else {}
    return Result(total, argmax_lowest(total), whole)


def trace(graph: ir.Graph, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Each node's result ``(H, W, C)`` for one 8-bit image ``(H, W, C)``; types and errors are ``run``'s."""
    return {name: values[0] for name, values in run(graph, np.asarray(image)[None], trace=True).maps.items()}


def evaluate(graph: ir.Graph, name: str, *sources: NDArray[Any]) -> NDArray[Any]:
    """A node's result ``(N, H, W, C)`` from the maps that it takes, or from 8-bit images; integers of any type.

    The maps hold values within their ranges in the graph. Those of a node that works on each value by itself may
    have any number of pixels. Raises ``CompileError`` if there is no such node.
    """
    node = graph.node(name)
    return _EVALUATE[type(node)](node, _bound(graph, node), *sources)


def _bound(graph: ir.Graph, node: ir.Node) -> int:
    """A magnitude that nothing exceeds on the way from a node's sources to its result."""
    ranges = [graph.range(source) for source in node.sources]
    taken = [values for values in ranges if values is not None]
    bound = max((values.reach for values in (graph.range(node.name), *taken) if values), default=0)
    if len(taken) == len(ranges):
        bound = max(bound, node.peak(taken, [graph.shape(source) for source in node.sources]))
    return bound


def _kind(values: ir.Range | None) -> type[np.generic]:
    """The type of a map in a trace."""
    if values is None:
        return np.float64
    return np.int32 if -1 << 31 <= values.low and values.high < 1 << 31 else np.int64


def _temporary(graph: ir.Graph, node: ir.Node) -> int:
    """Elements that one image needs at a node."""
    rows, columns, channels = graph.shape(node.name)
    taps = node.weights[0].size * node.groups if isinstance(node, ir.Conv) else channels
    return int(rows * columns * taps)

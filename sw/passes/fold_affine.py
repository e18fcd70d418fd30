"""Fixed-point batch norms that only make bits become integer thresholds, exactly. See docs/numerics.md."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.passes.flip import flip_inputs, flip_outputs
from sw.reference import evaluate

__all__ = ["fold_affine"]

#: From an ``Affine`` to a ``Threshold``, with what is between.
_Path = tuple[ir.Node, ...]


def fold_affine(graph: ir.Graph) -> ir.Graph:
    """Replace each ``Affine`` whose values only reach ``Threshold`` nodes by thresholds of its source.

    Between them there may be ``Clip`` nodes and ``Slopes`` of which none is negative. All of that is monotone, so a
    channel's bit is one comparison. A channel of negative gain compares the other way round: if the source is a
    convolution that nothing else takes, its weights of that channel change sign; else, if only convolutions take
    the bits, the channel's bits are inverted, and the weights that take them change sign. An ``Affine`` where
    neither holds stays, as does one whose source is beyond 32 bits.
    """
    for node in reversed(graph.nodes):
        if isinstance(node, ir.Affine):
            graph = _fold(graph, node)
    return graph


def _fold(graph: ir.Graph, affine: ir.Affine) -> ir.Graph:
    paths, values, source = _paths(graph, (affine,)), graph.range(affine.source), graph.node(affine.source)
    if not paths or values is None or values.reach + 1 >= 1 << 31:
        return graph
    negative = affine.gain < 0
    straight = isinstance(source, ir.Conv) and graph.consumers(source.name) == (affine,)
    takers = [graph.consumers(path[-1].name) for path in paths]
    changed: dict[str, ir.Node] = {}
    if negative.any():
        if straight:
            changed[source.name] = flip_outputs(source, negative)
        elif all(nodes and all(isinstance(node, ir.Conv) for node in nodes) for nodes in takers):
            changed |= {node.name: flip_inputs(node, negative) for nodes in takers for node in nodes}
        else:
            return graph
    for path in paths:
        thresholds = _smallest(graph, path, values, negative, negated=straight)
        changed[path[-1].name] = ir.Threshold(path[-1].name, source.name, thresholds)
    dropped = {node.name for path in paths for node in path[:-1]}
    return graph.replace(nodes=tuple(changed.get(node.name, node) for node in graph.nodes if node.name not in dropped))


def _paths(graph: ir.Graph, so_far: _Path) -> list[_Path]:
    """All ways from the last node to a threshold; none if its values go anywhere else."""
    found: list[_Path] = []
    for node in graph.consumers(so_far[-1].name):
        if isinstance(node, ir.Threshold):
            found.append((*so_far, node))
            continue
        monotone = isinstance(node, ir.Clip) or (
            isinstance(node, ir.Slopes) and min(node.positive.min(), node.negative.min()) >= 0)
        further = _paths(graph, (*so_far, node)) if monotone else []
        if not further:
            return []
        found += further
    return found


def _smallest(graph: ir.Graph, path: _Path, values: ir.Range, negative: NDArray[np.bool_], *,
              negated: bool) -> NDArray[np.int32]:
    """For each channel the smallest sum whose bit is +1, or one beyond ``values``, by bisection.

    For channels of ``negative`` gain the sums are ``negated`` ones, or else the bits are inverted.
    """
    flip = negative & negated
    first = np.where(flip, -values.high, values.low)
    last = np.where(flip, -values.low, values.high) + 1
    while np.any(undecided := first < last):
        middle = np.where(undecided, (first + last) >> 1, 0)
        holds = (_bits(graph, path, np.where(flip, -middle, middle)) > 0) ^ (negative & (not negated))
        last = np.where(undecided & holds, middle, last)
        first = np.where(undecided & ~holds, middle + 1, first)
    return first.astype(np.int32)


def _bits(graph: ir.Graph, path: _Path, sums: NDArray[np.int64]) -> NDArray[Any]:
    """What one sum a channel becomes at the end of a path."""
    maps: NDArray[Any] = sums.reshape(1, 1, 1, -1)
    for node in path:
        maps = evaluate(graph, node.name, maps)
    return maps.reshape(-1)

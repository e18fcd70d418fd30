"""Batch norm and sign become one integer threshold a channel, exactly. See docs/numerics.md."""

from fractions import Fraction
from math import floor, isqrt

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.ir import reach
from sw.passes.flip import flip_inputs, flip_outputs

__all__ = ["fold_batchnorm", "smallest_sum"]


def fold_batchnorm(graph: ir.Graph) -> ir.Graph:
    """Replace each ``Sign``, with a ``BatchNorm`` before it if there is one, by a ``Threshold`` of its name.

    A channel of negative gain compares the other way round. Where the sums come straight from a convolution,
    its weights of that channel change sign. Where a max pool stands between, the channel's bits are inverted
    instead, and the weights that take them change sign. The graph is one that ``check_supported`` accepts.
    """
    nodes = {node.name: node for node in graph.nodes}
    for node in graph.nodes:
        if not isinstance(node, ir.Sign):
            continue
        norm = nodes[node.source]
        if not isinstance(norm, ir.BatchNorm):
            thresholds = np.zeros(graph.shape(node.name)[2], np.int32)
            nodes[node.name] = ir.Threshold(node.name, norm.name, thresholds)
            continue
        sums, negative = nodes[norm.source], norm.gain < 0
        straight = isinstance(sums, ir.Conv)
        if straight:
            nodes[sums.name] = flip_outputs(sums, negative)
        else:
            for consumer in graph.consumers(node.name):
                nodes[consumer.name] = flip_inputs(nodes[consumer.name], negative)
        thresholds = _thresholds(norm, reach(graph, sums.name), negated=straight)
        nodes[node.name] = ir.Threshold(node.name, sums.name, thresholds)
        del nodes[norm.name]
    return graph.replace(nodes=tuple(nodes.values()))


def smallest_sum(gain: Fraction, bias: Fraction, mean: Fraction, variance: Fraction) -> int:
    """The smallest integer ``a`` with ``gain * (a - mean) + bias * sqrt(variance) >= 0``, for a gain above 0.

    ``variance`` includes epsilon. The root may be irrational, so squares are compared.
    """
    ratio = bias / gain
    square = ratio * ratio * variance

    def holds(a: int) -> bool:
        distance = a - mean
        if ratio >= 0:
            return distance >= 0 or distance * distance <= square
        return distance >= 0 and distance * distance >= square

    # The floors of mean and root together are less than 2 off.
    root = isqrt(floor(square))
    first = floor(mean) + (-root if ratio >= 0 else root)
    return next(a for a in (first, first + 1, first + 2) if holds(a))


def _thresholds(norm: ir.BatchNorm, bound: int, *, negated: bool) -> NDArray[np.int32]:
    """Thresholds of sums within ``bound``, clamped to one beyond it, where a constant bit has its own.

    For a channel of negative gain, the sums are ``negated`` ones, or the bits are inverted.
    """
    thresholds = []
    epsilon = Fraction(norm.epsilon)
    parameters = (norm.gain, norm.bias, norm.mean, norm.variance)
    for gain, bias, mean, variance in zip(*(map(Fraction, array.tolist()) for array in parameters)):
        if gain > 0:
            value = smallest_sum(gain, bias, mean, variance + epsilon)
        elif gain < 0:
            value = smallest_sum(-gain, bias, -mean, variance + epsilon)
            value = value if negated else 1 - value
        else:
            value = -bound - 1 if bias >= 0 else bound + 1
        thresholds.append(min(max(value, -bound - 1), bound + 1))
    return np.array(thresholds, np.int32)

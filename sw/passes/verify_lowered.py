"""Last pass: what comes out is the lowered form, and nothing else."""

from collections.abc import Mapping

import numpy as np

from sw import ir
from sw.errors import UnsupportedLayerError
from sw.ir import reach

__all__ = ["verify_lowered"]

#: What may follow each kind of node; nothing follows the scores.
_NEXT: Mapping[type[ir.Node], tuple[type[ir.Node], ...]] = {
    ir.Input: (ir.Conv,),
    ir.Conv: (ir.Threshold, ir.Scores),
    ir.Threshold: (ir.MaxPool, ir.Conv),
    ir.MaxPool: (ir.Conv,),
}


def verify_lowered(graph: ir.Graph) -> ir.Graph:
    """The graph itself, if it is ``Input -> (Conv -> Threshold [-> MaxPool])* -> Conv -> Scores``.

    Thresholds are at most one beyond the reach of their sums. Raises ``UnsupportedLayerError`` with all
    reasons.
    """
    reasons = []
    for previous, node in zip(graph.nodes, graph.nodes[1:]):
        legal = _NEXT.get(type(previous), ())
        if not isinstance(node, legal) or node.sources != (previous.name,):
            wanted = " or ".join(kind.__name__ for kind in legal) or "nothing"
            reasons.append(f"{node.name}: {type(node).__name__} of {', '.join(node.sources)} stands behind "
                           f"{previous.name}, where the lowered form has {wanted}; run sw.passes.lower")
        elif isinstance(node, ir.Threshold):
            beyond = int(np.abs(node.thresholds.astype(np.int64)).max()) - reach(graph, node.source) - 1
            if beyond > 0:
                reasons.append(f"{node.name}: a threshold is {beyond} too far from 0 for the sums of "
                               f"{node.source}; clamp it to one beyond their reach")
    if not isinstance(graph.nodes[-1], ir.Scores):
        reasons.append(f"{graph.nodes[-1].name}: the last node must be Scores")
    if reasons:
        raise UnsupportedLayerError(reasons)
    return graph

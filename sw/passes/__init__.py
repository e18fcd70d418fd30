"""From an imported network to its lowered form, by a list of small functions from graph to graph.

Lowered, a chain is ``Input -> (Conv -> Threshold [-> MaxPool])* -> Conv -> Scores``, and any other network is
integers throughout: without ``BatchNorm`` and ``Sign``. No pass changes a score.
"""

from collections.abc import Callable
from pathlib import Path

from sw import ir
from sw.graph_file import save_graph
from sw.passes.check_supported import check_supported
from sw.passes.fold_affine import fold_affine
from sw.passes.fold_batchnorm import fold_batchnorm
from sw.passes.sink_pools import sink_pools
from sw.passes.verify_lowered import verify_lowered

__all__ = [
    "INTEGER_PASSES", "PASSES", "check_supported", "fold_affine", "fold_batchnorm", "lower", "sink_pools",
    "verify_lowered",
]

_Pass = Callable[[ir.Graph], ir.Graph]

#: For chains with a batch norm or sign. Pools sink behind signs first, so that only those before a batch norm are
#: left when it is folded.
PASSES: tuple[_Pass, ...] = (check_supported, sink_pools, fold_batchnorm, sink_pools, verify_lowered)

#: For graphs of integers, whatever their nodes; they refuse nothing. Pools sink for the same reason.
INTEGER_PASSES: tuple[_Pass, ...] = (sink_pools, fold_affine, sink_pools)


def lower(graph: ir.Graph, dump: Path | str | None = None) -> ir.Graph:
    """The lowered form of a graph; a lowered graph is its own.

    With ``dump``, the graph is saved before the first pass and after each, in folders of that one. Raises
    ``UnsupportedLayerError`` with all reasons.
    """
    if dump is not None:
        save_graph(graph, Path(dump) / "0-given")
    real = any(isinstance(node, ir.BatchNorm | ir.Sign) for node in graph.nodes)
    for index, step in enumerate(PASSES if real else INTEGER_PASSES, start=1):
        graph = step(graph)
        if dump is not None:
            save_graph(graph, Path(dump) / f"{index}-{step.__name__}")
    return graph

"""The integer IR: a network as a topologically ordered tuple of frozen nodes. See docs/architecture.md.

Feature maps are ``(H, W, C)``; values are integers and bits appear as -1 / +1. Arrays are copied on entry
and are read-only. Whatever a node or graph cannot be is refused on construction with ``CompileError``. Nodes
refer to each other by name through ``sources``.
"""

from sw.ir.base import Node, Pair, Shape, Unary
from sw.ir.chain import BatchNorm, Conv, Input, MaxPool, Scores, Sign, Threshold
from sw.ir.graph import Graph, equal
from sw.ir.measures import binary_macs, reach, value_bits
from sw.ir.ranges import Range
from sw.ir.residual import Add, Affine, AveragePool, Clip, Concat, Select, Slopes, Subsample
from sw.ir.statistics import Compare, GlobalSum, Power, Table

__all__ = [
    "KINDS", "Add", "Affine", "AveragePool", "BatchNorm", "Clip", "Compare", "Concat", "Conv", "GlobalSum", "Graph",
    "Input", "MaxPool", "Node", "Pair", "Power", "Range", "Scores", "Select", "Shape", "Sign", "Slopes", "Subsample",
    "Table", "Threshold", "Unary", "binary_macs", "equal", "reach", "value_bits",
]

#: Every kind of node.
KINDS: tuple[type[Node], ...] = (
    Input, Conv, BatchNorm, Sign, MaxPool, Threshold, Scores,
    Affine, Add, Clip, Slopes, AveragePool, Subsample, Select, Concat,
    GlobalSum, Power, Table, Compare,
)

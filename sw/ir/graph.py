"""The graph: nodes in order, checked against each other."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from sw.errors import CompileError
from sw.ir.base import Node, Shape
from sw.ir.chain import Conv, Input, Scores
from sw.ir.ranges import BITS, WIDEST, Range
from sw.numerics import black

__all__ = ["Graph", "equal"]


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: an ``Input``, then nodes in an order in which each follows its sources.

    ``metadata`` is what JSON can hold: the accuracy, the data set and the recipe of a trained network. Raises
    ``CompileError`` for a second input, an unknown source, a name used twice, shapes that do not fit, or values
    beyond 62 bits (32 for scores).
    """

    nodes: tuple[Node, ...]
    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    _by_name: Mapping[str, Node] = field(init=False, repr=False)
    _shapes: Mapping[str, Shape] = field(init=False, repr=False)
    _ranges: Mapping[str, Range | None] = field(init=False, repr=False)
    _misuses: Mapping[str, tuple[int, str] | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        if [isinstance(node, Input) for node in self.nodes] != [True] + [False] * (len(self.nodes) - 1):
            raise CompileError(f"network {self.name}: its first node, and no other, must be an input")
        known: dict[str, Node] = {}
        shapes: dict[str, Shape] = {}
        ranges: dict[str, Range | None] = {}
        misuses: dict[str, tuple[int, str] | None] = {}
        for position, node in enumerate(self.nodes):
            if node.name in known:
                raise CompileError(f"{node.name}: two layers have this name; rename one")
            for source in node.sources:
                if source not in known:
                    raise CompileError(f"{node.name}: no layer before it is named {source!r}; "
                                       f"those before it are {', '.join(known)}")
                if isinstance(known[source], Scores):
                    raise CompileError(f"{node.name}: {source} gives the scores, which no layer may follow")
            if isinstance(node, Conv):
                self._check_padding(node)
            taken = [shapes[source] for source in node.sources]
            known[node.name] = node
            shapes[node.name] = node.output_shape(*taken)
            ranges[node.name] = _range(node, [ranges[source] for source in node.sources], taken)
            real = [source for source in node.sources if ranges[source] is None and not node.takes_reals]
            before = [found for source in node.sources if (found := misuses[source])]
            own = [f"{node.name}: its source {source} gives real numbers; put a sign between them" for source in real]
            misuses[node.name] = (position, own[0]) if own else max(before, default=None)
        for name, value in (("_by_name", known), ("_shapes", shapes), ("_ranges", ranges), ("_misuses", misuses)):
            object.__setattr__(self, name, MappingProxyType(value))

    def _check_padding(self, conv: Conv) -> None:
        legal = {0, black(self.inputs.bits)} if conv.source == self.inputs.name else {0}
        if conv.pad_value not in legal:
            raise CompileError(f"{conv.name}: pad_value must be {' or '.join(map(str, sorted(legal)))} here, "
                               f"not {conv.pad_value}; only the image can be padded with black")

    @property
    def inputs(self) -> Input:
        """The input node."""
        first = self.nodes[0]
        assert isinstance(first, Input)  # as checked on construction
        return first

    def node(self, name: str) -> Node:
        """The node of a name. Raises ``CompileError`` if there is none."""
        if name not in self._by_name:
            raise CompileError(f"network {self.name} has no layer {name!r}, but {', '.join(self._by_name)}")
        return self._by_name[name]

    def shape(self, name: str) -> Shape:
        """``(H, W, C)`` of a node's result. Raises ``CompileError`` if there is no such node."""
        return self._shapes[self.node(name).name]

    def range(self, name: str) -> Range | None:
        """The integers that a node's result can hold, whatever the image; ``None`` if they are no integers.

        Raises ``CompileError`` if there is no such node.
        """
        return self._ranges[self.node(name).name]

    def misuse(self, name: str) -> str | None:
        """What is wrong if a node, or one that it depends on, takes real numbers for integers; ``None`` if none does.

        Raises ``CompileError`` if there is no such node.
        """
        found = self._misuses[self.node(name).name]
        return found[1] if found else None

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that take a node's result, in order. Raises ``CompileError`` if there is no such node."""
        wanted = self.node(name).name
        return tuple(node for node in self.nodes if wanted in node.sources)

    def replace(self, **changes: Any) -> "Graph":
        """A copy with other ``nodes``, ``name`` or ``metadata``."""
        return dataclasses.replace(self, **changes)


def _range(node: Node, given: list[Range | None], shapes: list[Shape]) -> Range | None:
    """Range of a node's result. Real numbers stay such until a sign or threshold."""
    taken = [values for values in given if values is not None]
    result = BITS if node.gives_signs else None
    if len(taken) == len(given):
        if not node.gives_signs:
            result = node.output_range(taken, shapes)
        reach = max(node.peak(taken, shapes), result.reach if result else 0)
        if reach >= 1 << WIDEST:
            raise CompileError(f"{node.name}: its values can reach {reach}, beyond {WIDEST} bits; use smaller factors, "
                               f"or a Clip before it")
    return result


def equal(one: Graph, other: Graph) -> bool:
    """Whether two graphs have the same name, metadata and nodes, array for array."""
    def contents(graph: Graph) -> list[Any]:
        return [(type(node), dataclasses.fields(node)) for node in graph.nodes]

    return (one.name == other.name and one.metadata == other.metadata and contents(one) == contents(other)
            and all(np.array_equal(getattr(a, item.name), getattr(b, item.name))
                    for a, b in zip(one.nodes, other.nodes) for item in dataclasses.fields(a)))

"""The integer IR: a network as a topologically ordered tuple of frozen nodes. See docs/architecture.md.

Feature maps are ``(H, W, C)``; values are integers and bits appear as -1 / +1. Arrays are copied on entry
and are read-only. Whatever a node or graph cannot be is refused on construction with ``CompileError``. Nodes
refer to each other by name through ``sources``, so one with several sources needs nothing new from ``Graph``.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sw.errors import CompileError
from sw.numerics import black

__all__ = [
    "BatchNorm", "Conv", "Graph", "Input", "MaxPool", "Node", "Scores", "Shape", "Sign", "Threshold", "Unary",
    "binary_macs", "equal",
]

#: ``(H, W, C)`` of a feature map.
Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Node:
    """What all nodes share: a name that is unique in the graph, and the names of their sources."""

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise CompileError(f"a layer's name must be a string that is not empty, not {self.name!r}")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the nodes whose results this one takes, in order."""
        return ()

    def output_shape(self, *shapes: Shape) -> Shape:
        """Shape of the result from those of the sources. Raises ``CompileError`` if they do not fit."""
        return shapes[0]

    def _array(self, what: str, dtype: type[np.generic], dimensions: int) -> None:
        """Replace a field by a read-only copy of ``dtype`` that holds the same values."""
        given: ArrayLike = getattr(self, what)
        with np.errstate(all="ignore"):
            array = np.array(given).astype(dtype)
        if array.ndim != dimensions or not array.size:
            raise CompileError(f"{self.name}: {what} must be an array of {dimensions} dimension(s) that is "
                               f"not empty, not of shape {array.shape}")
        if not np.array_equal(array, given) or not np.all(np.isfinite(array)):
            raise CompileError(f"{self.name}: {what} must be finite numbers that {np.dtype(dtype).name} "
                               f"holds exactly; round them first")
        array.flags.writeable = False
        object.__setattr__(self, what, array)

    def _integer(self, what: str, least: int, most: int | None = None) -> None:
        value = getattr(self, what)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least or (
                most is not None and value > most):
            span = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise CompileError(f"{self.name}: {what} must be an integer {span}, not {value!r}")
        object.__setattr__(self, what, int(value))

    def _per_channel(self, what: str, shape: Shape) -> Shape:
        count = len(getattr(self, what))
        if count != shape[2]:
            raise CompileError(f"{self.name}: {what} has {count} values for {shape[2]} channels; "
                               f"give each channel one")
        return shape


@dataclass(frozen=True, eq=False)
class Input(Node):
    """Images ``(H, W, C)``; pixels ``u`` of ``bits`` bits enter as odd integers ``2u - (2**bits - 1)``."""

    shape: Shape
    bits: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) != 3 or not all(isinstance(n, int | np.integer) and n > 0 for n in self.shape):
            raise CompileError(f"{self.name}: shape must be (H, W, C), all positive, not {self.shape!r}")
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        self._integer("bits", 1, 8)

    def output_shape(self, *shapes: Shape) -> Shape:
        """The image's."""
        return self.shape


@dataclass(frozen=True, eq=False)
class Unary(Node):
    """A node with one source."""

    source: str

    @property
    def sources(self) -> tuple[str, ...]:
        """The one."""
        return (self.source,)


@dataclass(frozen=True, eq=False)
class Conv(Unary):
    """Convolution of weights ``int8 (O, KH, KW, C)`` of -1 / +1; its result is the integer sum, with no bias.

    ``padding`` pixels surround the map. They are skipped if ``pad_value`` is 0. Behind the ``Input`` it may
    also be ``black(bits)``, an unsigned 0. The result has ``(H + 2 padding - KH) // stride + 1`` rows.
    """

    weights: NDArray[np.int8]
    stride: int = 1
    padding: int = 0
    pad_value: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._array("weights", np.int8, 4)
        if not np.all(np.abs(self.weights) == 1):
            raise CompileError(f"{self.name}: weights must be -1 or +1; take the sign of the latent weights")
        self._integer("stride", 1)
        self._integer("padding", 0)
        self._integer("pad_value", black(8), 0)

    def output_shape(self, *shapes: Shape) -> Shape:
        """See the class."""
        height, width, channels = shapes[0]
        count, kernel_h, kernel_w, taken = self.weights.shape
        if taken != channels:
            raise CompileError(f"{self.name}: weights take {taken} channels, but {self.source} has "
                               f"{channels}")
        if min(height - kernel_h, width - kernel_w) + 2 * self.padding < 0:
            raise CompileError(f"{self.name}: kernel {kernel_h} x {kernel_w} is larger than the map "
                               f"{height} x {width} with padding {self.padding}; use a smaller kernel")
        rows, columns = ((size + 2 * self.padding - kernel) // self.stride + 1
                         for size, kernel in ((height, kernel_h), (width, kernel_w)))
        return rows, columns, count


@dataclass(frozen=True, eq=False)
class BatchNorm(Unary):
    """``gain * (x - mean) / sqrt(variance + epsilon) + bias`` per channel; only before the passes.

    The arrays are ``float32 (C,)``; ``epsilon`` is a Python float, taken as the exact rational that it is.
    """

    gain: NDArray[np.float32]
    bias: NDArray[np.float32]
    mean: NDArray[np.float32]
    variance: NDArray[np.float32]
    epsilon: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for what in ("gain", "bias", "mean", "variance"):
            self._array(what, np.float32, 1)
        object.__setattr__(self, "epsilon", float(self.epsilon))
        least = float(self.variance.min())
        if not (np.isfinite(self.epsilon) and self.epsilon >= 0 and least >= 0 and least + self.epsilon > 0):
            raise CompileError(f"{self.name}: variance + epsilon must be above 0 in each channel and neither "
                               f"below 0, not {least} + {self.epsilon}")

    def output_shape(self, *shapes: Shape) -> Shape:
        """That of the source."""
        for what in ("gain", "bias", "mean", "variance"):
            self._per_channel(what, shapes[0])
        return shapes[0]


@dataclass(frozen=True, eq=False)
class Sign(Unary):
    """+1 where ``x >= 0``, else -1."""


@dataclass(frozen=True, eq=False)
class MaxPool(Unary):
    """Maximum of windows ``size x size``, the stride too; what is left over at the far edges is dropped."""

    size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integer("size", 2)

    def output_shape(self, *shapes: Shape) -> Shape:
        """``(H // size, W // size, C)``."""
        height, width, channels = shapes[0]
        if min(height, width) < self.size:
            raise CompileError(f"{self.name}: size {self.size} is larger than the map {height} x {width}; "
                               f"use a smaller pool or leave it out")
        return height // self.size, width // self.size, channels


@dataclass(frozen=True, eq=False)
class Threshold(Unary):
    """+1 where ``x >= T``, else -1; ``thresholds`` is ``int32 (C,)``."""

    thresholds: NDArray[np.int32]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._array("thresholds", np.int32, 1)

    def output_shape(self, *shapes: Shape) -> Shape:
        """That of the source."""
        return self._per_channel("thresholds", shapes[0])


@dataclass(frozen=True, eq=False)
class Scores(Unary):
    """Final integers ``x + offset``, ``offsets`` is ``int32 (O,)``; the class is the lowest index of the
    highest.
    """

    offsets: NDArray[np.int32]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._array("offsets", np.int32, 1)

    def output_shape(self, *shapes: Shape) -> Shape:
        """``(1, 1, O)``."""
        if shapes[0][:2] != (1, 1):
            raise CompileError(f"{self.name}: scores need a 1 x 1 map, but {self.source} is {shapes[0][0]} x "
                               f"{shapes[0][1]}; end the network with a fully connected layer")
        return self._per_channel("offsets", shapes[0])


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: an ``Input``, then nodes in an order in which each follows its sources.

    ``metadata`` is what JSON can hold: the accuracy, the data set and the recipe of a trained network. Raises
    ``CompileError`` for a second input, an unknown source, a name used twice, or shapes that do not fit.
    """

    nodes: tuple[Node, ...]
    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    _shapes: Mapping[str, Shape] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))
        if [isinstance(node, Input) for node in self.nodes] != [True] + [False] * (len(self.nodes) - 1):
            raise CompileError(f"network {self.name}: its first node, and no other, must be an input")
        shapes: dict[str, Shape] = {}
        for node in self.nodes:
            if node.name in shapes:
                raise CompileError(f"{node.name}: two layers have this name; rename one")
            for source in node.sources:
                if source not in shapes:
                    raise CompileError(f"{node.name}: no layer before it is named {source!r}; "
                                       f"those before it are {', '.join(shapes)}")
                if isinstance(self.node(source), Scores):
                    raise CompileError(f"{node.name}: {source} gives the scores, which no layer may follow")
            if isinstance(node, Conv):
                self._check_padding(node)
            shapes[node.name] = node.output_shape(*(shapes[source] for source in node.sources))
        object.__setattr__(self, "_shapes", MappingProxyType(shapes))

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
        for node in self.nodes:
            if node.name == name:
                return node
        raise CompileError(f"network {self.name} has no layer {name!r}, but "
                           f"{', '.join(node.name for node in self.nodes)}")

    def shape(self, name: str) -> Shape:
        """``(H, W, C)`` of a node's result. Raises ``CompileError`` if there is no such node."""
        return self._shapes[self.node(name).name]

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that take a node's result, in order. Raises ``CompileError`` if there is no such node."""
        return tuple(node for node in self.nodes if self.node(name).name in node.sources)

    def replace(self, **changes: Any) -> "Graph":
        """A copy with other ``nodes``, ``name`` or ``metadata``."""
        return dataclasses.replace(self, **changes)


def equal(one: Graph, other: Graph) -> bool:
    """Whether two graphs have the same name, metadata and nodes, array for array."""
    def contents(graph: Graph) -> list[Any]:
        return [(type(node), dataclasses.fields(node)) for node in graph.nodes]

    return (one.name == other.name and one.metadata == other.metadata and contents(one) == contents(other)
            and all(np.array_equal(getattr(a, item.name), getattr(b, item.name))
                    for a, b in zip(one.nodes, other.nodes) for item in dataclasses.fields(a)))


def binary_macs(graph: Graph, name: str) -> int:
    """Binary multiply-accumulates of a convolution that a score depends on.

    Each output pixel counts its whole kernel, padded taps too; an n-bit input counts n times. Pixels that a
    later pool or stride drops do not count. Raises ``CompileError`` if the node is no convolution.
    """
    conv = graph.node(name)
    if not isinstance(conv, Conv):
        raise CompileError(f"{name}: a convolution is wanted, not a node {type(conv).__name__}")
    planes = graph.inputs.bits if conv.source == graph.inputs.name else 1
    return int(_needed(graph)[name].sum()) * conv.weights.size * planes


def _needed(graph: Graph) -> dict[str, NDArray[np.bool_]]:
    """For each node the pixels ``(H, W)`` of its result on which the last node's depends."""
    masks = {node.name: np.full(graph.shape(node.name)[:2], node is graph.nodes[-1]) for node in graph.nodes}
    for node in reversed(graph.nodes):
        if isinstance(node, Conv):
            windows = tuple((kernel, node.stride, node.padding) for kernel in node.weights.shape[1:3])
        elif isinstance(node, MaxPool):
            windows = ((node.size, node.size, 0),) * 2
        else:
            windows = ((1, 1, 0),) * 2
        for source in node.sources:
            mask = masks[node.name]
            for axis, (kernel, stride, padding) in enumerate(windows):
                mask = _reached(mask, axis, masks[source].shape[axis], kernel, stride, padding)
            masks[source] |= mask
    return masks


def _reached(mask: NDArray[np.bool_], axis: int, size: int, kernel: int, stride: int,
             padding: int) -> NDArray[np.bool_]:
    """Along one axis, the source pixels that windows at the mask's pixels touch."""
    mask = np.moveaxis(mask, axis, 0)
    touched = np.zeros((size + 2 * padding, *mask.shape[1:]), bool)
    for tap in range(kernel):
        touched[tap:tap + stride * len(mask):stride] |= mask
    return np.moveaxis(touched[padding:padding + size], 0, axis)

"""The lowered graph as the engine sees it: a chain of layers, each one convolution with its threshold and pool.

The engine's limits that do not depend on the array's shape are stated and checked here, all at once.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.errors import UnsupportedLayerError

__all__ = ["LIMITS", "Layer", "chain_of_layers", "convolution_reasons", "layer_of"]

#: Largest legal value of each loop bound, as wide as its field in the layer descriptor.
LIMITS = {"kernel": 256, "padding": 3, "stride": 2, "step": 2, "map": 256, "channels": 4096, "classes": 256}


@dataclass(frozen=True, eq=False)
class Layer:
    """One convolution (or fully connected layer, its kernel the whole map) with what follows it.

    ``source`` is where activations come from: ``"window"`` (n-bit image, windows formed on the fly), ``"flat"``
    (1-bit input vector) or ``"features"``. ``in_shape`` and ``out_shape`` are ``(H, W, C)``, the latter after the
    pool; ``planes`` is the number of bits of an activation, ``code_width`` that of the image's channels which come in
    one byte. Exactly one of ``thresholds`` and ``offsets`` is set, each ``int32 (O,)``; ``offsets`` marks the last
    layer, whose results are scores.
    """

    name: str
    source: str
    weights: NDArray[np.int8]
    stride: int
    padding: int
    pool: int
    planes: int
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    binary_macs: int
    thresholds: NDArray[np.int32] | None = None
    offsets: NDArray[np.int32] | None = None
    code_width: int = 1

    @property
    def is_head(self) -> bool:
        """Whether the results are scores."""
        return self.offsets is not None

    @property
    def is_3x3(self) -> bool:
        """Whether the kernel is 3 x 3 over a larger map."""
        return self.weights.shape[1:3] == (3, 3) and self.in_shape[:2] != (3, 3)

    @property
    def step(self) -> int:
        """Input columns between neighbouring pooled output pixels: stride x pool."""
        return self.stride * self.pool

    @property
    def largest_sum(self) -> int:
        """Largest count of XNOR matches, planes weighted: the accumulator's range."""
        return int(self.weights[0].size) * ((1 << self.planes) - 1)


@lru_cache(maxsize=4)  # the search for an array asks for the same graph's a thousand times
def chain_of_layers(graph: ir.Graph) -> tuple[Layer, ...]:
    """Group a lowered graph without words (``sw.residual.reader.has_words``) into layers.

    Raises ``UnsupportedLayerError`` with every reason why the engine cannot run the graph.
    """
    reasons: list[str] = []
    layers: list[Layer] = []
    nodes = list(graph.nodes[1:])
    previous: str | None = graph.inputs.name  # none behind what is refused, which is no reason to refuse more
    while nodes:
        node, following = nodes[0], nodes[1] if len(nodes) > 1 else None
        if not isinstance(node, ir.Conv):
            if previous is not None:
                reasons.append(_no_layer(node, following))
            nodes, previous = nodes[1:], None
            continue
        after = following if isinstance(following, ir.Threshold | ir.Scores) else None
        pool = nodes[2] if after and len(nodes) > 2 and isinstance(nodes[2], ir.MaxPool) else None
        nodes = nodes[1 + bool(after) + bool(pool):]
        if following and not after:
            reasons.append(_no_layer(node, following))
        if after and (node.source != (previous or node.source) or after.source != node.name
                      or (pool and pool.source != after.name)):
            reasons.append(f"{node.name}: branches are not supported by the engine; layers must form a chain")
        reasons += _foreign(graph, node)
        if graph.range(node.source) is not None:  # else the reason is there already
            layer = layer_of(graph, node, after, pool)
            reasons += _reasons(layer, node, graph.inputs, last=not nodes)
            layers.append(layer)
        last = pool or after
        previous = last.name if last else None
    if not layers and not reasons:
        reasons.append(f"{graph.inputs.name}: the network has no layers")
    if reasons:
        raise UnsupportedLayerError(reasons)
    return tuple(layers)


def _absent(node: ir.Node, what: str, remedy: str) -> str:
    return f"{node.name}: {what}, which the engine does not have; {remedy}"


def _no_layer(node: ir.Node, following: ir.Node | None) -> str:
    return (f"{node.name}: {type(node).__name__} followed by {type(following).__name__} is not a convolution with "
            f"a threshold or scores; run sw.passes.lower on the network")


def _foreign(graph: ir.Graph, conv: ir.Conv) -> list[str]:
    """Why this is no convolution of bits, or of an image, with binary weights."""
    reasons = []
    if conv.groups > 1:
        reasons.append(_absent(conv, f"a grouped convolution of {conv.groups} groups", "use groups=1"))
    if conv.weight_bits > 1:
        reasons.append(_absent(conv, f"weights of {conv.weight_bits} bits", "use binary weights"))
    values = graph.range(conv.source)
    if values is not None and not values.is_signs and conv.source != graph.inputs.name:
        reasons.append(_absent(conv, f"a convolution of {values.bits}-bit values", f"put a sign behind {conv.source}"))
    return reasons


def layer_of(graph: ir.Graph, conv: ir.Conv, after: ir.Threshold | ir.Scores | None = None,
             pool: ir.MaxPool | None = None) -> Layer:
    """A convolution as a layer; without ``after`` its results are what others make of its sums."""
    source = graph.inputs
    in_shape, first = graph.shape(conv.source), conv.source == source.name
    whole_map = conv.weights.shape[1:3] == in_shape[:2] and not conv.padding
    kind = "features" if not first else ("flat" if whole_map and source.bits == 1 else "window")
    weights = np.asarray(conv.weights, np.int8)  # those of several bits are refused
    if kind == "flat":  # one pixel that has every input as its channels
        weights = np.ascontiguousarray(weights.reshape(len(weights), 1, 1, -1))
        in_shape = (1, 1, weights.shape[3])
    return Layer(
        name=conv.name, source=kind, weights=weights, stride=conv.stride, padding=conv.padding,
        pool=pool.size if pool else 1, planes=source.bits if first else 1, in_shape=in_shape,
        out_shape=graph.shape((pool or after or conv).name), binary_macs=ir.binary_macs(graph, conv.name),
        thresholds=after.thresholds if isinstance(after, ir.Threshold) else None,
        offsets=after.offsets if isinstance(after, ir.Scores) else None,
        code_width=source.code_width if first else 1,
    )


def _reasons(layer: Layer, conv: ir.Conv, source: ir.Input, *, last: bool) -> list[str]:
    """Why the engine cannot run this layer of a chain, whatever the array's shape."""
    found = convolution_reasons(layer, conv, source)
    if layer.is_head:
        if layer.out_shape[:2] != (1, 1) or not last:
            found.append(f"{layer.name}: scores must be 1 x 1 and last, not {layer.out_shape[0]} x "
                         f"{layer.out_shape[1]}; end the network with a fully connected layer")
        if layer.out_shape[2] > LIMITS["classes"]:
            found.append(f"{layer.name}: {layer.out_shape[2]} classes are above the engine's {LIMITS['classes']}")
        reach = layer.largest_sum + int(np.abs(np.asarray(layer.offsets)).max(initial=0))
        if reach > 0x7FFF:
            found.append(f"{layer.name}: a score can reach {reach}, above the 16-bit result's 32767; "
                         f"use fewer inputs or smaller offsets")
    elif last:
        found.append(f"{layer.name}: the last layer must give scores; end the network with a score head")
    return found


def convolution_reasons(layer: Layer, conv: ir.Conv, source: ir.Input) -> list[str]:
    """Why the engine's sequencer cannot run a convolution, whatever the array's shape and what follows it."""
    height, width, channels = layer.in_shape
    kernel = max(layer.weights.shape[1:3])
    found = [
        f"{layer.name}: {what} {value} is above the engine's {LIMITS[limit]}; use a smaller one"
        for what, value, limit in (
            ("kernel size", kernel, "kernel"), ("padding", layer.padding, "padding"),
            ("stride", layer.stride, "stride"), ("stride x pool", layer.step, "step"),
            ("map side", max(height, width), "map"), ("channel count", max(channels, layer.out_shape[2]), "channels"),
        ) if value > LIMITS[limit]
    ]
    if layer.source == "features" and layer.padding >= min(layer.weights.shape[1:3]):
        found.append(f"{layer.name}: padding {layer.padding} gives windows without a pixel for a kernel of "
                     f"{layer.weights.shape[1]} x {layer.weights.shape[2]}; use less padding")
    if layer.source == "window":
        if layer.weights.shape[1] != layer.weights.shape[2]:
            found.append(f"{layer.name}: the first convolution's kernel must be square, not {layer.weights.shape[1]} x "
                         f"{layer.weights.shape[2]}; pad it to a square")
        if conv.padding and conv.pad_value == 0:
            found.append(f"{layer.name}: zero padding of an n-bit image has no +-1 planes; "
                         f"pad with black (pad_value {1 - (1 << source.bits)}) or use padding 0")
        if layer.in_shape[:2] == layer.weights.shape[1:3]:
            found.append(f"{layer.name}: a first layer over the whole image takes 1-bit inputs and no padding, not "
                         f"{source.bits} bits and padding {layer.padding}; use a smaller kernel, or 1-bit inputs")
    elif conv.pad_value:
        found.append(f"{layer.name}: pad_value {conv.pad_value} is only for the first layer of an n-bit image; use 0")
    return found

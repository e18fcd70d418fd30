"""From a lowered graph to the layers of a residual network.

The nodes behind a convolution are taken together if they are, in this order and each at most once: a selection that
repeats channels, an ``Affine``, another such selection, an ``Add`` with a shortcut, then a ``Clip`` or a PReLU with its
shifts. A selection that permutes the channels of words or bits, as a channel shuffle, only names them anew. Whatever
else a network has is refused here, all at once, by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.errors import UnsupportedLayerError
from sw.layers import Layer, convolution_reasons, layer_of
from sw.residual.formats import Saturation, word_format
from sw.residual.layers import SLOPE_SHIFT, PooledLayer, Shortcut, Slopes, WordLayer, WordNetwork

__all__ = ["has_words", "word_network"]

#: What nodes are that have no place behind a convolution of the engine, and what to do without them.
_ABSENT: Mapping[type[ir.Node], tuple[str, str]] = {
    ir.MaxPool: ("a max pool", "use a convolution's stride"),
    ir.Concat: ("a concatenation", "use shortcuts that pad or repeat channels"),
    ir.Select: ("a selection of channels", "use shortcuts that pad or repeat channels, and shuffle bits or words"),
    ir.Subsample: ("subsampling", "use it in a shortcut, by 2"),
    ir.AveragePool: ("an average pool", "use it in a shortcut, 2 x 2"),
    ir.GlobalSum: ("a sum over the map", "use one, before the last layer, and thresholds that are fixed in training"),
    ir.Power: ("a power of values", "use thresholds that are fixed in training"),
    ir.Table: ("a look-up table", "use thresholds that are fixed in training"),
    ir.Compare: ("a run-time threshold", "use thresholds that are fixed in training"),
    ir.Add: ("an addition", "add a shortcut behind a convolution's batch norm, before its clip or PReLU"),
    ir.Affine: ("a fixed-point batch norm", "put it behind a convolution, before its shortcut"),
    ir.Slopes: ("a PReLU", "put it behind the shortcut"),
    ir.Clip: ("a clip", "put it behind the shortcut"),
    ir.Threshold: ("a sign", "put it behind a convolution's words"),
    ir.Scores: ("scores", "end the network with them"),
}

#: Nodes of a chain of layers, before ``sw.passes.lower`` and behind it.
_OF_CHAINS = (ir.Input, ir.Conv, ir.BatchNorm, ir.Sign, ir.MaxPool, ir.Threshold, ir.Scores)

#: The hardware's multipliers take factors of so many bits.
GAIN_BITS = 16

_Integers = NDArray[np.int64]


def has_words(graph: ir.Graph) -> bool:
    """Whether a graph has words of several bits between its layers, or nodes that work on them."""
    return not all(isinstance(node, _OF_CHAINS) for node in graph.nodes)


def word_network(graph: ir.Graph) -> WordNetwork:
    """Group a lowered graph into layers.

    Raises ``UnsupportedLayerError`` with every reason why the engine cannot run the graph.
    """
    return _Reader(graph).network()


@dataclass
class _Reader:
    """Walks a graph; ``made`` has the number of the layer by the name of its words or bits, or of either in another
    order, and the layer's channel for each of that node's; ``widths`` what saturates on the way to words.
    """

    graph: ir.Graph
    reasons: list[str] = field(default_factory=list)
    layers: list[WordLayer] = field(default_factory=list)
    made: dict[str, tuple[int, _Integers]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    widths: list[Saturation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.takers: Mapping[str, list[ir.Node]] = {
            node.name: [other for other in self.graph.nodes if node.name in other.sources] for node in self.graph.nodes}
        self.taken.add(self.graph.inputs.name)

    def network(self) -> WordNetwork:
        """See ``word_network``."""
        head = None
        for node in self.graph.nodes:
            if isinstance(node, ir.Conv):
                if isinstance(self._only(node), ir.Scores):
                    head = self._head(node)
                elif node.source == self.graph.inputs.name or node.source in self.made:
                    self._layer(node)
        # What follows on something that is refused is no further reason.
        for node in [node for node in self.graph.nodes if node.name not in self.taken]:
            if all(source in self.taken for source in node.sources):
                what, remedy = _ABSENT.get(type(node), (f"a {type(node).__name__}", "leave it out"))
                self.reasons.append(f"{node.name}: {what} in a place where the engine has none; {remedy}")
        if head is None and not self.reasons:
            self.reasons.append(f"{self.graph.nodes[-1].name}: the last layer must give scores; end with "
                                f"sw.nn.head.PooledHead")
        if head is None or self.reasons:
            raise UnsupportedLayerError(self.reasons)
        layers = tuple(self.layers)
        form, reasons = word_format(self.graph, layers, self.widths)
        if reasons:
            raise UnsupportedLayerError(reasons)
        return WordNetwork(self.graph.name, self.graph.inputs, layers, head, form.bits, form.low, form.high, form.shift)

    def _refuse(self, node: ir.Node, why: str) -> None:
        self.taken.add(node.name)
        self.reasons.append(f"{node.name}: {why}")

    def _only(self, node: ir.Node) -> ir.Node | None:
        """The one node that takes this one's result."""
        takers = self.takers[node.name]
        return takers[0] if len(takers) == 1 else None

    def _take(self, node: ir.Node) -> ir.Node:
        self.taken.add(node.name)
        return node

    def _repeated(self, node: ir.Node) -> ir.Node:
        """The selection behind a node that repeats its channels, or the node itself."""
        after = self._only(node)
        count = self.graph.shape(node.name)[2]
        if isinstance(after, ir.Select) and len(after.channels) % count == 0 and np.array_equal(
                after.channels, np.arange(len(after.channels)) % count):
            return self._take(after)
        return node

    def _renamed(self, node: ir.Node, number: int, channels: _Integers) -> list[ir.Node]:
        """Enter a node as words or bits of a layer, and what only permutes their channels; returns what takes them."""
        self.made[node.name] = number, channels
        found: list[ir.Node] = []
        for after in self.takers[node.name]:
            if isinstance(after, ir.Select) and np.array_equal(np.sort(after.channels), np.arange(len(channels))):
                found += self._renamed(self._take(after), number, channels[after.channels])
            else:
                found.append(after)
        return found

    def _layer(self, conv: ir.Conv) -> None:
        graph = self.graph
        self._take(conv)
        convolution = layer_of(graph, conv)
        self._check_conv(conv, convolution)
        node: ir.Node = self._repeated(conv)
        after = self._only(node)
        shift: int | None = None
        norm: ir.Affine | None = None
        if isinstance(after, ir.Affine):
            norm = after
            gain, offset, shift = after.gain.astype(np.int64), after.offset.astype(np.int64), after.shift
            offset = offset + (1 << shift >> 1)
            if np.abs(gain).max(initial=0) >= 1 << (GAIN_BITS - 1):
                self._refuse(after, f"a gain of {int(gain[np.abs(gain).argmax()])} is beyond {GAIN_BITS} bits; the "
                                    f"largest that fits is {(1 << (GAIN_BITS - 1)) - 1}: export with a smaller shift")
            node = self._repeated(self._take(after))
            repeats = graph.shape(node.name)[2] // len(gain)
            gain, offset = np.tile(gain, repeats), np.tile(offset, repeats)
        elif isinstance(after, ir.Threshold):
            # The sign of the sum less its threshold, whatever the shift.
            gain = np.ones(len(after.thresholds), np.int64)
            offset = -after.thresholds.astype(np.int64)
        else:
            self._refuse(conv, "a convolution without a batch norm or a sign behind it; put one there")
            return
        shortcut = slopes = clip = None
        after = self._only(node)
        if isinstance(after, ir.Add):
            shortcut = self._shortcut(after, node)
            node = self._take(after)
            after = self._only(node)
        if isinstance(after, ir.Clip):
            clip = after.low, after.high
            node = self._take(after)
        elif isinstance(after, ir.Slopes | ir.Affine):
            slopes, node = self._slopes(node)
        if norm is not None:
            # Beyond these bits nothing that is added, or limits, brings a value back.
            beyond = 2 if shortcut or slopes else 0
            self.widths.append(Saturation(norm, beyond, not shortcut and not clip))
        self._finish(conv, convolution, node, gain, offset, shift, shortcut, slopes, clip)

    def _finish(self, conv: ir.Conv, convolution: Layer, node: ir.Node, gain: _Integers, offset: _Integers,
                shift: int | None, shortcut: Shortcut | None, slopes: Slopes | None,
                clip: tuple[int, int] | None) -> None:
        """Add the layer whose words are the values of ``node``."""
        graph, number = self.graph, len(self.layers)
        takers = self._renamed(node, number, np.arange(len(gain)))
        bits = [after for after in takers if isinstance(after, ir.Threshold)]
        keep = shift is not None and len(bits) < len(takers)
        thresholds: _Integers | None = None
        bit_channels = np.arange(0)
        for after in bits:
            channels = self.made[after.source][1]
            values = np.zeros(len(gain), np.int64)
            if shift is not None:  # else the sum's own threshold is in the offset
                values[channels] = after.thresholds
            if thresholds is None:
                thresholds, bit_channels = values, channels
            elif not np.array_equal(values, thresholds):
                self._refuse(after, f"a second threshold of {node.name}, of which the engine stores one; share it")
            self._renamed(self._take(after), number, channels)
        inputs, taken = self.made.get(conv.source, (None, np.arange(0)))
        height, width, _ = graph.shape(node.name)
        self.layers.append(WordLayer(
            conv=conv, convolution=convolution, inputs=inputs, taken=taken,
            out_shape=(height, width, len(gain)), gain=gain, offset=offset, shift=shift, shortcut=shortcut,
            slopes=slopes, clip=clip, words=node.name, bits=bits[0].name if bits else None,
            bit_channels=bit_channels, thresholds=thresholds, keep=keep))

    def _check_conv(self, conv: ir.Conv, convolution: Layer) -> None:
        image = conv.source == self.graph.inputs.name
        if image and self.layers:
            self._refuse(conv, "is a second convolution of the image, which is read once; let one take it")
        if image and conv.groups > 1:
            self._refuse(conv, f"a grouped convolution of the image, of {conv.groups} groups; use groups=1")
        if convolution.source == "flat":
            self._refuse(conv, "takes the whole image at once; use a kernel that is smaller than the image")
        self.reasons += convolution_reasons(convolution, conv, self.graph.inputs)
        if conv.weight_bits > 1:
            self._refuse(conv, f"weights of {conv.weight_bits} bits, which only the last layer may have; train with "
                               f"binary ones (stem_bits=1)")
        values = self.graph.range(conv.source)
        if not image and values is not None and not values.is_signs:
            self._refuse(conv, "takes words; put a sign before it")

    def _shortcut(self, add: ir.Add, branch: ir.Node) -> Shortcut | None:
        """What an addition adds to a branch."""
        name = add.right if add.left == branch.name else add.left
        node = self.graph.node(name)
        if self.graph.shape(name) != self.graph.shape(branch.name):
            self._refuse(add, f"adds {name} to all pixels alike; give both maps one shape")
            return None
        channels = np.arange(self.graph.shape(name)[2], dtype=np.int64)
        kind = "same"
        while node.name not in self.made:
            if isinstance(node, ir.Select):
                picked = node.channels.astype(np.int64)
                channels = np.where(channels >= 0, picked[channels], -1)
            elif kind == "same" and isinstance(node, ir.AveragePool) and node.size == 2:
                kind = "average"
            elif kind == "same" and isinstance(node, ir.Subsample) and node.stride == 2:
                kind = "subsample"
            else:
                self._refuse(add, f"its shortcut comes from {node.name}, a {type(node).__name__}; use the "
                                  f"identity, 2 x 2 average pools, subsampling by 2, and channels that are padded with "
                                  f"zeros or repeated")
                return None
            self._take(node)
            node = self.graph.node(node.sources[0])
        source, own = self.made[node.name]
        return Shortcut(source, kind, np.where(channels >= 0, own[channels], -1))

    def _slopes(self, node: ir.Node) -> tuple[Slopes | None, ir.Node]:
        """The PReLU behind a node, with the shifts around it, and its last node; both as given if it has none."""
        parts: list[ir.Node] = []
        after = self._only(node)
        while isinstance(after, ir.Slopes | ir.Affine) and len(parts) < 3:
            parts.append(after)
            after = self._only(after)
        kinds = [type(part) for part in parts]
        if kinds not in ([ir.Affine, ir.Slopes, ir.Affine], [ir.Slopes]):
            return None, node
        bend = next(part for part in parts if isinstance(part, ir.Slopes))
        shifts = [part for part in parts if isinstance(part, ir.Affine)]
        if bend.shift != SLOPE_SHIFT or any(part.shift or np.any(part.gain != 1) for part in shifts):
            self._refuse(bend, f"a PReLU's slopes must have {SLOPE_SHIFT} bits behind the point, and its shifts no "
                               f"gain")
        for part in parts:
            self._take(part)
        self.widths.append(Saturation(bend, 0, True))
        self.widths += [Saturation(part, beyond, True) for part, beyond in zip(shifts, (2, 0), strict=False)]
        nothing = np.zeros(len(bend.positive), np.int64)
        before, behind = (part.offset.astype(np.int64) for part in shifts) if shifts else (nothing, nothing)
        return Slopes(before, bend.positive.astype(np.int64), bend.negative.astype(np.int64), behind), parts[-1]

    def _head(self, conv: ir.Conv) -> PooledLayer | None:
        graph = self.graph
        scores = self._only(conv)
        node, reduce = graph.node(conv.source), 0
        if isinstance(node, ir.Affine) and not np.any(node.offset) and np.all(node.gain == 1) and node.bits == 32:
            reduce = node.shift
            node = graph.node(self._take(node).sources[0])
        assert isinstance(scores, ir.Scores)  # by the caller
        if not isinstance(node, ir.GlobalSum):
            self._take(scores)
            self._refuse(conv, "the last layer must be a fully connected one of the sums over the map; end with "
                               "sw.nn.head.PooledHead")
            return None
        if node.source not in self.made:
            return None
        for part in (node, conv, scores):
            self._take(part)
        if conv.weight_bits > 8:
            self._refuse(conv, f"weights of {conv.weight_bits} bits; the engine takes up to 8")
        inputs, channels = self.made[node.source]
        return PooledLayer(
            name=scores.name, inputs=inputs, in_shape=graph.shape(node.source),
            weights=conv.weights.reshape(len(conv.weights), -1)[:, np.argsort(channels)].astype(np.int64),
            offsets=scores.offsets.astype(np.int64), reduce=reduce,
            reach=max(ir.reach(graph, scores.name), ir.reach(graph, conv.name)))

"""Folding: how a layer's channels, pixels and taps spread over an engine's rows, columns and lanes, pass by pass."""

from dataclasses import dataclass
from math import gcd

from sw.engine import Engine
from sw.errors import FitError
from sw.layers import Layer
from sw.map_link import MapLink

__all__ = ["LayerPlan", "ceil_div", "drain_for", "plan_layer", "window_patch"]


def ceil_div(value: int, by: int) -> int:
    """The quotient, rounded up."""
    return -(-value // by)


def window_patch(kernel: int, stride: int, pool: int, columns: int) -> tuple[int, int]:
    """Rows and columns of input pixels that the windows of ``columns`` neighbouring (pooled) output pixels touch."""
    beyond = (pool - 1) * stride + kernel
    return beyond, (columns - 1) * stride * pool + beyond


@dataclass(frozen=True)
class LayerPlan:
    """How a layer folds onto an engine; loop bounds, not yet cycles.

    ``words`` are the activation words of a tap and plane, ``kernel`` the taps that the sequencer walks, ``groups_c``
    the passes over output channels, ``groups_x`` those over a row of (pooled) output pixels. ``fill`` are the channels
    that come into a word of a stored input map at a time: what the engine that made it drains.
    """

    layer: Layer
    engine: Engine
    words: int
    kernel: tuple[int, int]
    groups_c: int
    groups_x: int
    fill: int

    @property
    def weight_words(self) -> int:
        """Weight ROM words: channel groups x taps x words."""
        return self.groups_c * self.kernel[0] * self.kernel[1] * self.words

    @property
    def used_last(self) -> int:
        """Lanes in use in a tap's last word."""
        fan_in = self.layer.weights[0].size // (self.kernel[0] * self.kernel[1])
        return int(fan_in) - (self.words - 1) * self.engine.lanes

    @property
    def odd_words(self) -> int:
        """Words of a sum, planes weighted, with an odd number of lanes in use."""
        return self.used_last % 2 * self.kernel[0] * self.kernel[1] * ((1 << self.layer.planes) - 1)

    @property
    def sum_width(self) -> int:
        """Bits of a signed accumulator that holds half of every dot product, a word's unused lanes included."""
        largest = (self.layer.largest_sum + self.odd_words + 1) // 2
        return max(largest, self.engine.lanes // 2).bit_length() + 1

    @property
    def last_rows(self) -> int:
        """Rows in use in the last channel group."""
        return len(self.layer.weights) - (self.groups_c - 1) * self.engine.rows

    @property
    def out_words(self) -> int:
        """Feature words of a pixel of the result."""
        return ceil_div(self.layer.out_shape[2], self.engine.lanes)

    @property
    def out_depth(self) -> int:
        """Addresses that the result takes in each feature bank."""
        return 0 if self.layer.is_head else self.layer.out_shape[0] * self.groups_x * self.out_words

    @property
    def patch(self) -> tuple[int, int]:
        """Rows and columns of input pixels that one column group's windows touch."""
        layer = self.layer
        return window_patch(layer.weights.shape[1], layer.stride, layer.pool, self.engine.columns)

    def fetch(self, group: int) -> int:
        """Input pixels that the input unit fetches for a column group: all that its windows touch for the first of a
        row, for the others those that the group before did not.
        """
        rows, columns = self.patch
        return rows * (self.engine.columns * self.layer.step if group else columns)

    def taps_y(self, row: int, dy: int) -> tuple[int, int]:
        """First kernel row inside the map, and how many, for pooled output row ``row`` and window row ``dy``."""
        return self._taps(row * self.layer.step + dy * self.layer.stride, 0, 0)

    def taps_x(self, group: int, dx: int) -> tuple[int, int]:
        """First kernel column in which any PE column has a pixel inside the map, and how many follow; one where all
        lie behind the map's right edge.

        The passes ``dx`` of a pool window are side by side: together they have ``pool`` times the array's columns.
        """
        layer, columns = self.layer, self.engine.columns
        return self._taps((group * layer.pool + dx) * columns * layer.stride, (columns - 1) * layer.stride, 1)

    def _taps(self, start: int, reach: int, axis: int) -> tuple[int, int]:
        if self.layer.source != "features":
            return 0, 1
        first = start - self.layer.padding
        skip = max(0, -(first + reach))
        last = min(self.kernel[axis] - 1, self.layer.in_shape[axis] - 1 - first)
        return skip, max(1, last - skip + 1)


def plan_layer(layer: Layer, engine: Engine, source: MapLink | None = None) -> LayerPlan:
    """Fold one layer onto an engine; ``source`` is where its input comes from if that is another engine.

    Raises ``FitError`` if the engine's shape cannot run the layer, with a shape that can.
    """
    if gcd(layer.stride, engine.columns) != 1 and layer.source != "window":
        raise FitError(
            f"{layer.name}: stride {layer.stride} shares a factor with the array's {engine.columns} columns; use an "
            f"odd number of columns, such as {engine.columns - 1} or {engine.columns + 1}"
        )
    if layer.source == "flat" and engine.lanes % 8:
        raise FitError(f"{layer.name}: packed 1-bit inputs need lanes that are a multiple of 8, not {engine.lanes}")
    if engine.lanes % 2:
        raise FitError(f"{layer.name}: the array's lanes must be even, not {engine.lanes}")
    height, width, channels = layer.weights.shape[1:]
    if channels % 2 and layer.padding and layer.source == "features":
        raise FitError(f"{layer.name}: {channels} input channels with padding {layer.padding}: the engine skips padded "
                       f"taps only with an even number of channels; use {channels + 1}, or no padding")
    if layer.source == "features":
        kernel, fan_in = (height, width), channels
    else:
        kernel, fan_in = (1, 1), height * width * channels
    return LayerPlan(
        layer=layer, engine=engine, words=ceil_div(fan_in, engine.lanes), kernel=kernel,
        groups_c=ceil_div(len(layer.weights), engine.rows), groups_x=ceil_div(layer.out_shape[1], engine.columns),
        fill=engine.drain if source is None else source.fill,
    )


def drain_for(layers: tuple[Layer, ...], rows: int, columns: int, lanes: int) -> int:
    """The fewest rows a cycle that must leave the drain register so that it does not hold up any full-size pass.

    The last layer's scores leave one a cycle and do not count.
    """
    passes = []
    for layer in layers[:-1] if len(layers) > 1 else layers:
        plan = plan_layer(layer, Engine(rows, columns, lanes))
        passes.append(plan.kernel[0] * plan.kernel[1] * plan.words * layer.planes)
    legal = [drain for drain in range(1, rows + 1) if rows % drain == 0 and lanes % drain == 0]
    return next((drain for drain in legal if rows // drain <= min(passes)), legal[-1])

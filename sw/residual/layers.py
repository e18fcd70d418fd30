"""A residual network as the engine sees it: convolutions, each with what its sums become, and a pooled head."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sw import ir
from sw.layers import Layer

__all__ = ["SLOPE_SHIFT", "PooledLayer", "Shortcut", "Slopes", "WordLayer", "WordNetwork"]

#: Bits behind the point of a slope, in hardware.
SLOPE_SHIFT = 10
_Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Shortcut:
    """Words of the layer numbered ``source``, added to those of another.

    ``kind`` is ``"same"``, ``"subsample"`` (each second row and column) or ``"average"`` (2 x 2). ``channels`` has the
    source's channel for each of the result's, -1 for none.
    """

    source: int
    kind: str
    channels: _Integers


@dataclass(frozen=True, eq=False)
class Slopes:
    """``after + (slope * (v + before)) >> SLOPE_SHIFT``, ``slope`` by the sign of the first sum: a PReLU's parts."""

    before: _Integers
    positive: _Integers
    negative: _Integers
    after: _Integers


@dataclass(frozen=True, eq=False)
class WordLayer:
    """One convolution and its post-processing.

    ``convolution`` is it as a layer of its own, whose sums the rest says what to make of. ``inputs`` is the number of
    the layer whose bits it takes, ``None`` for the image, and ``taken`` has that layer's channel for each of its own
    input channels (none of the image). ``gain`` and ``offset`` of the ``Affine``, the rounding half in the latter, are
    of each channel of the result; those with the same accumulator lie ``accumulators`` apart. ``words`` and ``bits``
    name the nodes whose values are stored, and ``bit_channels`` has the layer's channel for each of those of ``bits``.
    ``bits`` with ``thresholds`` is ``None`` if only words are taken, and ``keep`` is false if only bits are.
    """

    conv: ir.Conv
    convolution: Layer
    inputs: int | None
    taken: _Integers
    out_shape: ir.Shape
    gain: _Integers
    offset: _Integers
    shift: int | None
    shortcut: Shortcut | None
    slopes: Slopes | None
    clip: tuple[int, int] | None
    words: str
    bits: str | None
    bit_channels: _Integers
    thresholds: _Integers | None
    keep: bool

    @property
    def name(self) -> str:
        """Of the convolution."""
        return self.conv.name

    @property
    def accumulators(self) -> int:
        """Output channels of the convolution."""
        return len(self.conv.weights)

    @property
    def tiles(self) -> int:
        """Channels that an accumulator makes."""
        return self.out_shape[2] // self.accumulators


@dataclass(frozen=True, eq=False)
class PooledLayer:
    """Scores from the sums of layer ``inputs``' words: ``offsets + weights * ((sum + half) >> reduce)``.

    ``weights`` are odd integers of 8 bits, ``(classes, C)``.
    """

    name: str
    inputs: int
    in_shape: ir.Shape
    weights: _Integers
    offsets: _Integers
    reduce: int
    reach: int


@dataclass(frozen=True, eq=False)
class WordNetwork:
    """All layers. Every word has ``word_bits`` bits, and within them lies between ``low`` and ``high``."""

    name: str
    image: ir.Input
    layers: tuple[WordLayer, ...]
    head: PooledLayer
    word_bits: int
    low: int
    high: int
    shift: int

    @property
    def bends(self) -> bool:
        """Whether any layer has slopes."""
        return any(layer.slopes for layer in self.layers)

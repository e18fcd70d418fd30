"""The nodes of a chain of binary layers: image, convolution, batch norm, sign, threshold, max pool, scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sw.errors import CompileError
from sw.ir.base import Node, Shape, Unary
from sw.ir.ranges import Range
from sw.numerics import black

__all__ = ["BatchNorm", "Conv", "Input", "MaxPool", "Scores", "Sign", "Threshold"]


@dataclass(frozen=True, eq=False)
class Input(Node):
    """Images ``(H, W, C)``; pixels ``u`` of ``bits`` bits enter as odd integers ``2u - (2**bits - 1)``.

    ``u`` is an 8-bit pixel's highest bits, or ``levels[pixel]``: ``uint8 (256,)``, for networks whose training took
    pixels otherwise. With levels ``(256, K)`` a pixel is K such integers, and the map has ``K * C`` channels, those of
    a pixel's channel side by side: a thermometer code has ``bits=1``. All that a channel of a pixel becomes has at most
    8 bits.
    """

    shape: Shape
    bits: int
    levels: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) != 3 or not all(isinstance(n, int | np.integer) and n > 0 for n in self.shape):
            raise CompileError(f"{self.name}: shape must be (H, W, C), all positive, not {self.shape!r}")
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        self._integer("bits", 1, 8)
        if self.levels is not None:
            self._array("levels", np.uint8, np.ndim(self.levels) if np.ndim(self.levels) == 2 else 1)
            if len(self.levels) != 256 or self.levels.max(initial=0) >= 1 << self.bits:
                raise CompileError(f"{self.name}: levels must be 256 integers from 0 to {(1 << self.bits) - 1}, not "
                                   f"{len(self.levels)} up to {self.levels.max(initial=0)}")
            if not 1 <= self.code_width * self.bits <= 8:
                raise CompileError(f"{self.name}: a pixel must become at most 8 bits, not {self.code_width} integers "
                                   f"of {self.bits}; use fewer levels a pixel")

    @property
    def code_width(self) -> int:
        """Integers that a channel of a pixel becomes."""
        return 1 if self.levels is None or self.levels.ndim == 1 else int(self.levels.shape[1])

    def output_shape(self, *shapes: Shape) -> Shape:
        """The image's, with as many channels as its pixels become integers."""
        height, width, channels = self.shape
        return height, width, channels * self.code_width

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """The pixels'."""
        return Range(black(self.bits), -black(self.bits), odd=True)


@dataclass(frozen=True, eq=False)
class Conv(Unary):
    """Convolution with ``weights (O, KH, KW, C / groups)``; its result is the integer sum, with no bias.

    Weights of 1 bit are -1 / +1 (int8); those of ``weight_bits`` from 2 to 8 are odd integers within
    ``+-(2**weight_bits - 1)`` (int16). Output channel ``o`` takes the input channels of group
    ``o // (O / groups)``. The source is any map of integers.

    ``padding`` pixels surround the map. They are skipped if ``pad_value`` is 0. Behind the ``Input`` it may
    also be ``black(bits)``, an unsigned 0. The result has ``(H + 2 padding - KH) // stride + 1`` rows.
    """

    weights: NDArray[np.int8] | NDArray[np.int16]
    stride: int = 1
    padding: int = 0
    pad_value: int = 0
    groups: int = 1
    weight_bits: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integer("weight_bits", 1, 8)
        self._array("weights", np.int8 if self.weight_bits == 1 else np.int16, 4)
        most = -black(self.weight_bits)
        if not np.all((self.weights % 2 == 1) & (np.abs(self.weights) <= most)):
            raise CompileError(
                f"{self.name}: weights must be -1 or +1; take the sign of the latent weights" if most == 1 else
                f"{self.name}: weights of {self.weight_bits} bits must be odd integers from {-most} to {most}; "
                f"quantise the latent weights")
        self._integer("stride", 1)
        self._integer("padding", 0)
        self._integer("pad_value", black(8), 0)
        self._integer("groups", 1)
        if len(self.weights) % self.groups:
            raise CompileError(f"{self.name}: groups must divide the {len(self.weights)} output channels, "
                               f"not {self.groups}")

    def output_shape(self, *shapes: Shape) -> Shape:
        """See the class."""
        height, width, channels = shapes[0]
        count, kernel_h, kernel_w, each = self.weights.shape
        if each * self.groups != channels:
            raise CompileError(f"{self.name}: weights take {each * self.groups} channels, but {self.source} has "
                               f"{channels}")
        if min(height - kernel_h, width - kernel_w) + 2 * self.padding < 0:
            raise CompileError(f"{self.name}: kernel {kernel_h} x {kernel_w} is larger than the map "
                               f"{height} x {width} with padding {self.padding}; use a smaller kernel")
        rows, columns = ((size + 2 * self.padding - kernel) // self.stride + 1
                         for size, kernel in ((height, kernel_h), (width, kernel_w)))
        return rows, columns, count

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """The largest magnitude with either sign: it holds for each sum on the way too, in any order."""
        total = self.weights[0].size
        if self.weight_bits > 1:
            total = int(np.abs(self.weights).sum(axis=(1, 2, 3), dtype=np.int64).max())
        return Range(-total * ranges[0].reach, total * ranges[0].reach)


@dataclass(frozen=True, eq=False)
class BatchNorm(Unary):
    """``gain * (x - mean) / sqrt(variance + epsilon) + bias`` per channel; only before the passes.

    The arrays are ``float32 (C,)``; ``epsilon`` is a Python float, taken as the exact rational that it is.
    """

    takes_reals = True

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

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> None:
        """None: these are real numbers."""
        return


@dataclass(frozen=True, eq=False)
class Sign(Unary):
    """+1 where ``x >= 0``, else -1."""

    gives_signs = True
    takes_reals = True


@dataclass(frozen=True, eq=False)
class MaxPool(Unary):
    """Maximum of windows ``size x size``, the stride too; what is left over at the far edges is dropped."""

    takes_reals = True

    size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._integer("size", 2)

    def output_shape(self, *shapes: Shape) -> Shape:
        """``(H // size, W // size, C)``."""
        self._check_window("size", self.size, shapes[0])
        return shapes[0][0] // self.size, shapes[0][1] // self.size, shapes[0][2]


@dataclass(frozen=True, eq=False)
class Threshold(Unary):
    """+1 where ``x >= T``, else -1; ``thresholds`` is ``int32 (C,)``."""

    gives_signs = True
    takes_reals = True

    thresholds: NDArray[np.int32]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._array("thresholds", np.int32, 1)

    def output_shape(self, *shapes: Shape) -> Shape:
        """That of the source."""
        return self._per_channel("thresholds", shapes[0])


@dataclass(frozen=True, eq=False)
class Scores(Unary):
    """Final integers ``x + offset``, of 32 bits; ``offsets`` is ``int32 (O,)``. The class is the lowest index of
    the highest.
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

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range:
        """The largest magnitude with either sign. Raises ``CompileError`` where it is beyond 32 bits."""
        bound = ranges[0].reach + int(np.abs(self.offsets.astype(np.int64)).max())
        if bound >= 1 << 31:
            raise CompileError(f"{self.name}: its values can reach {bound}, beyond 32 bits; use fewer inputs")
        return Range(-bound, bound)

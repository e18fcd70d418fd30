"""What all nodes share, and what those with one source and with two do."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from sw.errors import CompileError
from sw.ir.ranges import Range

__all__ = ["Node", "Pair", "Shape", "Unary"]

#: ``(H, W, C)`` of a feature map.
Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Node:
    """A name that is unique in the graph, and the rules by which shape and range follow from the sources'."""

    #: Whether the result is +-1, whatever the sources hold.
    gives_signs: ClassVar[bool] = False
    #: Whether the sources may hold the real numbers of a ``BatchNorm``.
    takes_reals: ClassVar[bool] = False

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise CompileError(f"a layer's name must be a string that is not empty, not {self.name!r}")

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the nodes whose results this one takes, in order."""
        return ()

    def with_sources(self, *names: str) -> "Node":
        """A copy that takes the results of other nodes."""
        return self

    def output_shape(self, *shapes: Shape) -> Shape:
        """Shape of the result from those of the sources. Raises ``CompileError`` if they do not fit."""
        return shapes[0]

    def output_range(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> Range | None:
        """Range of the result from those of the sources, which are integers; ``None`` if it is real numbers.

        Raises ``CompileError`` if the node cannot take such values.
        """
        return ranges[0]

    def peak(self, ranges: Sequence[Range], shapes: Sequence[Shape]) -> int:
        """The largest magnitude that arises on the way from the sources to the result, which it may not exceed."""
        return 0

    def _array(self, what: str, dtype: type[np.generic], dimensions: int) -> None:
        """Replace a field by a read-only copy of ``dtype`` that holds the same values."""
        given: ArrayLike = getattr(self, what)
        exact = True
        with np.errstate(all="ignore"):
            array = np.array(given)
            try:
                array = array.astype(dtype)
            except OverflowError:  # Python integers beyond 64 bits
                exact = False
        if array.ndim != dimensions or not array.size:
            raise CompileError(f"{self.name}: {what} must be an array of {dimensions} dimension(s) that is "
                               f"not empty, not of shape {array.shape}")
        if not exact or not np.array_equal(array, given) or not np.all(np.isfinite(array)):
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
class Unary(Node):
    """A node with one source."""

    source: str

    @property
    def sources(self) -> tuple[str, ...]:
        """The one."""
        return (self.source,)

    def with_sources(self, *names: str) -> "Node":
        """With one other source."""
        return dataclasses.replace(self, source=names[0])

    def _check_window(self, what: str, size: int, shape: Shape) -> None:
        if min(shape[:2]) < size:
            raise CompileError(f"{self.name}: {what} {size} is larger than the map {shape[0]} x {shape[1]}; "
                               f"use a smaller pool or leave it out")


@dataclass(frozen=True, eq=False)
class Pair(Node):
    """A node with two sources."""

    left: str
    right: str

    @property
    def sources(self) -> tuple[str, ...]:
        """Left and right."""
        return self.left, self.right

    def with_sources(self, *names: str) -> "Node":
        """With two others."""
        return dataclasses.replace(self, left=names[0], right=names[1])

    def _misfit(self, shapes: Sequence[Shape], wanted: str) -> CompileError:
        given: list[Any] = [" x ".join(map(str, shape)) for shape in shapes]
        return CompileError(f"{self.name}: {self.left} is {given[0]} and {self.right} is {given[1]}; {wanted}")

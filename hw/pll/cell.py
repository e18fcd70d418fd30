"""A PLL as a cell of a netlist, in data: whoever makes an instance of it needs to know no family."""

from dataclasses import dataclass, field

__all__ = ["PllCell"]


@dataclass(frozen=True)
class PllCell:
    """The cell ``kind`` with its ``parameters`` and ``attributes``: text, or integers as ``(value, width)``, 32 if
    they have no width.

    The oscillator comes in at the port ``reference``, the clock leaves at ``output`` and comes back at ``feedback``
    where that is outside the cell; ``locked`` is 1 while it is stable. ``inputs`` are the ports with a constant, by
    ``(value, width)``.
    """

    kind: str
    reference: str
    output: str
    locked: str
    feedback: str | None = None
    parameters: dict = field(default_factory=dict)
    attributes: dict = field(default_factory=dict)
    inputs: dict[str, tuple[int, int]] = field(default_factory=dict)

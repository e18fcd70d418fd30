"""Threshold comparator: from a processing element's sum to a score and a bit."""

from amaranth import Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Threshold"]


class Threshold(wiring.Component):
    """``value = 2 * sum - threshold`` and its sign: the sum is half of a dot product (``hw.pe``).

    Latency: 0, combinational.

    Parameters
    ----------
    sum_width : int
        Bits of a signed sum, at least 1.
    threshold_width : int
        Bits of a signed threshold, at least 1.

    Members
    -------
    sum : In(signed(sum_width))
    threshold : In(signed(threshold_width))
    value : Out(signed(max(sum_width + 1, threshold_width) + 1))
        Never overflows.
    bit : Out(1)
        ``value >= 0``.

    Raises
    ------
    ValueError
        If a width is below 1.
    """

    def __init__(self, *, sum_width, threshold_width):
        for name, width in (("sum_width", sum_width), ("threshold_width", threshold_width)):
            if not isinstance(width, int) or width < 1:
                raise ValueError(f"Threshold {name} must be a positive integer, not {width!r}")
        self.sum_width = sum_width
        self.threshold_width = threshold_width
        super().__init__({
            "sum": In(signed(sum_width)),
            "threshold": In(signed(threshold_width)),
            "value": Out(signed(max(sum_width + 1, threshold_width) + 1)),
            "bit": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.value.eq(2 * self.sum - self.threshold), self.bit.eq(~self.value[-1])]
        return m

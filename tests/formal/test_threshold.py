"""The threshold comparator is ``2 * sum - threshold`` and its sign, for every input of every relation of widths."""

import pytest
from amaranth import Module, signed
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hw.threshold import Threshold
from tests.formal.prove import Verdict, prove


class IsTheDefinition(wiring.Component):
    """Of several devices at once: starting the prover costs more than these proofs."""

    def __init__(self, *devices):
        self.devices = devices
        super().__init__({
            f"{name}{index}": In(signed(getattr(device, f"{name}_width")))
            for index, device in enumerate(devices) for name in ("sum", "threshold")
        })

    def elaborate(self, platform):
        m = Module()
        for index, device in enumerate(self.devices):
            total, threshold = getattr(self, f"sum{index}"), getattr(self, f"threshold{index}")
            m.submodules += device
            m.d.comb += [
                device.sum.eq(total),
                device.threshold.eq(threshold),
                # Amaranth compares integers of any width: an overflow of ``value`` would show.
                Assert(device.value == total + total - threshold),
                Assert(device.bit == (total + total >= threshold)),
            ]
        return m


def test_is_the_definition(tmp_path):
    widths = [(1, 1), (4, 3), (4, 5), (4, 9), (11, 16), (16, 11)]
    devices = [Threshold(sum_width=first, threshold_width=second) for first, second in widths]
    assert prove(IsTheDefinition(*devices), tmp_path) is Verdict.PROVEN


class Narrow(Threshold):
    """Its value has one bit too few."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.value[-1].eq(self.value[-2])
        return m


class Strict(Threshold):
    """A sum that equals its threshold gives 0."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.bit.eq(self.value > 0)
        return m


@pytest.mark.parametrize("faulty", [Narrow, Strict])
def test_fault_is_found(faulty, tmp_path):
    assert prove(IsTheDefinition(faulty(sum_width=6, threshold_width=7)), tmp_path) is Verdict.REFUTED

"""The popcount equals the sum of its bits, for every input; with registers, that of ``latency`` cycles before."""

import pytest
from amaranth import Cat, Module, Signal
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hw import popcount
from hw.popcount import Popcount
from tests.formal.prove import Verdict, prove


class EqualsSum(wiring.Component):
    """For several devices at once: starting the prover costs more than most of these proofs."""

    def __init__(self, *devices):
        self.devices = devices
        super().__init__({f"bits{index}": In(device.lanes) for index, device in enumerate(devices)})

    def elaborate(self, platform):
        m = Module()
        for index, device in enumerate(self.devices):
            bits = getattr(self, f"bits{index}")
            total = sum(bits[1:], bits[0])
            for stage in range(device.latency):
                delayed = Signal.like(device.o, name=f"total_{stage}", reset_less=True)
                m.d.sync += delayed.eq(total)
                total = delayed
            m.submodules += device
            m.d.comb += [device.i.eq(bits), Assert(device.o == total)]
        return m


@pytest.mark.parametrize("lanes", [(1, 2, 3, 4, 5, 7, 16), (31,), (32,)])
def test_equals_the_sum(lanes, tmp_path):
    assert prove(EqualsSum(*(Popcount(lanes=count) for count in lanes)), tmp_path) is Verdict.PROVEN


def test_equals_the_sum_with_registers(tmp_path):
    devices = [Popcount(lanes=lanes, registers=registers) for lanes, registers in [(5, 1), (16, 1), (16, 2)]]
    depth = max(device.latency for device in devices) + 1
    assert prove(EqualsSum(*devices), tmp_path, induction=True, depth=depth) is Verdict.PROVEN


def test_lost_carry_is_found(monkeypatch, tmp_path):
    def full_adders(bits):
        """As the real ones, but their carry forgets one pair of the three bits."""
        groups = [bits[start:start + 3] for start in range(0, len(bits), 3)]
        return [Cat(a ^ b ^ c, (a & b) | (a & c)) for a, b, c in groups]

    monkeypatch.setattr(popcount, "_full_adders", full_adders)
    device = Popcount(lanes=27, registers=4)
    assert prove(EqualsSum(device), tmp_path, depth=device.latency + 1) is Verdict.REFUTED

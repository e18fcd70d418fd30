"""The popcount equals the sum of its bits, for every input; with registers, that of ``latency`` cycles before."""

import pytest
from amaranth import Cat, Const, Module, Signal
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
        super().__init__({
            f"{name}{index}": In(device.lanes)
            for index, device in enumerate(devices) for name in ("weight", "activation")
        })

    def elaborate(self, platform):
        m = Module()
        for index, device in enumerate(self.devices):
            weight, activation = getattr(self, f"weight{index}"), getattr(self, f"activation{index}")
            agree = ~(weight ^ activation)
            total = sum(agree[1:], agree[0]) + device.offset
            arrived = Const(1, 1)  # not what registers without a reset hold at first
            for stage in range(device.stages):
                delayed = Signal.like(device.o, name=f"total_{stage}", reset_less=True)
                started = Signal(name=f"started_{stage}")
                m.d.sync += [delayed.eq(total), started.eq(arrived)]
                total, arrived = delayed, started
            m.submodules += device
            m.d.comb += [device.weight.eq(weight), device.activation.eq(activation)]
            m.d.comb += Assert(~arrived | (device.o == total))
        return m


IMPLEMENTATIONS = [("portable", ()), ("ice40", ("ice40",)), ("ecp5", ("ecp5",))]


@pytest.mark.parametrize("lanes", [(1, 2, 3, 4, 5, 7, 15), (16, 31)])
@pytest.mark.parametrize(("implementation", "families"), IMPLEMENTATIONS)
def test_equals_the_sum(implementation, families, lanes, tmp_path):
    devices = [Popcount(lanes=count, implementation=implementation) for count in lanes]
    assert prove(EqualsSum(*devices), tmp_path, families=families) is Verdict.PROVEN


@pytest.mark.parametrize(("implementation", "families"), IMPLEMENTATIONS)
def test_equals_the_sum_with_an_offset(implementation, families, tmp_path):
    devices = [Popcount(lanes=lanes, offset=offset, implementation=implementation)
               for lanes, offset in [(7, -4), (11, -6), (15, -8), (8, 3)]]
    assert prove(EqualsSum(*devices), tmp_path, families=families) is Verdict.PROVEN


@pytest.mark.parametrize(("implementation", "families"), IMPLEMENTATIONS)
def test_equals_the_sum_with_registers(implementation, families, tmp_path):
    devices = [Popcount(lanes=lanes, stages=stages, implementation=implementation)
               for lanes, stages in [(5, 1), (15, 2), (16, 3), (16, 1)]]
    depth = max(device.stages for device in devices) + 1
    assert prove(EqualsSum(*devices), tmp_path, induction=True, depth=depth, families=families) is Verdict.PROVEN


@pytest.mark.parametrize(("family", "wrong"), [
    ("ice40", ("SUM_TABLE", 0xC33F)), ("ice40", ("CARRY_TABLE", 0xFE00)),
    ("ecp5", ("LANES", 0x6997)), ("ecp5", ("BITS", 0x6860)), ("ecp5", ("LET_IN", 0x0602)),
])
def test_wrong_table_is_found(family, wrong, monkeypatch, tmp_path):
    monkeypatch.setattr(f"hw.popcount_{family}.{wrong[0]}", wrong[1])
    device = Popcount(lanes=7, implementation=family)
    assert prove(EqualsSum(device), tmp_path, families=[family]) is Verdict.REFUTED


def test_lost_carry_is_found(monkeypatch, tmp_path):
    def full_adders(bits):
        """As the real ones, but their carry forgets one pair of the three bits."""
        groups = [bits[start:start + 3] for start in range(0, len(bits), 3)]
        return [Cat(a ^ b ^ c, (a & b) | (a & c)) for a, b, c in groups]

    monkeypatch.setattr(popcount, "_full_adders", full_adders)
    device = Popcount(lanes=27, stages=1)
    assert prove(EqualsSum(device), tmp_path, depth=device.stages + 1) is Verdict.REFUTED

"""The harness: what comes in bit by bit reaches the core, and its outputs come out."""

import random

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from hw.bench.harness import Echo, SerialHarness, place_core, port_widths
from hw.bench.naive import NaiveArray
from hw.boards import find_board
from hw.tools import ToolError


class Adder(wiring.Component):
    a: In(4)
    b: In(4)
    total: Out(5)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.total.eq(self.a + self.b)
        return m


def test_port_widths():
    # 2 x 8 weights, 3 x 8 activations, enable of 3 columns, 3 flags; 6 sums of 9 bits, 2 flags.
    dut = NaiveArray(rows=2, columns=3, lanes=8, sum_width=9)
    assert port_widths(dut) == (16 + 24 + 3 + 3, 54 + 2)


def run_bits(dut, bits, look):
    """Send ``bits``, one an edge, and return what ``look(ctx)`` sees after each."""
    seen = []

    async def testbench(ctx):
        for bit in bits:
            ctx.set(dut.rx, bit)
            ctx.set(dut.clock, 0)
            await ctx.delay(1e-6)
            ctx.set(dut.clock, 1)
            await ctx.delay(1e-6)
            seen.append(look(ctx))

    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()
    return seen


def test_inputs_reach_the_core():
    choose = random.Random(5)
    dut = SerialHarness(core := Adder())
    bits = [choose.getrandbits(1) for _ in range(60)]
    seen = run_bits(dut, bits, lambda ctx: [ctx.get(core.a), ctx.get(core.b), ctx.get(core.total)])
    for edge in range(9, 60):
        # The last bit that came in is the lowest of the first port.
        a, b = (sum(bits[edge - low - index] << index for index in range(4)) for low in (0, 4))
        assert seen[edge][:2] == [a, b]
        assert seen[edge][2] == sum(seen[edge - 1][:2])


def test_outputs_leave():
    # Outputs that are inputs come out as they came in, in as many edges as there are bits and one more; but not before
    # the first one has said that outputs are loaded.
    choose = random.Random(6)
    bits = [0, 0, 1] + [choose.getrandbits(1) for _ in range(60)]
    dut = SerialHarness(Echo(inputs=7, outputs=7))
    seen = run_bits(dut, bits, lambda ctx: ctx.get(dut.tx))
    assert not any(seen[:10]) and any(seen[10:])
    first = 2 + 7 + 1
    assert seen[first:] == bits[3:3 + len(seen) - first]


def test_placed_harness_takes_a_cell_a_bit(tmp_path):
    found = place_core(Echo(inputs=20, outputs=10), find_board("ice40"), tmp_path, clock_mhz=12, seconds=60)
    # Shift registers of 20 + 1 and 10 bits, and a few that route signals.
    assert 31 <= found["logic_cells"] <= 35
    assert found["logic_cells_available"] == 5280
    assert found["clock_mhz"] > 12


def test_placement_that_does_not_end_is_said(tmp_path, monkeypatch):
    def hang(*arguments, **options):
        raise ToolError("nextpnr timed out after 60 s; the end of it:\n    still routing")

    monkeypatch.setattr("hw.flow.place_and_route", hang)
    found = place_core(Echo(inputs=2, outputs=1), find_board("ice40"), tmp_path, clock_mhz=12, seconds=60)
    assert found["clock_mhz"] is None and found["reason"].endswith("still routing")


def test_modules_from_verilog(tmp_path):
    from amaranth import Instance

    class Outside(wiring.Component):
        x: In(4)
        y: Out(1)

        def elaborate(self, platform):
            m = Module()
            m.submodules.inside = Instance("inside", i_x=self.x, o_y=self.y)
            return m

    (tmp_path / "inside.v").write_text("module inside(input [3:0] x, output y); assign y = ^x; endmodule\n")
    (tmp_path / "unused.v").write_text('module unused(output [3:0] y); reg [3:0] m [1:0];\n'
                                       'initial $readmemh("nowhere.mem", m); assign y = m[0]; endmodule\n')
    found = place_core(Outside(), find_board("ice40"), tmp_path, clock_mhz=12, seconds=60,
                       verilog=("inside.v", "unused.v"))
    assert found["logic_cells"] >= 6
    with pytest.raises(ToolError, match="inside"):
        place_core(Outside(), find_board("ice40"), tmp_path, clock_mhz=12, seconds=60, verilog=("unused.v",))

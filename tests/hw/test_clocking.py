"""Reset after configuration, after the PLL's lock, and while the button is pressed."""

import dataclasses
import re

import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator

from hw.boards import BOARDS
from hw.clocking import ClockAndReset

BOARD = BOARDS["ice40"]
#: Half a period of the oscillator, in seconds.
HALF = 1 / 24e6


def simulate(dut, testbench):
    """Run a testbench in which each ``tick`` is a cycle of the oscillator's clock."""
    simulator = Simulator(dut)
    simulator.add_testbench(testbench)
    simulator.run()


async def cycle(ctx, dut):
    ctx.set(dut.clock, 1)
    await ctx.delay(HALF)
    ctx.set(dut.clock, 0)
    await ctx.delay(HALF)


def test_reset_cycles_are_20_us():
    assert ClockAndReset(board=BOARD, clock_mhz=24).reset_cycles == 480
    assert ClockAndReset(board=BOARD, clock_mhz=12).reset_cycles == 240


def test_reset_ends_and_the_button_starts_it_again():
    dut = ClockAndReset(board=BOARD, clock_mhz=12)

    async def testbench(ctx):
        assert ctx.get(dut.rst) == 1
        for wait in (0, 7):
            # The button is seen three cycles late, pressed as released.
            ctx.set(dut.pressed, wait > 0)
            for _ in range(3 if wait else 0):
                assert ctx.get(dut.rst) == 0
                await cycle(ctx, dut)
            for _ in range(wait):
                await cycle(ctx, dut)
                assert ctx.get(dut.rst) == 1
            ctx.set(dut.pressed, 0)
            cycles = 0
            while ctx.get(dut.rst):
                await cycle(ctx, dut)
                cycles += 1
            assert cycles == dut.reset_cycles + 2
            for _ in range(300):
                await cycle(ctx, dut)
                assert ctx.get(dut.rst) == 0

    simulate(dut, testbench)


@pytest.mark.parametrize(("pll_pad", "cell", "port"), [
    (True, "SB_PLL40_PAD", "PACKAGEPIN"), (False, "SB_PLL40_CORE", "REFERENCECLK"),
])
def test_pll(pll_pad, cell, port):
    board = dataclasses.replace(BOARD, pll_pad=pll_pad)
    text = rtlil.convert(ClockAndReset(board=board, clock_mhz=24))
    found = re.search(rf"cell \\{cell} .*?\n(.*?)\n  end", text, re.DOTALL)[1]
    parameters = dict(re.findall(r"parameter \\(\w+) (\S+)", found))
    assert parameters == {
        "FEEDBACK_PATH": '"SIMPLE"', "DIVR": "4'0000", "DIVF": "7'0111111", "DIVQ": "3'101", "FILTER_RANGE": "3'001",
    }
    assert {port, "RESETB", "BYPASS", "PLLOUTGLOBAL", "LOCK"} == set(re.findall(r"connect \\(\w+)", found))


def test_ecp5_pll():
    text = rtlil.convert(ClockAndReset(board=BOARDS["ulx3s-25f"], clock_mhz=50))
    found = re.search(r"cell \\EHXPLLL .*?\n(.*?)\n  end", text, re.DOTALL)[1]
    parameters = dict(re.findall(r"parameter (?:signed )?\\(\w+) (\S+)", found))
    dividers = {name: int(parameters[name]) for name in ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV", "CLKOP_CPHASE")}
    assert dividers == {"CLKI_DIV": 1, "CLKFB_DIV": 2, "CLKOP_DIV": 12, "CLKOP_CPHASE": 11}
    assert parameters["FEEDBK_PATH"] == '"CLKOP"'
    ports = dict(re.findall(r"connect \\(\w+) (\S+)", found))
    assert ports["CLKOP"] == ports["CLKFB"] != ports["CLKI"]
    assert {"RST", "STDBY", "LOCK"} <= set(ports)


@pytest.mark.parametrize("name", BOARDS)
def test_the_oscillators_own_clock_needs_no_pll(name):
    board = BOARDS[name]
    dut = ClockAndReset(board=board, clock_mhz=board.oscillator_mhz)
    assert dut.clock_mhz == board.oscillator_mhz
    assert "PLL" not in rtlil.convert(dut)


def test_frequency_that_cannot_be_made():
    with pytest.raises(ValueError, match=r"the nearest is 23.625 MHz$"):
        ClockAndReset(board=BOARD, clock_mhz=23.5)

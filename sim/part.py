"""Drives one component of ``sim.components`` cycle by cycle."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from sim.components import components
from sim.serial import PERIOD

__all__ = ["PARTS", "Part", "signed"]

PARTS = components()


class Part:
    """One component: ``drive`` sets its inputs for the rest of a cycle, ``look`` returns an output of that cycle."""

    def __init__(self, dut, name):
        self.dut = dut
        self.name = name
        self.model = PARTS[name]
        self.choose = random.Random(name)

    async def start(self, **inputs):
        """Start the clock, reset, and begin the first cycle with the given inputs; those not given are 0."""
        self.drive(**inputs)
        self.dut.rst.value = 1
        cocotb.start_soon(Clock(self.dut.clk, PERIOD, unit="ns").start(start_high=False))
        await self.step(2)
        self.dut.rst.value = 0

    def drive(self, **inputs):
        for member, value in inputs.items():
            port = getattr(self.dut, f"{self.name}_{member}")
            port.value = value & (1 << len(port)) - 1

    async def look(self, *members):
        """The outputs, unsigned; a cycle can be looked at once, after it was driven."""
        await ReadOnly()
        values = [int(getattr(self.dut, f"{self.name}_{member}").value) for member in members]
        return values if len(values) > 1 else values[0]

    async def step(self, cycles=1):
        for _ in range(cycles):
            await FallingEdge(self.dut.clk)

    def bits(self, width):
        return self.choose.getrandbits(width)

    def willing(self, share):
        return self.choose.random() < share


def signed(value, width):
    """The integer that the low ``width`` bits are in two's complement."""
    value &= (1 << width) - 1
    return value - (value >> width - 1 << width)

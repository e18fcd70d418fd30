"""The Python side of ``sim.bench``: loads frames, starts them, and collects what the bench notes."""

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Edge, First, RisingEdge, Timer

from sim.bench import LOAD_BYTES
from sim.job import Record

__all__ = ["PERIOD", "BenchDriver"]

#: Nanoseconds of a clock cycle.
PERIOD = 2


class BenchDriver:
    """Drives one ``Bench``; ``program`` is what it was built from."""

    def __init__(self, dut, program):
        self.dut = dut
        self.program = program
        self.records = []
        self.arrivals = []

    async def reset(self):
        """Start the clock, hold reset for two cycles, and begin collecting."""
        dut = self.dut
        for port in ("load", "load_address", "load_data", "start", "first", "frames", "input_pattern",
                     "output_pattern", "early", "late"):
            getattr(dut, port).value = 0
        dut.fault_frame.value = 0xFFFF
        dut.rst.value = 1
        cocotb.start_soon(Clock(dut.clk, PERIOD, unit="ns").start(start_high=False))
        for _ in range(2):
            await RisingEdge(dut.clk)
        dut.rst.value = 0
        cocotb.start_soon(self._collect_arrivals())
        cocotb.start_soon(self._collect_results())

    async def load(self, payloads):
        """Store frames, ``payloads`` a row each, from the store's first place on."""
        dut = self.dut
        dut.load.value = 1
        address = 0
        for payload in payloads:
            data = payload.tobytes()
            for start in range(0, len(data), LOAD_BYTES):
                dut.load_address.value = address
                dut.load_data.value = int.from_bytes(data[start:start + LOAD_BYTES], "little")
                address += 1
                await RisingEdge(dut.clk)
        dut.load.value = 0
        await RisingEdge(dut.clk)

    async def start(self, frames, *, first=0, input_pattern=0, output_pattern=0, early=0, late=0, fault_frame=0xFFFF):
        """Offer ``frames`` frames; the faults are those of ``Bench``."""
        dut = self.dut
        dut.first.value = first
        dut.frames.value = frames
        dut.input_pattern.value = input_pattern
        dut.output_pattern.value = output_pattern
        dut.early.value = early
        dut.late.value = late
        dut.fault_frame.value = fault_frame
        dut.start.value = 1
        await RisingEdge(dut.clk)
        dut.start.value = 0

    async def results(self, count):
        """Wait until ``count`` results have come since reset, and return all records.

        Raises ``TimeoutError`` after ten times the cycles that the schedule gives them.
        """
        limit = 10 * (count + 2) * (self.program.schedule.latency_cycles + self.program.input_bytes) + 10_000
        deadline = Timer(limit * PERIOD, unit="ns")
        while len(self.records) < count:
            if await First(Edge(self.dut.sent), deadline) is deadline:
                raise TimeoutError(f"{len(self.records)} of {count} results came in {limit} cycles")
            await RisingEdge(self.dut.clk)
        return self.records

    async def _collect_arrivals(self):
        while True:
            await Edge(self.dut.arrived)
            if int(self.dut.rst.value):
                continue
            self.arrivals.append(int(self.dut.arrived_cycle.value))

    async def _collect_results(self):
        size = self.program.result_bytes
        while True:
            await Edge(self.dut.sent)
            dut = self.dut
            if int(dut.rst.value):
                continue
            self.records.append(Record(
                arrived=self.arrivals[len(self.records)], offered=int(dut.offered_cycle.value),
                sent=int(dut.sent_cycle.value), result=int(dut.result.value).to_bytes(size, "little")))

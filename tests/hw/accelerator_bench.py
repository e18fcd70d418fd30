"""Streams around an accelerator in the Amaranth simulator: sends frames, takes results, and notes their cycles."""

import random

from amaranth.sim import Simulator

from hw.receiver import FrameError
from sim.job import Record

__all__ = ["SEED", "AcceleratorBench", "payloads"]

SEED = 17


class AcceleratorBench:
    """An accelerator, what it is sent, and what came back."""

    def __init__(self, job, dut):
        self.job = job
        self.program = job.program
        self.dut = dut
        self.arrived, self.offered, self.sent, self.results = [], [], [], []
        self.errors = []

    def run(self, frames, *, wait=0, gaps=0.0, stalls=0.0):
        """Send ``frames``, (bytes, TUSER), from cycle ``wait`` on, until a result of each that is good has come."""
        good = [data for data, user in frames if len(data) == self.program.input_bytes and not user]

        async def send(ctx):
            await self._send(ctx, frames, random.Random(SEED), wait, gaps)

        async def receive(ctx):
            await self._receive(ctx, len(good), random.Random(SEED + 1), stalls)

        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(send)
        simulator.add_testbench(receive)
        # The last, so that it sees what the others set in the same cycle.
        simulator.add_testbench(self._watch, background=True)
        simulator.run()

    @property
    def records(self):
        return [Record(*row) for row in zip(self.arrived, self.offered, self.sent, self.results, strict=True)]

    async def _send(self, ctx, frames, choose, wait, gaps):
        stream, cycle = self.dut.s_axis, wait
        for _ in range(wait):
            await ctx.tick()
        for data, user in frames:
            for index, byte in enumerate(data):
                while choose.random() < gaps:
                    ctx.set(stream.tvalid, 0)
                    await ctx.tick()
                    cycle += 1
                ctx.set(stream.tvalid, 1)
                ctx.set(stream.tdata, byte)
                ctx.set(stream.tlast, index == len(data) - 1)
                ctx.set(stream.tuser, user)
                while not ctx.get(stream.tready):
                    await ctx.tick()
                    cycle += 1
                await ctx.tick()
                cycle += 1
            if len(data) == self.program.input_bytes and not user:
                self.arrived.append(cycle - 1)
        ctx.set(stream.tvalid, 0)

    async def _receive(self, ctx, results, choose, stalls):
        stream, cycle, limit = self.dut.m_axis, 0, 20_000
        for _ in range(results):
            data = []
            while len(data) < self.program.result_bytes:
                ctx.set(stream.tready, choose.random() >= stalls)
                assert cycle < limit, f"{len(self.results)} of {results} results in {limit} cycles"
                if ctx.get(stream.tvalid):
                    if not data and len(self.offered) == len(self.results):
                        self.offered.append(cycle)
                    if ctx.get(stream.tready):
                        data.append(ctx.get(stream.tdata))
                        assert ctx.get(stream.tlast) == (len(data) == self.program.result_bytes)
                await ctx.tick()
                cycle += 1
            self.sent.append(cycle - 1)
            self.results.append(bytes(data))

    async def _watch(self, ctx):
        while True:
            if ctx.get(self.dut.error) != FrameError.NONE:
                self.errors.append(ctx.get(self.dut.error))
            self.watch(ctx)
            await ctx.tick()

    def watch(self, ctx):
        """Called in every cycle, for what a design has beside its streams."""


def payloads(job):
    return [(row.tobytes(), 0) for row in job.payloads]

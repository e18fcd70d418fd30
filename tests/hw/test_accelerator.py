"""Whole networks in the Amaranth simulator: scores, maps, and the cycle of every result; frames that are dropped."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.accelerator import Accelerator
from hw.receiver import FrameError
from sim.check import check_cycles, check_results, first_difference, unpack_maps
from sim.job import Record
from sim.prepare import make_job
from sw.engine import Engine
from tests.sw.networks import random_cnn, random_images, random_mlp

SEED = 17
NETWORKS = {
    "CNN": (random_cnn(1, (6, 7, 1), 2, (4, 6), pools=(1,), classes=3), Engine(4, 3, 8, 2)),
    "MLP": (random_mlp(2, (21, 12, 9, 4)), Engine(6, 1, 8, 2)),
}


class Bench:
    """An accelerator, what it is sent, and what came back."""

    def __init__(self, name, frames):
        graph, engine = NETWORKS[name]
        self.job = make_job(graph, engine, random_images(SEED, graph.inputs.shape, frames))
        self.program = self.job.program
        self.dut = Accelerator(self.program)
        self.arrived, self.offered, self.sent, self.results = [], [], [], []
        self.errors, self.writes = [], []

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
        trace, columns = self.dut.trace, self.program.engine.columns
        while True:
            if ctx.get(self.dut.error) != FrameError.NONE:
                self.errors.append(ctx.get(self.dut.error))
            if ctx.get(trace.valid):
                words = [ctx.get(trace.words[column]) for column in range(columns)]
                self.writes.append((ctx.get(trace.layer), ctx.get(trace.address), words))
            await ctx.tick()


def payloads(job):
    return [(row.tobytes(), 0) for row in job.payloads]


@pytest.mark.parametrize("name", NETWORKS)
def test_frames_that_follow_each_other(name):
    bench = Bench(name, frames=3)
    job, schedule = bench.job, bench.program.schedule
    bench.run(payloads(job))
    check_results(bench.records, job.expected)
    check_cycles(bench.records, schedule.timing)
    assert [(record.offered, record.sent) for record in bench.records] == schedule.timing.ideal_run(3)
    assert not bench.errors

    # Each layer's writes are all of a frame's, then the next frame's.
    share = len(bench.writes) // 3
    for frame in range(3):
        maps = unpack_maps(bench.program, bench.writes[frame * share:(frame + 1) * share])
        assert first_difference(bench.program, maps, [layer[frame] for layer in job.maps]) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_latency_of_an_idle_engine(name):
    bench = Bench(name, frames=1)
    bench.run(payloads(bench.job), wait=30)
    assert bench.sent[0] - bench.arrived[0] == bench.program.schedule.latency_cycles


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("gaps", "stalls"), [(0.6, 0), (0, 0.9), (0.4, 0.5)])
def test_gaps_and_stalls(name, gaps, stalls):
    bench = Bench(name, frames=4)
    bench.run(payloads(bench.job), gaps=gaps, stalls=stalls)
    check_results(bench.records, bench.job.expected)
    check_cycles(bench.records, bench.program.schedule.timing)


@pytest.mark.parametrize("name", NETWORKS)
def test_dropped_frames(name):
    bench = Bench(name, frames=3)
    one, two, three = payloads(bench.job)
    data = one[0]
    bench.run([(data[:-1], 0), one, (data + bytes(3), 0), (data, 1), two, (data[:1], 0), three])
    assert bench.errors == [FrameError.SHORT, FrameError.LONG, FrameError.REFUSED, FrameError.SHORT]
    check_results(bench.records, bench.job.expected)
    check_cycles(bench.records, bench.program.schedule.timing)


def test_scores_vary():
    """The networks above tell frames and classes apart: a constant would not pass."""
    for name in NETWORKS:
        expected = Bench(name, frames=4).job.expected
        assert len(np.unique(expected, axis=0)) > 2


@pytest.mark.parametrize("program", [None, "program", 3])
def test_what_is_no_program(program):
    with pytest.raises(TypeError, match=rf"^Accelerator program must be a sw.program.Program, not {program!r}$"):
        Accelerator(program)

"""Whole networks in the Amaranth simulator: scores, maps, and the cycle of every result; frames that are dropped."""

import numpy as np
import pytest

from hw.accelerator import Accelerator
from hw.receiver import FrameError
from sim.check import check_cycles, check_results, first_difference, unpack_maps
from sim.prepare import make_job
from sw.engine import Engine
from tests.hw.accelerator_bench import SEED, AcceleratorBench, payloads
from tests.sw.networks import random_cnn, random_images, random_mlp

NETWORKS = {
    "CNN": (random_cnn(1, (6, 7, 1), 2, (4, 6), pools=(1,), classes=3), Engine(4, 3, 8, 2)),
    "MLP": (random_mlp(2, (21, 12, 9, 4)), Engine(6, 1, 8, 2)),
}


class Bench(AcceleratorBench):
    """One engine, with what it writes to its feature memory."""

    def __init__(self, name, frames):
        graph, engine = NETWORKS[name]
        job = make_job(graph, engine, random_images(SEED, graph.inputs.shape, frames))
        super().__init__(job, Accelerator(job.program))
        self.writes = []

    def watch(self, ctx):
        trace = self.dut.trace
        if ctx.get(trace.valid):
            words = [ctx.get(trace.words[column]) for column in range(self.program.engine.columns)]
            self.writes.append((ctx.get(trace.layer), ctx.get(trace.address), words))


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

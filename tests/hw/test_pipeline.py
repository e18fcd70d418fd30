"""Engines in a row in the Amaranth simulator: scores, every link's map, and the cycle of every result and map."""

import dataclasses

import pytest

from hw.pipeline import PipelinedAccelerator
from hw.receiver import FrameError
from sim.check import Mismatch, check_cycles, check_results, unpack_link
from sim.prepare import make_pipeline_job
from sw.engine import Engine
from sw.pipeline import Pipeline
from tests.hw.accelerator_bench import SEED, AcceleratorBench, payloads
from tests.sw.networks import random_cnn, random_images, random_mlp

NETWORKS = {
    "CNN": (random_cnn(1, (6, 7, 1), 2, (4, 6), pools=(1,), classes=3),
            [Engine(4, 3, 8, 2), Engine(4, 1, 16, 2)], (1,)),
    "MLP": (random_mlp(2, (21, 12, 9, 4)), [Engine(6, 1, 8, 2), Engine(3, 1, 16), Engine(2, 1, 16)], (1, 2)),
}


class Bench(AcceleratorBench):
    """A pipeline, with what goes over its links."""

    def __init__(self, name, frames, change=lambda pipeline: pipeline):
        graph, engines, cuts = NETWORKS[name]
        job = make_pipeline_job(graph, engines, random_images(SEED, graph.inputs.shape, frames), cuts=cuts,
                                traced=frames)
        super().__init__(job, PipelinedAccelerator(change(job.program)))
        self.cycle = 0
        self.beats = [[] for _ in self.program.links]
        self.ends = [[] for _ in self.program.links]

    def watch(self, ctx):
        for index, (beats, ends) in enumerate(zip(self.beats, self.ends, strict=True)):
            link = getattr(self.dut, f"link_{index}")
            if ctx.get(link.valid):
                beats.append(ctx.get(link.part))
                if ctx.get(link.last):
                    ends.append(self.cycle)
        self.cycle += 1

    def check(self):
        check_results(self.records, self.job.expected)
        check_cycles(self.records, self.program.schedule.timing)
        walk = self.program.schedule.timing.walk()
        for record in self.records:
            walk.arrive(record.arrived)
            walk.leave(record.sent)
        assert self.ends == walk.arrived[1:]


@pytest.mark.parametrize("name", NETWORKS)
def test_frames_that_follow_each_other(name):
    bench = Bench(name, frames=4)
    bench.run(payloads(bench.job))
    bench.check()
    schedule = bench.program.schedule
    assert [(record.offered, record.sent) for record in bench.records] == schedule.timing.ideal_run(4)
    layer = -1
    for index, link in enumerate(bench.program.links):
        layer += len(bench.program.programs[index].layer_names)
        for frame in range(4):
            sent = bench.beats[index][frame * link.beats:(frame + 1) * link.beats]
            assert (unpack_link(link, sent) == bench.job.maps[layer][frame]).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_latency_of_idle_engines(name):
    bench = Bench(name, frames=1)
    bench.run(payloads(bench.job), wait=30)
    assert bench.sent[0] - bench.arrived[0] == bench.program.schedule.latency_cycles


@pytest.mark.parametrize(("gaps", "stalls"), [(0.6, 0), (0, 0.95), (0.4, 0.8)])
def test_gaps_and_stalls(gaps, stalls):
    bench = Bench("MLP", frames=8)
    bench.run(payloads(bench.job), gaps=gaps, stalls=stalls)
    bench.check()


def test_dropped_frames():
    bench = Bench("MLP", frames=3)
    one, two, three = payloads(bench.job)
    data = one[0]
    bench.run([(data[:-1], 0), one, (data, 1), two, (data + bytes(2), 0), three])
    assert bench.errors == [FrameError.SHORT, FrameError.REFUSED, FrameError.LONG]
    bench.check()


def test_another_weight_is_found():
    def flip(pipeline):
        first, *others = pipeline.programs
        return Pipeline((dataclasses.replace(first, weights=first.weights ^ 1), *others))

    bench = Bench("MLP", frames=2, change=flip)
    bench.run(payloads(bench.job))
    with pytest.raises(Mismatch, match="^frame 0: scores and class are"):
        bench.check()


@pytest.mark.parametrize("pipeline", [None, 3])
def test_what_is_no_pipeline(pipeline):
    message = rf"^PipelinedAccelerator pipeline must be a sw.pipeline.Pipeline, not {pipeline!r}$"
    with pytest.raises(TypeError, match=message):
        PipelinedAccelerator(pipeline)

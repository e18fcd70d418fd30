"""Small networks of many shapes on engines of many shapes: scores, maps and cycles of the RTL, and its recovery."""

import dataclasses

import numpy as np
import pytest

from sim.prepare import make_job
from sim.simulate import simulate
from sw.engine import Engine
from sw.numerics import thermometer_levels
from tests.sw.networks import random_cnn, random_images, random_mlp

SHAPES = {
    "pools": (random_cnn(11, (10, 10, 1), 8, (10, 12, 6), pools=(2,), classes=5), Engine(6, 3, 16, 2)),
    "colours, odd words": (random_cnn(12, (9, 9, 3), 4, (20, 18), pools=(1,), padding=(1, 0)), Engine(12, 3, 8, 4)),
    "strides, one column": (random_cnn(13, (9, 8, 1), 8, (8, 8, 8), stride=(1, 2, 1)), Engine(4, 1, 8)),
    "kernels of 5, five columns": (random_cnn(14, (10, 10, 1), 2, (8, 10, 8), pools=(2,), kernel=(3, 5, 3),
                                              padding=(1, 2, 1), classes=10, levels=np.arange(256) * 7 % 4),
                                   Engine(4, 5, 8, 2, popcount_stages=1)),
    "even columns": (random_cnn(15, (7, 7, 1), 1, (16, 16), kernel=(3, 1), padding=(1, 0)), Engine(16, 4, 16, 4)),
    "even columns, pools": (random_cnn(19, (12, 13, 1), 2, (8, 12, 6), pools=(1, 2), classes=4), Engine(6, 4, 8, 2)),
    "colours, one window buffer": (random_cnn(17, (9, 11, 3), 8, (16, 10), pools=(1,), padding=(1, 0)),
                                   Engine(8, 3, 16, 4, window_buffers=1)),
    "one window buffer, stride": (random_cnn(18, (9, 8, 2), 3, (8, 8), stride=(2, 1), kernel=(2, 3), padding=(0, 1)),
                                  Engine(4, 4, 8, 2, window_buffers=1)),
    "thermometer": (random_cnn(20, (9, 10, 1), 1, (10, 12), pools=(2,), stride=(2, 1), padding=(1, 1),
                               levels=thermometer_levels(5)), Engine(6, 3, 24, 1, popcount_stages=2)),
    "colours in thermometers": (random_cnn(21, (6, 7, 3), 2, (8, 6), padding=(1, 0),
                                           levels=np.arange(512).reshape(256, 2) * 7 % 4),
                                Engine(4, 4, 16, 2, window_buffers=1)),
    "vectors": (random_mlp(16, (130, 40, 33, 10)), Engine(24, 1, 16, 8, popcount_stages=2)),
}


def job_of(name, frames=18):
    graph, engine = SHAPES[name]
    return make_job(graph, engine, random_images(7, graph.inputs.shape, frames))


@pytest.mark.parametrize("name", SHAPES)
def test_network(name):
    simulate(job_of(name), name="all", tests=".*")


def corrupt(program, what):
    """The program with one bit of one memory changed, or its schedule one cycle off."""
    if what == "weight":
        weights = program.weights.copy()
        # A weight of the last layer moves its score by two, whatever the other layers do.
        weights[-1, 0] ^= 1
        return dataclasses.replace(program, weights=weights)
    if what == "threshold":
        thresholds = program.thresholds.copy()
        thresholds[-program.engine.drain_steps, 0] += 1
        return dataclasses.replace(program, thresholds=thresholds)
    timing = dataclasses.replace(program.schedule.timing, body=program.schedule.timing.body + 1)
    return dataclasses.replace(program, schedule=dataclasses.replace(program.schedule, timing=timing))


@pytest.mark.parametrize("what", ["weight", "threshold"])
def test_corrupted_memory_is_found(what):
    job = job_of("vectors", 9)
    with pytest.raises(RuntimeError, match="simulations of sim.frames_bench failed"):
        simulate(job, name=f"corrupted {what}", tests="frames.*NONE.*NONE", built_from=corrupt(job.program, what))


def test_corrupted_prediction_is_found():
    job = job_of("vectors", 9)
    wrong = dataclasses.replace(job, program=corrupt(job.program, "cycle"))
    with pytest.raises(RuntimeError, match="simulations of sim.frames_bench failed"):
        simulate(wrong, name="corrupted prediction", tests="frames.*NONE.*NONE", built_from=job.program)


def test_corrupted_map_is_found():
    job = job_of("pools", 9)
    flipped = [np.array(layer) for layer in job.maps]
    flipped[1][0, 1, 1, 3] *= -1
    wrong = dataclasses.replace(job, maps=tuple(flipped))
    with pytest.raises(RuntimeError, match="simulations of sim.frames_bench failed"):
        simulate(wrong, name="corrupted map", tests="maps")

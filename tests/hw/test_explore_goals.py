"""The search against brute force: every array has a clock that it bears, and building it finds that out."""

import random
from dataclasses import dataclass, replace
from itertools import count

import pytest

from hw.estimate import Resources
from hw.explore.candidates import Candidate
from hw.explore.goals import ATTEMPTS, Fastest, Smallest
from hw.explore.job import Job, Trial
from hw.explore.search import search
from sw.engine import Engine
from sw.errors import FitError

CLOCKS = [12.0, 18.0, 24.0, 30.0, 36.0, 42.0, 48.0]
SEEDS = (1, 2)


@dataclass
class Truth:
    """What place and route would find of an array: the clock that each seed bears, its cells, whether it fits."""

    bears: dict
    cells: int
    fits: bool = True


class Builder:
    """Ends jobs at once or in a mixed order, and counts them."""

    def __init__(self, truths, slots=1, shuffle=None):
        self.truths, self.slots = truths, slots
        self.waiting, self.built = [], []
        self._random = random.Random(shuffle) if shuffle is not None else None

    def submit(self, job):
        self.waiting.append(job)

    def next(self):
        job = self.waiting.pop(self._random.randrange(len(self.waiting)) if self._random else 0)
        self.built.append(job)
        truth = self.truths[job.engine]
        trial = Trial(job.engine, job.clock_mhz, truth.cycles, margin=1.2)
        if not truth.fits:
            return job, replace(trial, failure="too large", too_large=True)
        return job, replace(trial, estimates={seed: 1.2 * truth.bears[seed] for seed in job.seeds},
                            cells={"logic_cells": truth.cells}, seconds=1.0)


class Memory:
    """A store that forgets at the end."""

    def __init__(self):
        self.trials = {}

    def load(self, job):
        return self.trials.get(job.name)

    def save(self, job, trial):
        self.trials[job.name] = trial


def make_job(candidate, clock_mhz):
    return Job("ice40", (), candidate.engine, clock_mhz, SEEDS, None, "")


def world(seed, number=12, failing=0):
    """Candidates with what building them would give; faster ones are larger, roughly."""
    chance = random.Random(seed)
    candidates, truths = [], {}
    for index in range(number):
        engine = Engine(4 * (index + 1), 1, 8 * chance.randint(1, 4), 1)
        cycles = round(100_000 / engine.synapses_per_cycle * chance.uniform(0.9, 1.4)) + 50
        cells = 800 + 3 * engine.synapses_per_cycle + chance.randint(0, 60)
        candidates.append(Candidate(engine, cycles, Resources(round(cells * chance.uniform(0.97, 1.03)), 20, 0)))
        truth = Truth({each: chance.uniform(20, 47) for each in SEEDS}, cells, fits=index >= failing)
        truth.cycles = cycles
        truths[engine] = truth
    return candidates, truths


def best_speed(truth):
    """The most frames/s that an array gives at a legal clock, 0 if it does not fit."""
    bears = max(truth.bears.values())
    clocks = [clock for clock in CLOCKS if clock <= bears] if truth.fits else []
    return max((1e6 * clock / truth.cycles for clock in clocks), default=0)


@pytest.mark.parametrize("shuffle", [None, 1])
@pytest.mark.parametrize("seed", range(12))
def test_fastest_of_all_is_found_if_all_may_be_built(seed, shuffle):
    candidates, truths = world(seed, failing=2)
    goal = Fastest(candidates, builds=len(candidates), clock_mhz=24.0, clocks=CLOCKS)
    done = search(goal, make_job, Builder(truths, 3, shuffle), Memory())
    best = goal.best([trial for _, trial in done])
    assert best.frames_per_second == pytest.approx(max(map(best_speed, truths.values())))
    assert best.seed == max(SEEDS, key=truths[best.engine].bears.get)


@pytest.mark.parametrize("seed", range(6))
def test_arrays_with_the_fewest_cycles_are_built_first_and_failures_replaced(seed):
    candidates, truths = world(seed)
    order = sorted(candidates, key=lambda each: each.cycles)
    for candidate in order[:2]:
        truths[candidate.engine].fits = False
    builder = Builder(truths)
    goal = Fastest(candidates, builds=3, clock_mhz=24.0)
    done = search(goal, make_job, builder, Memory())
    assert [job.engine for job in builder.built] == [each.engine for each in order[:5]]
    assert {job.clock_mhz for job, _ in done} == {24.0}


def test_no_more_attempts_than_there_may_be():
    candidates, truths = world(1, failing=12)
    builder = Builder(truths)
    goal = Fastest(candidates, builds=3, clock_mhz=24.0, clocks=CLOCKS)
    done = search(goal, make_job, builder, Memory())
    assert len(builder.built) == 3 * ATTEMPTS
    assert goal.best([trial for _, trial in done]) is None


def test_a_clock_that_is_not_met_is_followed_by_one_that_is():
    candidates, truths = world(2, number=1)
    (truth,) = truths.values()
    truth.bears = {1: 19.0, 2: 18.5}
    goal = Fastest(candidates, builds=1, clock_mhz=24.0, clocks=CLOCKS)
    done = search(goal, make_job, Builder(truths), Memory())
    assert [(job.clock_mhz, trial.meets_clock) for job, trial in done] == [(24.0, False), (18.0, True)]


def test_of_the_arrays_of_one_shape_the_one_with_fewest_cycles_is_built():
    shape = [Candidate(Engine(8, 1, 16, drain), cycles, Resources(1000, 1, 0))
             for drain, cycles in ((1, 900), (2, 800), (4, 800))]
    steps = Fastest(shape, builds=3, clock_mhz=24.0).start(1)
    assert [(each.engine.drain, clock) for each, clock in steps] == [(2, 24.0)]


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("seed", range(12))
def test_smallest_that_is_fast_enough_is_found_if_all_may_be_built(seed, slots):
    candidates, truths = world(seed, failing=1)
    wanted = 1.5e6 * 24 / max(truth.cycles for truth in truths.values())
    goal = Smallest(candidates, frames_per_second=wanted, builds=2 * len(candidates), clock_mhz=48.0, clocks=CLOCKS)
    done = search(goal, make_job, Builder(truths, slots), Memory())
    able = [truth.cells for truth in truths.values() if best_speed(truth) >= wanted]
    assert goal.best([trial for _, trial in done]).cells["logic_cells"] == min(able)


def test_smallest_is_built_at_the_lowest_clock_that_is_enough():
    candidates = [Candidate(Engine(8, 1, 16), 1000, Resources(1000, 1, 0))]
    goal = Smallest(candidates, frames_per_second=25_000, builds=1, clock_mhz=36.0, clocks=CLOCKS)
    assert [clock for _, clock in goal.start(4)] == [30.0]


def test_smaller_arrays_are_tried_once_a_higher_clock_is_known_to_be_borne():
    small, large = (Candidate(Engine(rows, 1, 16), cycles, Resources(cells, 1, 0))
                    for rows, cycles, cells in ((4, 1600, 900), (8, 800, 1100)))
    truths = {}
    for candidate in (small, large):
        truths[candidate.engine] = Truth({1: 40.0, 2: 41.0}, candidate.needs.logic_cells)
        truths[candidate.engine].cycles = candidate.cycles
    builder = Builder(truths)
    goal = Smallest([small, large], frames_per_second=20_000, builds=2, clock_mhz=24.0, clocks=CLOCKS)
    done = search(goal, make_job, builder, Memory())
    assert [(job.engine.rows, job.clock_mhz) for job in builder.built] == [(8, 18.0), (4, 36.0)]
    assert goal.best([trial for _, trial in done]).engine == small.engine


def test_what_no_clock_gives_is_refused():
    candidates = [Candidate(Engine(8, 1, 16), 1000, Resources(1000, 1, 0))]
    with pytest.raises(FitError, match="no array gives 50,000 frames/s: of those that fit by estimate the fastest, "
                                       "8 rows x 1 columns x 16 lanes, gives 48,000 at 48 MHz"):
        Smallest(candidates, frames_per_second=50_000, builds=1, clock_mhz=24.0, clocks=CLOCKS)


def test_a_second_search_builds_nothing_and_finds_the_same():
    candidates, truths = world(5)
    memory, found = Memory(), []
    for expected in (True, False):
        builder = Builder(truths, 2)
        goal = Fastest(candidates, builds=4, clock_mhz=24.0, clocks=CLOCKS)
        done = search(goal, make_job, builder, memory)
        assert bool(builder.built) is expected
        found.append(goal.best([trial for _, trial in done]))
    assert found[0] == found[1]


def test_only_missing_seeds_are_built():
    candidates, truths = world(5, number=1)
    memory = Memory()
    first = Builder(truths)
    search(Fastest(candidates, builds=1, clock_mhz=24.0), make_job, first, memory)
    (truth,) = truths.values()
    truth.bears[3] = 77.0
    second = Builder(truths)
    done = search(Fastest(candidates, builds=1, clock_mhz=24.0),
                  lambda candidate, clock: make_job(candidate, clock).with_seeds((1, 2, 3)), second, memory)
    assert [job.seeds for job in second.built] == [(3,)]
    ((_, trial),) = done
    assert set(trial.estimates) == {1, 2, 3} and trial.seed == 3


def test_lines_tell_what_ended_and_what_is_left():
    candidates, truths = world(3, number=2)
    numbers = count()

    class Breaking(Builder):
        def next(self):
            job, trial = super().next()
            return (job, "worker was killed") if next(numbers) == 0 else (job, trial)

    lines = []
    done = search(Fastest(candidates, builds=2, clock_mhz=24.0), make_job, Breaking(truths), Memory(), lines.append)
    ended = [line for line in lines if "done" in line]
    assert len(ended) == len(done) == 2
    assert "worker was killed, 1 done, 1 to go, about 0 min" in ended[0]
    assert ended[1].endswith("2 done, 0 to go")

"""Engines in a row, cycle by cycle: when each may start and what comes of it, against the walk from frame to frame."""

import random

import pytest

from sw.timing import FrameTiming, PipelineTiming

SEED = 41


def random_timing(choose, *, first, last, single=False):
    """Of an engine that could be: what it makes is out before it can begin again."""
    body, head, recover = 0 if single else choose.randrange(1, 60), choose.randrange(5, 40), choose.randrange(8, 16)
    return FrameTiming(
        beats=choose.randrange(1, 12), result_bytes=choose.randrange(3, 15) if last else 1,
        input_buffers=choose.choice([1, 2]) if first else 2, result_buffers=2 if last else 1,
        reset_to_check=choose.randrange(5, 20), body=body, head=head, recover=recover,
        result=choose.randrange(2, 30), release=choose.randrange(1, body + head + 3), edge=1 if first else 0)


def step_by_step(stages, arrivals, take, frames):
    """Offered and sent cycles of results, and arrivals on each link, of a simulation that goes from cycle to cycle.

    ``arrivals`` are the cycles of last input transfers, ``take`` says for a cycle whether a byte of a result is taken.
    """
    count = len(stages)
    arrived = [dict.fromkeys(arrivals), *({} for _ in stages[1:])]  # by engine: cycles of last transfers
    waiting, held = [0] * count, [0] * count  # frames that have come, and buffers that they occupy
    begun, headed = [[] for _ in stages], [[] for _ in stages]
    busy_until = [stage.reset_to_check for stage in stages]
    computing = [None] * count  # the cycle of the last layer's earliest check
    link_busy = [False] * count
    ready, offered, sent, left, idle = [], [], [], 0, 0
    frees, room, room_back = [[] for _ in stages], 2, []
    for cycle in range(20_000):
        for index, stage in enumerate(stages):
            if cycle - stage.edge - 1 in arrived[index]:
                waiting[index] += 1
                held[index] += 1
                if index:
                    link_busy[index - 1] = False
            held[index] -= frees[index].count(cycle)
        room += room_back.count(cycle)
        for index, stage in enumerate(stages):
            last = index == count - 1
            may = room > 0 if last else not link_busy[index] and held[index + 1] < 2
            if computing[index] is None and waiting[index] and cycle >= busy_until[index] and (stage.body or may):
                waiting[index] -= 1
                begun[index].append(cycle)
                frees[index].append(cycle + stage.release)
                computing[index] = cycle + stage.body
            if computing[index] is not None and cycle >= computing[index] and may:
                beat = cycle + stage.head
                computing[index], busy_until[index] = None, beat + stage.recover
                headed[index].append(cycle)
                if last:
                    room -= 1
                    ready.append(beat + stage.result)
                else:
                    link_busy[index] = True
                    arrived[index + 1][beat + stage.result] = None
        if not left and ready and cycle >= max(ready[0], idle):
            ready.pop(0)
            offered.append(cycle)
            left = stages[-1].result_bytes
        if left and take(cycle):
            left -= 1
            if not left:
                sent.append(cycle)
                idle = cycle + 2
                room_back.append(cycle + 1)
        if len(sent) == frames:
            return offered, sent, [list(found) for found in arrived]
    raise AssertionError(f"{len(sent)} of {frames} results")


@pytest.mark.parametrize("seed", range(SEED, SEED + 12))
def test_walk(seed):
    choose = random.Random(seed)
    count, frames = choose.randrange(1, 5), 12
    stages = tuple(
        random_timing(choose, first=index == 0, last=index == count - 1, single=choose.random() < 0.4)
        for index in range(count))
    period = sum(stage.body + stage.head for stage in stages)
    arrivals, cycle = [], 0
    for _ in range(frames):  # each behind the one before, its buffer surely free
        cycle += choose.randrange(stages[0].beats + 1, 2 * period + 20)
        arrivals.append(cycle)
    share = choose.choice([1, 0.5, 0.05])
    takes = [choose.random() < share for _ in range(20_000)]
    offered, sent, arrived = step_by_step(stages, arrivals, takes.__getitem__, frames)
    walk = PipelineTiming(stages).walk()
    for frame in range(frames):
        assert walk.arrive(arrivals[frame]) == offered[frame], frame
        walk.leave(sent[frame])
    assert walk.arrived == arrived


def test_one_engine_is_a_row_of_one():
    timing = random_timing(random.Random(SEED), first=True, last=True)
    assert PipelineTiming((timing,)).ideal_run(9) == timing.ideal_run(9)
    assert PipelineTiming((timing,)).latency_cycles == timing.latency_cycles
    assert PipelineTiming((timing, timing)).reset_to_check == timing.reset_to_check


def test_latency_is_that_of_a_frame_that_finds_all_idle():
    choose = random.Random(SEED + 1)
    stages = tuple(random_timing(choose, first=index == 0, last=index == 2) for index in range(3))
    walk = PipelineTiming(stages).walk()
    assert walk.arrive(1000) + stages[-1].result_bytes - 1 - 1000 == PipelineTiming(stages).latency_cycles

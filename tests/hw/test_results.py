"""The result sender against the bytes of each result, and the cycle of every one."""

import random

import pytest
from amaranth.sim import Simulator

from hw.results import ResultSender

SCORE_TO_RESULT = 2
RESULT_GAP = 2


def result_of(scores, score_bytes=2):
    """The bytes of a result."""
    data = b"".join(score.to_bytes(score_bytes, "little", signed=True) for score in scores)
    return [*data, scores.index(max(scores))]


def frames_of(choose, classes, width, count):
    """Scores with ties, extremes and equal ones among them."""
    most = (1 << width - 1) - 1
    kinds = [
        lambda: [choose.randint(-most - 1, most) for _ in range(classes)],
        lambda: [choose.choice([-1, 0]) for _ in range(classes)],
        lambda: [choose.choice([most, -most - 1]) for _ in range(classes)],
        lambda: [-most - 1] * classes,
        lambda: [choose.choice([255, 256, -256, -255]) if width > 9 else 0 for _ in range(classes)],
    ]
    return [kinds[number % len(kinds)]() for number in range(count)]


def simulate(dut, *testbenches):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("classes", "width", "score_bytes", "frames", "seed"), [
    (1, 9, 2, 6, 1), (2, 9, 2, 10, 2), (3, 16, 2, 10, 3), (10, 12, 2, 10, 4), (16, 10, 2, 5, 5), (256, 16, 2, 2, 6),
    (1, 32, 4, 6, 7), (3, 17, 4, 10, 8), (10, 32, 4, 10, 9), (4, 9, 4, 10, 10), (10, 25, 4, 10, 11),
])
@pytest.mark.parametrize("stalls", [0, 0.5])
@pytest.mark.parametrize("pace", [1, 0.1])
def test_results(classes, width, score_bytes, frames, seed, stalls, pace):
    choose = random.Random(seed)
    scores = frames_of(choose, classes, width, frames)
    dut = ResultSender(classes=classes, score_width=width, score_bytes=score_bytes)
    last_score = []  # by frame: its cycle, from the engine's side to the receiver's

    async def engine(ctx):
        cycle = 0

        async def tick():
            nonlocal cycle
            await ctx.tick()
            cycle += 1

        for row in scores:
            while not ctx.get(dut.room):
                await tick()
            ctx.set(dut.begin_frame, 1)
            await tick()
            ctx.set(dut.begin_frame, 0)
            # Rows without a class give scores too.
            for index, score in enumerate([*row, *[choose.randint(0, 255)] * choose.choice([0, 3])]):
                while choose.random() >= pace:
                    await tick()
                ctx.set(dut.score_valid, 1)
                ctx.set(dut.score, score)
                if index == classes - 1:
                    last_score.append(cycle)
                await tick()
                ctx.set(dut.score_valid, 0)
            for _ in range(3):
                await tick()

    async def receiver(ctx):
        cycle, free = 0, 0

        async def tick():
            nonlocal cycle
            await ctx.tick()
            cycle += 1

        for number, row in enumerate(scores):
            wanted = result_of(row, score_bytes)
            while len(last_score) <= number or cycle < max(last_score[number] + SCORE_TO_RESULT, free):
                ctx.set(dut.o.tready, choose.randrange(2))
                assert not ctx.get(dut.o.tvalid), cycle
                await tick()
            for index, byte in enumerate(wanted):
                while True:
                    taken = choose.random() >= stalls
                    ctx.set(dut.o.tready, taken)
                    assert ctx.get(dut.o.tvalid), cycle
                    assert ctx.get(dut.o.tdata) == byte, (number, index)
                    assert ctx.get(dut.o.tlast) == (index == len(wanted) - 1)
                    await tick()
                    if taken:
                        break
            free = cycle - 1 + RESULT_GAP
        ctx.set(dut.o.tready, 1)
        for _ in range(10):
            assert not ctx.get(dut.o.tvalid)
            await tick()

    simulate(dut, engine, receiver)


def test_two_results_wait():
    dut = ResultSender(classes=2, score_width=9)

    async def testbench(ctx):
        for number in range(2):
            assert ctx.get(dut.room)
            ctx.set(dut.begin_frame, 1)
            await ctx.tick()
            ctx.set(dut.begin_frame, 0)
            ctx.set(dut.score_valid, 1)
            for score in (number, -number):
                ctx.set(dut.score, score)
                await ctx.tick()
            ctx.set(dut.score_valid, 0)
        for _ in range(20):
            assert not ctx.get(dut.room)
            await ctx.tick()
        ctx.set(dut.o.tready, 1)
        sent = []
        while len(sent) < 10:
            assert ctx.get(dut.room) == (len(sent) >= 5)
            if ctx.get(dut.o.tvalid):
                sent.append(ctx.get(dut.o.tdata))
            await ctx.tick()
        assert sent == [*result_of([0, 0]), *result_of([1, -1])]

    simulate(dut, testbench)


@pytest.mark.parametrize(("options", "message"), [
    ({"classes": 0}, r"^ResultSender classes must be an integer from 1 to 256, not 0$"),
    ({"classes": 257}, r"^ResultSender classes must be an integer from 1 to 256, not 257$"),
    ({"classes": 2.0}, r"^ResultSender classes must be an integer from 1 to 256, not 2.0$"),
    ({"score_width": 8}, r"^ResultSender score_width must be from 9 to 16, not 8$"),
    ({"score_width": 17}, r"^ResultSender score_width must be from 9 to 16, not 17$"),
    ({"score_width": 33, "score_bytes": 4}, r"^ResultSender score_width must be from 9 to 32, not 33$"),
    ({"score_bytes": 3}, r"^ResultSender score_bytes must be 2 or 4, not 3$"),
])
def test_sizes_that_no_sender_has(options, message):
    with pytest.raises(ValueError, match=message):
        ResultSender(**{"classes": 4, "score_width": 12} | options)

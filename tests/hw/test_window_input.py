"""The window input against windows cut from the image: every plane, word and pool position, and when each is ready."""

import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.receiver import FrameError
from hw.window_input import WindowInput

LATENCY = 2


@dataclass(frozen=True)
class Shape:
    """A first layer and the array that runs it, and how many channel groups take each window."""

    image: tuple[int, int, int]
    bits: int
    kernel: int
    columns: int
    lanes: int
    stride: int = 1
    padding: int = 0
    pool: int = 1
    passes: int = 1
    buffers: int = 2
    large_image: bool = False
    code_width: int = 1

    @property
    def out(self):
        sizes = [(side + 2 * self.padding - self.kernel) // self.stride + 1 for side in self.image[:2]]
        return [size // self.pool for size in sizes]

    @property
    def words(self):
        return -(-self.kernel**2 * self.image[2] * self.code_width // self.lanes)

    def fetch(self, column):
        """Pixels that are fetched for the group whose first pooled column is ``column``."""
        rows = (self.pool - 1) * self.stride + self.kernel
        step = self.stride * self.pool
        return rows * (self.columns * step if column else (self.columns - 1) * step + rows)

    @property
    def groups(self):
        """(pooled row, first pooled column) of each group of windows."""
        height, width = self.out
        return [(row, column) for row in range(height) for column in range(0, width, self.columns)]

    def unit(self):
        height, width, channels = self.image
        return WindowInput(
            height=height, width=width, channels=channels, bits=self.bits, kernel=self.kernel, stride=self.stride,
            padding=self.padding, pool=self.pool, out_height=self.out[0], out_width=self.out[1],
            columns=self.columns, lanes=self.lanes, code_width=self.code_width, buffers=self.buffers,
            large_image=self.large_image)

    def window(self, image, row, first, column, dy, dx, plane, word):
        """The word that one PE column gets in the group whose first pooled column is ``first``."""
        padded = np.pad(image, [(self.padding, self.padding)] * 2 + [(0, 0)])
        top = (row * self.pool + dy) * self.stride
        left = (first * self.pool + dx * self.columns + column) * self.stride
        codes = padded[top:top + self.kernel, left:left + self.kernel].reshape(-1).tolist()
        values = [code >> self.bits * index for code in codes for index in range(self.code_width)]
        bits = [value >> (self.bits - 1 - plane) & 1 for value in values]
        return sum(bit << lane for lane, bit in enumerate(bits[word * self.lanes:(word + 1) * self.lanes]))


SHAPES = {
    "two pixels": Shape((1, 2, 1), 1, 1, 1, 2),
    "one group": Shape((3, 4, 1), 3, 2, 4, 8, pool=2),
    "one column, large RAM": Shape((5, 4, 1), 3, 3, 1, 4, padding=1, large_image=True),
    "colours, large RAM": Shape((4, 5, 2), 2, 2, 4, 8, passes=2, large_image=True),
    "one column": Shape((5, 4, 1), 3, 3, 1, 4, padding=1, passes=2),
    "three columns, pool": Shape((8, 9, 1), 2, 3, 3, 16, padding=1, pool=2),
    "columns behind the map": Shape((4, 5, 2), 2, 2, 4, 8, passes=2),
    "colours, words": Shape((4, 4, 3), 4, 3, 2, 8),
    "stride": Shape((7, 7, 1), 2, 3, 2, 10, stride=2, padding=2),
    "bytes": Shape((3, 6, 1), 8, 3, 3, 10),
    "stride and pool": Shape((9, 11, 1), 1, 2, 2, 4, stride=2, pool=2),
    "pixels between windows": Shape((5, 9, 2), 3, 1, 2, 4, stride=2, passes=3),
    "colours, black border": Shape((6, 8, 3), 8, 3, 3, 16, padding=1, passes=2),
    "colours, wide border": Shape((4, 5, 3), 2, 3, 4, 16, padding=2, pool=2),
    "colours, five columns": Shape((5, 11, 3), 3, 3, 5, 32, padding=1, stride=2),
    "thermometer": Shape((7, 9, 1), 1, 3, 3, 48, padding=1, stride=2, code_width=5, passes=2),
    "codes of two bits, colours": Shape((5, 6, 3), 2, 2, 2, 10, pool=2, code_width=3),
    "border on one group": Shape((4, 4, 2), 2, 3, 7, 20, padding=1),
}
BUFFERS = pytest.mark.parametrize("buffers", [2, 1])


def image_of(shape, seed):
    return np.random.default_rng(seed).integers(0, 1 << shape.bits * shape.code_width, shape.image, dtype=int)


async def send(ctx, dut, values, *, user=0):
    """Offer values as a frame; return the cycles it took and the error that came."""
    found, cycles = FrameError.NONE, 0
    ctx.set(dut.i.tvalid, 1)
    for index, value in enumerate(values):
        ctx.set(dut.i.tdata, value)
        ctx.set(dut.i.tlast, index == len(values) - 1)
        ctx.set(dut.i.tuser, user)
        while not ctx.get(dut.i.tready):
            await ctx.tick()
            cycles += 1
        error = ctx.get(dut.error)
        found = error if error != FrameError.NONE else found
        await ctx.tick()
        cycles += 1
    ctx.set(dut.i.tvalid, 0)
    return cycles, found


async def compute(ctx, dut, shape, image, choose, *, alone=True):
    """Begin on the image and take every beat of it, late at times; check words, and ``ready`` in every cycle.

    ``alone``: no other image comes meanwhile, so ``tready`` shows when this one has been fetched.
    """
    groups = shape.groups
    cycle, pending = 0, {}
    ready_at = fetched_at = None

    def fetch(number):
        """The next fetch starts in this cycle."""
        nonlocal ready_at, fetched_at
        if number < len(groups):
            ready_at = cycle + shape.fetch(groups[number][1]) + 1
            fetched_at = ready_at if number == len(groups) - 1 else None

    async def tick():
        nonlocal cycle
        await ctx.tick()
        cycle += 1
        ctx.set(dut.begin, 0)
        ctx.set(dut.beat, 0)
        if alone:
            assert ctx.get(dut.i.tready) == (fetched_at is not None and cycle >= fetched_at)
        assert ctx.get(dut.ready) == (ready_at is not None and cycle >= ready_at)
        for column, word in pending.pop(cycle, ()):
            assert ctx.get(dut.activations[column]) == word

    ctx.set(dut.begin, 1)
    fetch(0)
    for number, (row, first) in enumerate(groups):
        while choose.random() < 0.3:
            await tick()
        ctx.set(dut.group_first, 1)
        if shape.buffers == 1 and number:
            fetch(number)
        while not ctx.get(dut.ready) or choose.random() < 0.3:
            await tick()
        beats = [(dy, dx, plane, word) for _ in range(shape.passes) for dy in range(shape.pool)
                 for dx in range(shape.pool) for plane in range(shape.bits) for word in range(shape.words)]
        for index, (dy, dx, plane, word) in enumerate(beats):
            ctx.set(dut.beat, 1)
            ctx.set(dut.plane_last, word == shape.words - 1)
            for port, value in ((dut.word, word), (dut.dy, dy), (dut.dx, dx)):
                ctx.set(port, value)
            pending[cycle + LATENCY] = [
                (column, shape.window(image, row, first, column, dy, dx, plane, word))
                for column in range(shape.columns)
                if first * shape.pool + dx * shape.columns + column < shape.out[1] * shape.pool
            ]
            if index == 0:
                ready_at = None
                if shape.buffers == 2:
                    fetch(number + 1)
            await tick()
            ctx.set(dut.group_first, 0)
            if choose.random() < 0.1:
                await tick()
    for _ in range(shape.fetch(0) + 4):
        await tick()
    assert not pending


def simulate(dut, *testbenches):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    simulator.run()


@BUFFERS
@pytest.mark.parametrize("name", SHAPES)
def test_images(name, buffers):
    shape = replace(SHAPES[name], buffers=buffers)
    dut = shape.unit()
    assert (dut.words, dut.first_fetch, dut.next_fetch) == (shape.words, shape.fetch(0), shape.fetch(1))
    choose = random.Random(7)

    async def testbench(ctx):
        for seed in range(2):
            image = image_of(shape, seed)
            assert not ctx.get(dut.available)
            assert await send(ctx, dut, image.reshape(-1).tolist()) == (image.size, FrameError.NONE)
            assert ctx.get(dut.available)
            assert not ctx.get(dut.i.tready)
            await compute(ctx, dut, shape, image, choose)
            ctx.set(dut.selected, 0)
            await ctx.tick()
            assert not any(ctx.get(dut.activations[column]) for column in range(shape.columns))
            ctx.set(dut.selected, 1)

    simulate(dut, testbench)


@pytest.mark.parametrize("name", ["three columns, pool", "colours, words", "two pixels"])
@pytest.mark.parametrize(("extra", "user", "error"), [
    (-1, 0, FrameError.SHORT), (1, 0, FrameError.LONG), (30, 1, FrameError.LONG), (0, 1, FrameError.REFUSED),
])
def test_dropped_image(name, extra, user, error):
    shape = SHAPES[name]
    dut = shape.unit()
    bad, image = image_of(shape, 3), image_of(shape, 4)
    values = [*bad.reshape(-1).tolist(), *[0] * 30][:bad.size + extra]

    async def testbench(ctx):
        for _ in range(2):
            assert (await send(ctx, dut, values, user=user))[1] == error
            assert not ctx.get(dut.available)
            assert ctx.get(dut.i.tready)
        assert (await send(ctx, dut, image.reshape(-1).tolist()))[1] == FrameError.NONE
        await compute(ctx, dut, shape, image, random.Random(8))

    simulate(dut, testbench)


@BUFFERS
@pytest.mark.parametrize("name", ["bytes", "one column", "two pixels", "colours, black border"])
def test_next_image_is_taken_while_the_last_is_computed(name, buffers):
    shape = replace(SHAPES[name], buffers=buffers)
    dut = shape.unit()
    images = [image_of(shape, seed) for seed in range(5, 8)]

    async def sender(ctx):
        for image in images:
            await send(ctx, dut, image.reshape(-1).tolist())

    async def engine(ctx):
        choose = random.Random(9)
        for image in images:
            while not ctx.get(dut.available):
                await ctx.tick()
            await compute(ctx, dut, shape, image, choose, alone=False)

    simulate(dut, sender, engine)


@pytest.mark.parametrize("buffers", [0, 3])
def test_buffers_that_there_are_not(buffers):
    with pytest.raises(ValueError, match=f"^WindowInput buffers must be 1 or 2, not {buffers}$"):
        replace(SHAPES["bytes"], buffers=buffers).unit()

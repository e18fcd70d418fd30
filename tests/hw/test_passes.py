"""The pass sequencer against the loops that it stands for: where each pass begins is found by trying all taps."""

import random
from dataclasses import dataclass

import pytest
from amaranth import Signal
from amaranth.sim import Simulator

from hw.passes import PassSequencer

BEGIN_TO_PASS = 3
ADDRESS_WIDTH = 9
WEIGHT_WIDTH = 12


@dataclass(frozen=True)
class Shape:
    """A layer on an array of ``columns``: ``words`` a tap, of ``skip`` more a pixel; ``groups_c`` channel
    groups, ``turn`` of which share one of ``windows`` in turn."""

    in_shape: tuple[int, int]
    kernel: tuple[int, int]
    columns: int
    stride: int = 1
    pool: int = 1
    padding: int = 0
    words: int = 1
    skip: int = 0
    groups_c: int = 1
    base: int = 0
    weights: int = 0
    windows: int = 1
    turn: int = 1

    @property
    def out(self):
        """Pooled rows and columns."""
        return [((side + 2 * self.padding - kernel) // self.stride + 1) // self.pool
                for side, kernel in zip(self.in_shape, self.kernel)]

    @property
    def row_pitch(self):
        return -(-self.in_shape[1] // self.columns) * (self.words + self.skip)

    @property
    def fields(self):
        """The descriptor's fields, by their meanings."""
        words, (kernel_h, kernel_w) = self.words, self.kernel
        return {
            "rows_out": self.out[0] - 1, "groups_x": -(-self.out[1] // self.columns) - 1,
            "groups_c": self.groups_c - 1, "pool": self.pool - 1, "stride": self.stride - 1,
            "windows": self.windows - 1, "turn": self.turn - 1,
            "kernel_h": kernel_h - 1, "kernel_w": kernel_w - 1,
            "in_height": self.in_shape[0] - 1, "in_width": self.in_shape[1] - 1, "words": words - 1, "skip": self.skip,
            "padding": self.padding, "phase": -self.padding % self.columns,
            "address": self.address(-self.padding, -self.padding), "row_pitch": self.row_pitch,
            "weights": self.weights, "row_taps": kernel_w * words, "group_taps": kernel_h * kernel_w * words,
        }

    def address(self, y, x):
        """Feature address of a pixel, wherever it lies."""
        return (self.base + y * self.row_pitch + x // self.columns * (self.words + self.skip)) % (1 << ADDRESS_WIDTH)

    def window(self, group_c):
        """Words of a pixel before those that a channel group takes."""
        order = [window for window in range(self.windows) for _ in range(self.turn)]
        return order[group_c % len(order)] * self.words

    def first_tap(self, row, group_x, dy, dx):
        """(ky, kx, y, x of column 0) of the first tap at which any column has a pixel inside the map; if all lie
        behind it, of the first in a row inside.
        """
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                y = (row * self.pool + dy) * self.stride - self.padding + ky
                x = (group_x * self.pool + dx) * self.columns * self.stride - self.padding + kx
                places = [x + column * self.stride for column in range(self.columns)]
                inside = any(0 <= place < self.in_shape[1] for place in places) or x - kx >= self.in_shape[1]
                if 0 <= y < self.in_shape[0] and inside:
                    return ky, kx, y, x
        raise AssertionError("a pass without a tap")

    def follows(self, place, axis, tap):
        """Whether a tap behind this one has a pixel inside the map; ``place`` is the tap's, along an axis."""
        return tap + 1 < self.kernel[axis] and place + 1 < self.in_shape[axis]

    def passes(self):
        """Every pass in order."""
        fields, found = self.fields, []
        for row in range(self.out[0]):
            for group_x in range(fields["groups_x"] + 1):
                for group_c in range(self.groups_c):
                    for dy in range(self.pool):
                        for dx in range(self.pool):
                            ky, kx, y, x = self.first_tap(row, group_x, dy, dx)
                            found.append({
                                "address": (self.address(y, x) + self.window(group_c)) % (1 << ADDRESS_WIDTH),
                                "phase": x % self.columns,
                                "weights": self.weights + (group_c * fields["group_taps"] + ky * fields["row_taps"]
                                                           + kx * self.words) % (1 << WEIGHT_WIDTH),
                                "ky": ky, "kx": kx, "y": y, "x": x,
                                "ky_last": int(not self.follows(y, 0, ky)), "kx_last": int(not self.follows(x, 1, kx)),
                                "dy": dy, "dx": dx,
                                "group_first": int(group_c == dy == dx == 0), "final": 0,
                            })
        found[-1]["final"] = 1
        return found


SHAPES = {
    "one pass": [Shape((1, 1), (1, 1), 1)],
    "vector": [Shape((1, 1), (1, 1), 3, words=5, groups_c=4, base=7, weights=9)],
    "one column": [Shape((5, 4), (3, 3), 1, padding=1, words=2, groups_c=2, base=100)],
    "two columns": [Shape((4, 7), (3, 5), 2, padding=2, words=3, groups_c=2, base=3, weights=40)],
    "pool": [Shape((7, 8), (3, 3), 3, pool=2, padding=1, words=2, groups_c=3, base=200)],
    "pool, four columns": [Shape((6, 14), (3, 3), 4, pool=2, padding=1, groups_c=2, base=40)],
    "pool, a half beyond the map": [Shape((4, 8), (3, 3), 5, pool=2, padding=1, words=2, base=70)],
    "pool, one column": [Shape((6, 6), (3, 3), 1, pool=2, padding=1, groups_c=2)],
    "stride": [Shape((9, 8), (3, 3), 5, stride=2, padding=1, words=2, groups_c=2, base=80)],
    "padding of 3": [Shape((4, 4), (7, 7), 4, padding=3, words=2, base=60)],
    "padding beyond the columns": [Shape((5, 5), (5, 5), 1, padding=3, words=3, base=50)],
    "fifteen columns, pool": [Shape((6, 40), (3, 3), 15, pool=2, padding=1, base=5)],
    "sixteen columns": [Shape((3, 30), (3, 5), 16, padding=2, words=2)],
    "map narrower than the columns": [Shape((3, 2), (3, 3), 5, padding=1)],
    "a group's words": [Shape((5, 7), (3, 3), 3, padding=1, words=2, skip=4, groups_c=2, base=33)],
    "windows": [Shape((5, 7), (3, 3), 3, padding=1, words=2, skip=4, groups_c=3, base=33, windows=3)],
    "windows again and again": [
        Shape((4, 5), (3, 3), 2, padding=1, words=1, skip=3, groups_c=14, base=90, windows=2, turn=3)],
    "windows, then none": [
        Shape((4, 4), (3, 3), 3, padding=1, skip=3, groups_c=8, base=9, windows=4, turn=2),
        Shape((4, 4), (1, 1), 3, groups_c=3, base=70, words=4)],
    "unlike layers": [
        Shape((9, 10), (3, 3), 3, pool=2, padding=1, words=2, groups_c=2, base=30),
        Shape((4, 5), (5, 5), 3, padding=2, words=3, base=120, weights=36),
        Shape((4, 5), (3, 3), 3, stride=2, padding=1, groups_c=4, base=30, weights=200),
        Shape((2, 3), (2, 3), 3, words=4, groups_c=3, base=0, weights=300),
    ],
}


def set_fields(ctx, signals, values):
    for name, value in values.items():
        if len(signals[name]):
            ctx.set(signals[name], value)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("stalls", [0, 0.6])
def test_passes(name, stalls):
    choose = random.Random(5)
    layers = SHAPES[name]
    widest = {field: max(shape.fields[field] for shape in layers) for field in layers[0].fields}
    signals = {field: Signal(range(most + 1), name=field) for field, most in widest.items()}
    dut = PassSequencer(columns=layers[0].columns, address_width=ADDRESS_WIDTH, weight_width=WEIGHT_WIDTH,
                        fields=signals)

    async def testbench(ctx):
        for shape in layers:
            set_fields(ctx, signals, shape.fields)
            ctx.set(dut.begin, 1)
            cycle, offered, todo = 0, BEGIN_TO_PASS, shape.passes()
            while todo or cycle < 10:
                ready = choose.random() >= stalls
                ctx.set(dut.o.ready, ready)
                assert ctx.get(dut.o.valid) == (cycle >= offered and bool(todo)), cycle
                if ctx.get(dut.o.valid):
                    payload = ctx.get(dut.o.payload)
                    assert {field: payload[field] for field in todo[0]} == todo[0], cycle
                    if ready:
                        todo.pop(0)
                        offered = cycle + 2
                await ctx.tick()
                cycle += 1
                ctx.set(dut.begin, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()

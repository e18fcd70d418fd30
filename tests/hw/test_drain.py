"""The drain against lists of bits and scores: what is written, where, and in which cycle."""

import random
from dataclasses import dataclass

import pytest
from amaranth import Signal
from amaranth.sim import Simulator

from hw.drain import Drain

BEGIN_TO_LOAD = 4 + 3 + 2  # the shortest: a first beat, its words, its sums
ADDRESS_WIDTH = 6
SUM_WIDTH = 7
THRESHOLD_WIDTH = 8


@dataclass(frozen=True)
class Layer:
    """``channels`` results of ``pixels`` column groups, each pooled over ``window`` passes: 1, or 4 of twice as many
    columns and two rows.
    """

    channels: int
    pixels: int
    window: int = 1
    head: bool = False
    out_address: int = 0


@dataclass(frozen=True)
class Shape:
    """The array's rows, columns and lanes, and the rows that are drained in a cycle."""

    rows: int
    columns: int
    lanes: int
    drain: int

    @property
    def steps(self):
        return self.rows // self.drain


CASES = {
    "one of all": (Shape(1, 1, 2, 1), [Layer(3, 4), Layer(2, 1, head=True)]),
    "one step": (Shape(4, 2, 8, 4), [Layer(12, 5, out_address=3), Layer(4, 3, out_address=40)]),
    "words of one step": (Shape(8, 1, 4, 4), [Layer(10, 4)]),
    "half words": (Shape(6, 3, 16, 2), [Layer(9, 4, out_address=61), Layer(6, 2)]),
    "group within a word": (Shape(4, 2, 16, 1), [Layer(14, 3)]),
    "pool": (Shape(4, 3, 8, 2), [Layer(7, 3, window=4, out_address=9), Layer(8, 2), Layer(4, 3, window=4)]),
    "pool, four columns": (Shape(4, 4, 8, 1), [Layer(8, 2, window=4), Layer(4, 2)]),
    "pool, one column": (Shape(4, 1, 4, 4), [Layer(6, 2, window=4)]),
    "scores": (Shape(6, 2, 4, 1), [Layer(5, 3), Layer(13, 1, head=True), Layer(6, 2), Layer(6, 1, head=True)]),
    "scores of wide steps": (Shape(8, 1, 8, 4), [Layer(9, 1, head=True), Layer(8, 2), Layer(3, 1, head=True)]),
}


@dataclass
class Expected:
    """By cycle: (address, words), a score, and the cycles of ``done``."""

    writes: dict
    scores: dict
    done: set


def values_of(sums, thresholds):
    return [[2 * value - threshold for value in columns] for columns, threshold in zip(sums, thresholds)]


class Model:
    """Collects what the layers of a case must give."""

    def __init__(self, shape, choose):
        self.shape, self.choose = shape, choose
        self.expected = Expected({}, {}, set())
        self.rom = []  # thresholds of a drain step each

    def fields(self, layer):
        """Descriptor fields of a layer; its thresholds join the ROM."""
        shape, groups = self.shape, -(-layer.channels // self.shape.rows)
        last = layer.channels - (groups - 1) * shape.rows
        start = len(self.rom)
        self.rom += [[self.choose.randint(-40, 40) for _ in range(shape.drain)] for _ in range(groups * shape.steps)]
        return {
            "drain_groups": groups - 1, "drain_pool": layer.window - 1, "scores": int(layer.head),
            "last_steps": -(-last // shape.drain) - 1, "thresholds": start, "out_address": layer.out_address,
        }

    def passes(self, layer, fields, begin):
        """(cycle of load, sums, final) of each pass; notes what they give."""
        shape, choose = self.shape, self.choose
        address, cycle, loads = layer.out_address, begin + BEGIN_TO_LOAD + choose.randint(0, 3), []
        for pixel in range(layer.pixels):
            words = [[] for _ in range(shape.columns)]
            for group in range(fields["drain_groups"] + 1):
                last_group = group == fields["drain_groups"]
                start = fields["thresholds"] + group * shape.steps
                thresholds = [value for step in self.rom[start:start + shape.steps] for value in step]
                bits = [[0] * shape.columns for _ in range(shape.rows)]
                for position in range(layer.window):
                    most = (1 << SUM_WIDTH - 1) - 1
                    sums = [[choose.choice([0, most, -most - 1, choose.randint(-30, 10)])
                             for _ in range(shape.columns)] for _ in range(shape.rows)]
                    for row, values in enumerate(values_of(sums, thresholds)):
                        for column, value in enumerate(values):
                            place = column if layer.window == 1 else (position % 2 * shape.columns + column) // 2
                            bits[row][place] |= value >= 0
                        if layer.head and (not last_group or row // shape.drain <= fields["last_steps"]):
                            self.expected.scores[cycle + 2 + row] = values[0]
                    final = last_group and position == layer.window - 1 and pixel == layer.pixels - 1
                    loads.append((cycle, sums, final))
                    loaded = cycle
                    # Back to back at times, as the sequencer lets them follow.
                    cycle += (shape.rows if layer.head else shape.steps) + choose.choice([0, 0, 1, 5])
                if layer.head:
                    continue
                for step in range(fields["last_steps"] + 1 if last_group else shape.steps):
                    for column, word in enumerate(words):
                        word += [bits[step * shape.drain + offset][column] for offset in range(shape.drain)]
                    if len(words[0]) == shape.lanes or (last_group and step == fields["last_steps"]):
                        # A word is filled from the top.
                        packed = [sum(bit << shape.lanes - len(word) + lane for lane, bit in enumerate(word))
                                  for word in words]
                        self.expected.writes[loaded + 3 + step] = address % (1 << ADDRESS_WIDTH), packed
                        address += 1
                        for word in words:
                            word.clear()
        self.expected.done.add(loaded + (shape.rows if layer.head else shape.steps) + 2)
        return loads


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(2))
def test_layers(name, seed):
    shape, layers = CASES[name]
    model = Model(shape, random.Random(seed))
    fields = [model.fields(layer) for layer in layers]
    cycle, begins, loads = 2, {}, {}
    for layer, values in zip(layers, fields, strict=True):
        begins[cycle] = values
        for load, sums, final in model.passes(layer, values, cycle):
            loads[load] = sums, final
        cycle = max(model.expected.done) + 1
    expected = model.expected
    mask = (1 << THRESHOLD_WIDTH) - 1
    rom = [sum((value & mask) << THRESHOLD_WIDTH * offset for offset, value in enumerate(step)) for step in model.rom]
    # As wide as the largest value of a program, and every program ends in scores.
    widest = {field: max(values[field] for values in fields) for field in fields[0]} | {"scores": 1}
    signals = {field: Signal(range(most + 1), name=field) for field, most in widest.items()}
    dut = Drain(
        rows=shape.rows, columns=shape.columns, lanes=shape.lanes, drain=shape.drain, sum_width=SUM_WIDTH,
        threshold_width=THRESHOLD_WIDTH, score_width=THRESHOLD_WIDTH + 1, thresholds=rom, address_width=ADDRESS_WIDTH,
        pooling=any(layer.window > 1 for layer in layers), fields=signals)
    assert dut.steps == shape.steps

    async def testbench(ctx):
        address = None
        for now in range(cycle + 10):
            for field, value in begins.get(now, {}).items():
                if len(signals[field]):
                    ctx.set(signals[field], value)
            ctx.set(dut.restart, now in begins)
            ctx.set(dut.load, now in loads)
            if now in loads:
                sums, final = loads[now]
                ctx.set(dut.sums, sums)
                ctx.set(dut.final, final)
            assert ctx.get(dut.write_enable) == (now in expected.writes), now
            if now in expected.writes:
                data = [ctx.get(dut.write_data[column]) for column in range(shape.columns)]
                assert (address, data) == expected.writes[now], now
            assert ctx.get(dut.write_next) == (now + 1 in expected.writes), now
            address = ctx.get(dut.write_address)
            assert ctx.get(dut.score_valid) == (now in expected.scores), now
            if now in expected.scores:
                assert ctx.get(dut.score) == expected.scores[now], now
            assert ctx.get(dut.done) == (now in expected.done), now
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()

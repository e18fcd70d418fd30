"""The pooled head against sums and products in Python: every read, score and cycle."""

import random
from dataclasses import dataclass

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator

from hw.pooled_head import PooledHead
from hw.source_address import SourceAddress
from sw.descriptor import WORDS

ADDRESS_WIDTH = 12


@dataclass
class Frame:
    """A map ``pixels[y][x][channel]``, of whatever lies right of it too, and the layer behind."""

    height: int
    width: int
    columns: int
    pixels: list
    weights: list  # of each channel, its classes' bytes
    constants: list
    base: int
    pitch: int

    @property
    def groups_x(self):
        return -(-self.width // self.columns)

    @property
    def groups(self):
        return self.height * self.groups_x

    @property
    def pairs(self):
        return len(self.weights) // 2

    def memory(self, word_bits):
        """The words of all columns by address."""
        mask = (1 << word_bits) - 1
        return {
            self.base + (y * self.groups_x + group) * self.pitch + pair: [
                sum((row[group * self.columns + column][2 * pair + half] & mask) << half * word_bits
                    for half in range(2))
                for column in range(self.columns)
            ]
            for y, row in enumerate(self.pixels) for group in range(self.groups_x) for pair in range(self.pairs)
        }

    def scores(self, reduce):
        """The fully connected layer of the sums."""
        totals = list(self.constants)
        for channel, row in enumerate(self.weights):
            whole = sum(self.pixels[y][x][channel] for y in range(self.height) for x in range(self.width))
            small = (whole + 2 ** (reduce - 1)) // 2**reduce if reduce else whole
            totals = [total + (2 * byte - 255) * small for total, byte in zip(totals, row, strict=True)]
        return totals

    def weight_words(self, weight_width):
        """Each channel's bytes in as many words as they need."""
        share = weight_width // 8
        return [
            sum(byte << 8 * place for place, byte in enumerate(row[start:start + share]))
            for row in self.weights for start in range(0, len(row), share)
        ]

    def fields(self):
        return {
            "around_address": self.base, "around_pitch": self.pitch, "around_row_step": self.pitch,
            "around_row_pitch": 0, "around_stride": 0, "drain_groups_x": self.groups_x - 1,
        }


def make_frame(choose, *, columns, height, width, pairs, classes, word_bits, values=None, weights=None):
    """A frame of random values, or of those given."""
    low, high = -(1 << word_bits - 1), (1 << word_bits - 1) - 1
    values = values or (lambda: choose.choice([choose.randint(low, high), low, high]))
    weights = weights or (lambda: choose.choice([choose.randrange(256), 0, 127, 128, 255]))
    across = -(-width // columns) * columns
    pixels = [[[values() if x < width else choose.randint(low, high) for _ in range(2 * pairs)]
               for x in range(across)] for _ in range(height)]
    return Frame(
        height=height, width=width, columns=columns, pixels=pixels,
        weights=[[weights() for _ in range(classes)] for _ in range(2 * pairs)],
        constants=[choose.randint(-100000, 100000) for _ in range(classes)],
        base=choose.randrange(50), pitch=pairs + choose.randrange(3),
    )


def needed_width(frames, reduce):
    """Bits that hold every score at the end."""
    return max(9, *(1 + max(score, ~score).bit_length() for frame in frames for score in frame.scores(reduce)))


def read_cycles(groups, pairs, period):
    """From a begin in cycle 0."""
    cycles, last = [], groups + 2
    for pair in range(pairs):
        first = last + 3 if pair else 3
        last = groups + 2 + pair * period
        cycles += [*range(first, first + groups - 1), last]
        last = cycles[-1]
    return cycles


def simulate(choose, frames, *, word_bits, weight_width, reduce, score_width=None, constant_width=40):
    """Run frames of one size one behind the other, without a cycle between, and compare all that can be seen."""
    columns, classes = frames[0].columns, len(frames[0].constants)
    words = [frame.weight_words(weight_width) for frame in frames]
    fields = {name: Signal(WORDS.fields[name].width, name=name) for name in frames[0].fields()}
    source = SourceAddress(address_width=ADDRESS_WIDTH, fields=fields)
    dut = PooledHead(
        columns=columns, word_bits=word_bits, classes=classes, weight_width=weight_width,
        weight_depth=max(map(len, words)), constant_width=constant_width, constant_depth=classes,
        pixels=frames[0].groups, pairs=frames[0].pairs, last_columns=(frames[0].width - 1) % columns + 1, reduce=reduce,
        score_width=score_width or needed_width(frames, reduce),
    )
    top = Module()
    top.submodules.head, top.submodules.source = dut, source
    top.d.comb += [
        source.restart.eq(dut.restart), source.next_pixel.eq(dut.read_enable), source.word.eq(dut.read_word),
        dut.row_last.eq(source.row_last)]

    async def testbench(ctx):
        for frame, weights in zip(frames, words, strict=True):
            memory = frame.memory(word_bits)
            for name, value in frame.fields().items():
                ctx.set(fields[name], value)
            slots, stages = max(3, classes), max(1, (columns - 1).bit_length())
            period = max(frame.groups + 2, 2 * slots, slots + stages + 5)
            done = frame.groups + (frame.pairs - 1) * period + stages + slots + classes + 7
            assert dut.period == period
            assert dut.latency == done
            addresses = [frame.base + group * frame.pitch + pair
                         for pair in range(frame.pairs) for group in range(frame.groups)]
            reads = dict(zip(read_cycles(frame.groups, frame.pairs, period), addresses, strict=True))
            scores = dict(enumerate(frame.scores(reduce), start=done - classes + 1))
            weight, constant, pending = 0, 0, [None, None]
            for cycle in range(done + 1):
                ctx.set(dut.begin, cycle == 0)
                ctx.set(dut.weight, weight)
                ctx.set(dut.constant, constant)
                given = pending.pop(0)
                ctx.set(dut.words, [choose.getrandbits(2 * word_bits) for _ in range(columns)]
                        if given is None else memory[given])
                assert ctx.get(dut.read_enable) == (cycle in reads), cycle
                if cycle in reads:
                    assert ctx.get(source.address) == reads[cycle], cycle
                pending.append(reads.get(cycle))
                assert ctx.get(dut.score_valid) == (cycle in scores), cycle
                if cycle in scores:
                    assert ctx.get(dut.score) == scores[cycle], cycle
                assert ctx.get(dut.done) == (cycle == done)
                # What nobody looks at is anything.
                place = ctx.get(dut.weight_address)
                weight = weights[place] if place < len(weights) else choose.getrandbits(weight_width)
                place = ctx.get(dut.constant_address)
                constant = frame.constants[place] & 0xFFFFFFFF if place < classes else choose.getrandbits(32)
                constant |= choose.getrandbits(constant_width - 32) << 32
                await ctx.tick()
        for _ in range(30):
            assert not ctx.get(dut.score_valid | dut.done | dut.read_enable)
            await ctx.tick()

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize(("columns", "classes", "weight_width", "word_bits", "reduce", "maps"), [
    (1, 2, 16, 8, 0, [(3, 4, 3), (1, 1, 4)]),  # a channel takes longer than its classes
    (1, 10, 32, 4, 3, [(2, 5, 3), (2, 2, 2)]),
    (1, 1, 64, 8, 1, [(2, 3, 2), (1, 2, 1)]),
    (3, 10, 128, 8, 2, [(4, 8, 4), (3, 7, 3), (5, 6, 2)]),
    (3, 10, 40, 8, 0, [(2, 3, 3), (7, 11, 3)]),  # products take longer than the reads; two words a channel
    (3, 16, 56, 6, 1, [(6, 19, 3)]),
    (3, 4, 16, 8, 0, [(1, 2, 5), (1, 3, 1)]),  # one group
    (5, 16, 128, 8, 4, [(8, 8, 2), (2, 5, 3)]),
    (5, 2, 64, 8, 0, [(1, 11, 4), (4, 3, 3)]),
    (5, 10, 24, 16, 8, [(3, 12, 3), (3, 14, 2)]),
    (4, 5, 40, 8, 0, [(3, 9, 3), (1, 4, 3)]),
])
def test_scores_and_cycles(columns, classes, weight_width, word_bits, reduce, maps):
    choose = random.Random(columns * 1000 + classes)
    for height, width, pairs in maps:
        frames = [make_frame(choose, columns=columns, height=height, width=width, pairs=pairs, classes=classes,
                             word_bits=word_bits) for _ in range(2)]
        simulate(choose, frames, word_bits=word_bits, weight_width=weight_width, reduce=reduce)


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("reduce", [0, 1, 5])
def test_the_extremes_fit(value, reduce):
    """Every pixel and weight at its end, in the largest map that the engine is made for."""
    choose = random.Random(reduce)
    frames = [make_frame(choose, columns=3, height=7, width=30, pairs=4, classes=3, word_bits=8,
                         values=lambda: value, weights=lambda weight=weight: weight) for weight in (0, 255)]
    simulate(choose, frames, word_bits=8, weight_width=24, reduce=reduce)


def test_the_ends_of_32_bits():
    choose = random.Random(7)
    frame = make_frame(choose, columns=3, height=2, width=4, pairs=2, classes=6, word_bits=8)
    products = [score - start for score, start in zip(frame.scores(0), frame.constants, strict=True)]
    ends = [(1 << 31) - 1 if product >= 0 else -(1 << 31) for product in products]
    frame.constants = [end - product for end, product in zip(ends, products, strict=True)]
    assert len(set(ends)) == 2
    simulate(choose, [frame], word_bits=8, weight_width=32, reduce=0, score_width=32)


@pytest.mark.parametrize(("pixels", "reduce", "width"), [
    (1, 0, 8), (2, 0, 9), (256, 0, 16), (256, 3, 16), (512, 1, 17),
])
def test_the_width_of_a_sum(pixels, reduce, width):
    assert _head(columns=1, pixels=pixels, reduce=reduce).sum_width == width


@pytest.mark.parametrize(("changes", "message"), [
    ({"classes": 0}, "PooledHead classes must be from 1 to 256, not 0"),
    ({"classes": 257, "constant_depth": 300}, "PooledHead classes must be from 1 to 256, not 257"),
    ({"score_width": 33}, "PooledHead score_width must be from 9 to 32, not 33"),
    ({"score_width": 8}, "PooledHead score_width must be from 9 to 32, not 8"),
    ({"weight_width": 15}, "PooledHead weight_width must be at least 16, not 15"),
    ({"constant_depth": 9}, "PooledHead constant_depth must be at least the 10 classes, not 9"),
    ({"weight_width": 32, "weight_depth": 11},
     "PooledHead weight_depth must be at least the 12 words of 2 pairs of channels, not 11"),
    ({"last_columns": 0}, "PooledHead last_columns must be from 1 to the 1 columns, not 0"),
    ({"last_columns": 2}, "PooledHead last_columns must be from 1 to the 1 columns, not 2"),
    ({"pixels": 1024}, "PooledHead reduce must be at least 2 for sums of 18 bits, not 0"),
])
def test_a_head_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        _head(**changes)


def _head(**changes):
    options = {
        "columns": 1, "word_bits": 8, "classes": 10, "weight_width": 128, "weight_depth": 64, "constant_width": 64,
        "constant_depth": 64, "pixels": 64, "pairs": 2, "last_columns": 1, "reduce": 0, "score_width": 32,
    }
    return PooledHead(**options | changes)

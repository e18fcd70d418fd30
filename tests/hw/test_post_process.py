"""Post-processing against a model of words, bits and memories: what is read and written, where, and in which cycle."""

import random
from dataclasses import dataclass, replace

import pytest
from amaranth import Module, Signal
from amaranth.sim import Simulator

from hw.post_process import PostProcess
from hw.source_address import SourceAddress
from sw.constants import ConstantFormat

SUM_WIDTH = 9
FEATURE_ADDRESS_WIDTH, WORD_ADDRESS_WIDTH = 8, 10

PLAIN = ConstantFormat(gain=10, offset=16, source=3, around=1)
LIMITS = replace(PLAIN, threshold=9)
SLOPES = replace(LIMITS, before=11, positive=12, negative=13, after=9)


@dataclass(frozen=True)
class Shape:
    """A unit: rows, columns and lanes, and its arithmetic."""

    rows: int
    columns: int
    lanes: int
    constants: ConstantFormat = PLAIN
    bits: int = 8
    shift: int = 9
    low: int = -128
    high: int = 127


@dataclass(frozen=True)
class Layer:
    """A block of a layer: ``groups`` channel groups, the last with ``last`` rows, on a map of ``size`` (height, column
    groups). ``shortcut`` is ``None``, ``same``, ``stride`` or ``average``, of a map with ``around`` words of a pixel.
    """

    size: tuple[int, int]
    groups: int = 1
    last: int = 0
    tiles: int = 1
    shortcut: str | None = None
    around: int = 8
    keep: bool = True
    bits: bool = True
    in_place: bool = False

    @property
    def reads(self):
        return {"average": 4, None: 0}.get(self.shortcut, 1)

    @property
    def cadence(self):
        return max(2, self.reads + 1)

    def channels(self, rows):
        return self.tiles * ((self.groups - 1) * rows + (self.last or rows))


CASES = {
    "no shortcut": (Shape(4, 3, 8), [Layer((2, 3), groups=2), Layer((1, 2))]),
    "identity": (Shape(4, 3, 8), [Layer((3, 2), groups=2, shortcut="same"), Layer((2, 2), shortcut="same")]),
    "in place": (Shape(8, 3, 16), [Layer((2, 3), shortcut="same", around=4, in_place=True)]),
    "partial rows": (Shape(8, 1, 8), [Layer((2, 3), groups=2, last=2, shortcut="same"), Layer((2, 1), last=6)]),
    "stride": (Shape(4, 3, 16), [Layer((2, 3), groups=3, shortcut="stride"), Layer((3, 1), shortcut="same")]),
    "average": (Shape(4, 3, 12), [Layer((2, 2), groups=2, shortcut="average"), Layer((2, 2), shortcut="same"),
                                  Layer((2, 1), shortcut="average"), Layer((2, 1))]),
    "average of one column": (Shape(4, 1, 4), [Layer((3, 2), groups=2, last=2, shortcut="average")]),
    "two tiles": (Shape(8, 3, 16), [Layer((2, 2), groups=2, tiles=2, shortcut="same"),
                                    Layer((1, 2), last=4, tiles=2, shortcut="average")]),
    "four tiles": (Shape(4, 5, 16, bits=6, low=-32, high=31), [
        Layer((1, 2), groups=2, last=2, tiles=4, shortcut="same"), Layer((2, 1), tiles=4)]),
    "hardtanh": (Shape(4, 3, 8, LIMITS, low=-32, high=32), [Layer((2, 3), groups=2, shortcut="same")]),
    "odd limits": (Shape(4, 1, 8, LIMITS, low=-100, high=77), [Layer((2, 3), groups=2, shortcut="average")]),
    "slopes": (Shape(8, 3, 16, SLOPES), [Layer((2, 3), groups=2), Layer((2, 3), shortcut="same"),
                                         Layer((2, 2), shortcut="average"), Layer((1, 2), tiles=2)]),
    "slopes and limits": (Shape(16, 1, 24, SLOPES, low=-64, high=64), [
        Layer((2, 2), groups=2, last=10, shortcut="same"), Layer((2, 1), groups=2, shortcut="stride")]),
    "words only": (Shape(4, 3, 8), [Layer((2, 2), shortcut="same", bits=False), Layer((2, 2), groups=2, bits=False)]),
    "bits only": (Shape(8, 1, 8, LIMITS), [Layer((2, 3), groups=2, last=5, keep=False),
                                           Layer((2, 2), shortcut="same", keep=False)]),
}


def limited(value, bits):
    return max(-(1 << bits - 1), min((1 << bits - 1) - 1, value))


def word_of(shape, value, constants, around):
    """Numbers as ``docs/numerics.md`` has them; ``around`` is ``None`` in a layer without a shortcut."""
    y = limited(constants["gain"] * value + constants["offset"] >> shape.shift, shape.bits + 2)
    if around is not None:
        y = limited(y + around, shape.bits)
    if shape.constants.bends:
        w = limited(y + constants["before"], shape.bits + 2)
        slope = constants["positive" if w >= 0 else "negative"]
        y = limited(limited(slope * w + 512 >> 10, shape.bits) + constants["after"], shape.bits)
    return max(shape.low, min(shape.high, y))


class Memory:
    """Banks of pairs of words; a read's words show two cycles later."""

    def __init__(self, shape, choose):
        self.columns, self.bits = shape.columns, shape.bits
        self.banks = [[choose.randrange(1 << 2 * shape.bits) for _ in range(1 << WORD_ADDRESS_WIDTH)]
                      for _ in range(shape.columns)]
        self.pending = [None, None]

    def word(self, base, row, column, row_words, pixel_words, channel):
        """A channel of the map's pixel (row, column)."""
        pair = self.banks[column % self.columns][
            base + row * row_words + column // self.columns * pixel_words + channel // 2]
        word = pair >> channel % 2 * self.bits & (1 << self.bits) - 1
        return word - (word >> self.bits - 1 << self.bits)

    def read(self, address, phase, step, pitch):
        words = []
        for column in range(self.columns):
            over, bank = divmod(phase + step * column, self.columns)
            words.append(self.banks[bank][(address + over * pitch) % (1 << WORD_ADDRESS_WIDTH)])
        return words


class Model:
    """Collects what a case's layers must do, by cycle."""

    def __init__(self, shape, seed):
        self.shape, self.seed, self.choose = shape, seed, random.Random(seed)
        self.memory = Memory(shape, self.choose)
        self.loads, self.begins, self.reads = {}, {}, set()
        self.writes, self.features, self.done = {}, {}, set()
        self.slower = 3 if shape.constants.bends else 0

    def constants(self, layer):
        """Of every row that is drained, random and with extremes."""
        choose, rows = self.choose, []
        for _ in range(layer.groups * layer.tiles * self.shape.rows):
            values = {}
            for name in ("gain", "offset", "source", "around", "threshold", "before", "positive", "negative", "after"):
                _, width, is_signed = self.shape.constants.place(name)
                half = 1 << width >> 1 if is_signed else 0
                low, high = -half, max(0, (1 << width) - 1 - half)
                values[name] = choose.choice([low, high, choose.randint(low, high), choose.randint(low, high)])
            if choose.random() < 0.7:  # within the words' reach
                values |= {"gain": choose.randint(-60, 60), "offset": choose.randint(-4000, 4000)}
            values["source"] %= layer.around
            rows.append(values)
        return rows

    def pack(self, rows):
        """The constants as they are stored: offsets with the row behind, the last one's with the first."""
        return [self.shape.constants.pack(values | {"offset": before["offset"]})
                for before, values in zip(rows[-1:] + rows[:-1], rows, strict=True)]

    def fields(self, layer):
        shape, double = self.shape, layer.shortcut in ("stride", "average")
        row_pitch = (layer.size[1] << double) * layer.around + self.choose.choice([0, 0, 5])
        return {
            "drain_groups": layer.groups - 1, "tiles": layer.tiles - 1, "last_rows": (layer.last or shape.rows) - 1,
            "drain_groups_x": layer.size[1] - 1, "average": int(layer.shortcut == "average"),
            "around": int(layer.shortcut is not None), "around_stride": int(double),
            "around_address": self.choose.randrange(20), "around_pitch": layer.around,
            "around_row_pitch": row_pitch,
            "around_row_step": (row_pitch - (layer.size[1] - 1) * layer.around) << double,
            "keep": int(layer.keep), "word_out": 500 + self.choose.randrange(20),
            "word_step": 1 + self.choose.choice([0, 0 if layer.in_place else 3]),
            "bits": int(layer.bits), "out_address": self.choose.randrange(20), "out_step": self.choose.choice([1, 3]),
        }

    def layer(self, layer, begin):
        """Note a layer that restarts in cycle ``begin``; returns the cycle after it."""
        shape, choose = self.shape, self.choose
        fields, constants = self.fields(layer), self.constants(layer)
        channels = layer.channels(shape.rows)
        word_pitch = channels // 2 + fields["word_step"] - 1
        feature_pitch = -(-channels // shape.lanes) + fields["out_step"] - 1
        if layer.in_place:
            fields["word_out"] = fields["around_address"]
        self.begins[begin] = fields, self.pack(constants)
        length = layer.tiles * shape.rows // 2 * layer.cadence
        cycle = begin + choose.choice([1, 2, 7])
        results = []
        for pixel in range(layer.size[0] * layer.size[1]):
            row, group_x = divmod(pixel, layer.size[1])
            filled = [[] for _ in range(shape.columns)]
            word_address = fields["word_out"] + pixel * word_pitch
            feature_address = fields["out_address"] + pixel * feature_pitch
            for group in range(layer.groups):
                most = (1 << SUM_WIDTH - 1) - 1
                sums = [[choose.choice([most, -most - 1, 0, choose.randint(-most, most), choose.randint(-40, 40)])
                         for _ in range(shape.columns)] for _ in range(shape.rows)]
                last_group = group == layer.groups - 1
                final = last_group and pixel == layer.size[0] * layer.size[1] - 1
                self.loads[cycle] = sums, final
                if layer.reads:
                    self.reads |= {cycle + 1 + pair * layer.cadence + read
                                   for pair in range(layer.tiles * shape.rows // 2) for read in range(layer.reads)}
                pair = []
                for step in range(layer.tiles * shape.rows):
                    tile, number = divmod(step, shape.rows)
                    taken = cycle + 1 + step // 2 * layer.cadence + layer.cadence - 2 + step % 2
                    if last_group and number > fields["last_rows"]:
                        continue
                    index = (group * layer.tiles + tile) * shape.rows + number
                    words = [
                        word_of(shape, sums[number][column], constants[index], self.around(
                            layer, fields, constants[index - index % 2], row, group_x * shape.columns + column,
                            index % 2))
                        for column in range(shape.columns)]
                    pair.append(words)
                    if len(pair) == 2:
                        if layer.keep:
                            results.append((taken + 4 + self.slower, word_address, pair))
                            word_address += 1
                        pair = []
                    for bits, word in zip(filled, words, strict=True):
                        bits.append(int(word >= constants[index]["threshold"]))
                    end = last_group and tile == layer.tiles - 1 and number == fields["last_rows"]
                    if len(filled[0]) == shape.lanes or end:
                        if layer.bits:
                            # A word is filled from the top.
                            self.features[taken + 5 + self.slower] = feature_address, [
                                sum(bit << shape.lanes - len(bits) + lane for lane, bit in enumerate(bits))
                                for bits in filled]
                            feature_address += 1
                        filled = [[] for _ in range(shape.columns)]
                loaded = cycle
                cycle += length + (0 if self.seed == 0 else 1 if self.seed == 1 else choose.choice([0, 0, 1, 2, 3, 9]))
        mask = (1 << shape.bits) - 1
        for earliest, address, (even, odd) in results:
            cycle = earliest
            while cycle in self.reads:
                cycle += 1
            assert cycle not in self.writes
            self.writes[cycle] = address, [
                low & mask | (high & mask) << shape.bits for low, high in zip(even, odd, strict=True)]
        done = loaded + length + 5 + self.slower
        self.done.add(done)
        return done + 1

    def around(self, layer, fields, constants, row, column, odd):
        """What the shortcut adds; the constants are those of the pair's even channel."""
        if layer.shortcut is None:
            return None
        if not constants["around"]:
            return 0
        pixels = {"same": [(row, column)], "stride": [(2 * row, 2 * column)],
                  "average": [(2 * row + dy, 2 * column + dx) for dy in range(2) for dx in range(2)]}[layer.shortcut]
        words = [self.memory.word(fields["around_address"], *pixel, fields["around_row_pitch"], fields["around_pitch"],
                                  2 * constants["source"] + odd) for pixel in pixels]
        return words[0] if len(words) == 1 else sum(words) + 2 >> 2


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(4))  # loads as early as may be, each a cycle late, and at random
def test_layers(name, seed):
    shape, layers = CASES[name]
    model, cycle = Model(shape, seed), 2
    for layer in layers:
        cycle = model.layer(layer, cycle)
    # As wide as the program's largest value.
    every = [fields for fields, _ in model.begins.values()]
    signals = {field: Signal(range(max(fields[field] for fields in every) + 1), name=field) for field in every[0]}
    dut = PostProcess(
        rows=shape.rows, columns=shape.columns, lanes=shape.lanes, sum_width=SUM_WIDTH, word_bits=shape.bits,
        shift=shape.shift, low=shape.low, high=shape.high, constants=shape.constants,
        address_width=FEATURE_ADDRESS_WIDTH, word_address_width=WORD_ADDRESS_WIDTH, fields=signals)
    source = SourceAddress(address_width=WORD_ADDRESS_WIDTH, fields=signals)
    top = Module()
    top.submodules.post, top.submodules.source = dut, source
    top.d.comb += [
        source.restart.eq(dut.restart), source.next_pixel.eq(dut.next_pixel), source.word.eq(dut.read_word),
        source.below.eq(dut.read_below)]
    noise = random.Random(seed)

    async def testbench(ctx):
        memory, constants, constant = model.memory, [], 0
        arriving = [None, None]
        feature_address = None
        for now in range(cycle + 10):
            if now in model.begins:
                fields, constants = model.begins[now]
                for field, value in fields.items():
                    if len(signals[field]):
                        ctx.set(signals[field], value)
            sums, final = model.loads.get(now, (None, noise.randrange(2)))
            ctx.set(dut.restart, now in model.begins)
            ctx.set(dut.load, sums is not None)
            ctx.set(dut.final, final)
            ctx.set(dut.sums, sums or [[noise.randrange(9)] * shape.columns] * shape.rows)
            ctx.set(dut.constant, constant)
            ctx.set(dut.words, arriving[0] or [noise.randrange(1 << 2 * shape.bits) for _ in range(shape.columns)])

            assert ctx.get(dut.read_enable) == (now in model.reads), now
            assert ctx.get(dut.word_write) == (now in model.writes), now
            assert ctx.get(dut.write_next) == (now + 1 in model.features), now
            assert ctx.get(dut.write_enable) == (now in model.features), now
            assert ctx.get(dut.done) == (now in model.done), now
            if now in model.features:
                written = feature_address, [ctx.get(dut.write_data[column]) for column in range(shape.columns)]
                assert written == model.features[now], now
            feature_address = ctx.get(dut.write_address)
            read = None
            if now in model.reads:
                read = memory.read(ctx.get(source.address), ctx.get(dut.read_phase), 1 + ctx.get(dut.read_stride),
                                   ctx.get(dut.read_pitch))
            if now in model.writes:
                address, words = ctx.get(dut.word_address), [
                    ctx.get(dut.word_data[column]) for column in range(shape.columns)]
                assert (address, words) == model.writes[now], now
                for bank, word in zip(memory.banks, words, strict=True):
                    bank[address] = word
            arriving = [arriving[1], read]
            if ctx.get(dut.constant_enable):
                address = ctx.get(dut.constant_address)
                constant = constants[address] if address < len(constants) else 0
            await ctx.tick()

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_refusals():
    fields = {name: Signal(2) for name in ("tiles", "drain_groups", "around_pitch")}
    shape = {"columns": 1, "lanes": 8, "sum_width": 8, "word_bits": 8, "shift": 4, "constants": PLAIN,
             "address_width": 4, "word_address_width": 4, "fields": fields}
    for rows in (2, 5):
        with pytest.raises(ValueError, match="rows must be even and at least 4"):
            PostProcess(rows=rows, low=-8, high=8, **shape)
    for low, high in ((-129, 8), (-8, 128), (0, 8)):
        with pytest.raises(ValueError, match="numbers? of 8 bits"):
            PostProcess(rows=4, low=low, high=high, **shape)

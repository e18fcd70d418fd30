"""The last layer of a network of words: each channel's sum over all pixels, then a fully connected layer of 8 bits."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.memory import SimpleDualPortMemory

__all__ = ["PooledHead"]

WEIGHT_BITS = 8
FACTOR_BITS = 16
#: From a score's read to its write; a score must not be read again before.
SCORE_CYCLES = 3
#: From the last read of a pair to its first product, beyond the stages that add columns.
READ_TO_PRODUCT = 4


class PooledHead(wiring.Component):
    """Sums the channels of one pair over the map while the sums of the pair before are multiplied.

    Word k of a pixel holds the channels 2k (low half) and 2k + 1. A channel's sum s, of all pixels inside the map,
    adds w * ((s + half) >> reduce) to each class's score, which starts as that class's constant; half is
    2**reduce / 2, or 0 without ``reduce``. A weight is a byte u for w = 2u - 255; each channel has its classes' bytes
    from the lowest bits on in ``words_per_channel`` words. Weights and constants begin at address 0.

    Latency: with D = ``stages``, C = ``slots``, G pixel groups and N pairs, a pair takes ``period``
    R = max(G + 2, 2 * C, C + D + 5) cycles, in G of which, one behind the other but for the last, words are read. From
    ``begin`` to the first read 3 cycles, to the first score G + (N - 1) * R + D + C + 8; then a score a cycle;
    ``done`` comes with the last, ``latency`` cycles after ``begin``.

    Parameters
    ----------
    columns, word_bits : int
    classes : int
        1 to 256.
    weight_width, weight_depth : int
        Bits of a weight word, at least 16, and the words that can be addressed.
    constant_width, constant_depth : int
        The same of a constant, whose low 32 bits are the start value.
    pixels, pairs : int
        Pixel groups of the map, and pairs of channels.
    last_columns : int
        Columns inside the map in a row's last group.
    reduce : int
        Bits that a sum is shifted right; what is left must fit 16 bits.
    score_width : int
        Up to 32, enough for every class's last score: what comes before wraps.

    Members
    -------
    begin : In(1)
        Earliest in the cycle after ``done``.
    restart, read_word : Out
        To ``hw.source_address.SourceAddress``, with ``read_enable`` as ``next_pixel``; ``row_last`` : In(1) from there.
    read_enable : Out(1)
        To the word memory, with that address, phase 0 and the first stride.
    words : In(ArrayLayout(2 * word_bits, columns))
        2 cycles later.
    weight_address, constant_address : Out
    weight, constant : In
        1 cycle later.
    score_valid, score : Out
        In order of class.
    done : Out(1)
        With the last score.

    Raises
    ------
    ValueError
        If a parameter is beyond its limits, or the sums do not fit.
    """

    def __init__(self, *, columns, word_bits, classes, weight_width, weight_depth, constant_width, constant_depth,
                 pixels, pairs, last_columns, reduce, score_width):
        for name, value, low, high in (("classes", classes, 1, 256), ("score_width", score_width, 9, 32)):
            if not low <= value <= high:
                raise ValueError(f"PooledHead {name} must be from {low} to {high}, not {value!r}")
        if weight_width < 2 * WEIGHT_BITS:
            raise ValueError(f"PooledHead weight_width must be at least {2 * WEIGHT_BITS}, not {weight_width!r}")
        if not 1 <= last_columns <= columns:
            raise ValueError(f"PooledHead last_columns must be from 1 to the {columns} columns, not {last_columns!r}")
        if constant_depth < classes:
            raise ValueError(f"PooledHead constant_depth must be at least the {classes} classes, not "
                             f"{constant_depth!r}")
        self.columns = columns
        self.word_bits = word_bits
        self.classes = classes
        self.pixels = pixels
        self.pairs = pairs
        self.last_columns = last_columns
        self.reduce = reduce
        self.score_width = score_width
        self._half = 1 << reduce >> 1
        lowest = self._half - (columns * pixels << word_bits - 1)
        highest = self._half + columns * pixels * ((1 << word_bits - 1) - 1)
        self.sum_width = 1 + max((~lowest).bit_length(), highest.bit_length())
        if self.sum_width - reduce > FACTOR_BITS:
            raise ValueError(f"PooledHead reduce must be at least {self.sum_width - FACTOR_BITS} for sums of "
                             f"{self.sum_width} bits, not {reduce!r}")
        self.bytes_per_word = min(classes, weight_width // WEIGHT_BITS)
        self.words_per_channel = -(-classes // self.bytes_per_word)
        if weight_depth < 2 * pairs * self.words_per_channel:
            raise ValueError(f"PooledHead weight_depth must be at least the {2 * pairs * self.words_per_channel} words "
                             f"of {pairs} pairs of channels, not {weight_depth!r}")
        super().__init__({
            "begin": In(1),
            "restart": Out(1),
            "row_last": In(1),
            "read_word": Out(range(max(2, pairs))),
            "read_enable": Out(1),
            "words": In(data.ArrayLayout(2 * word_bits, columns)),
            "weight_address": Out(range(max(2, weight_depth))),
            "weight": In(weight_width),
            "constant_address": Out(range(max(2, constant_depth))),
            "constant": In(constant_width),
            "score_valid": Out(1),
            "score": Out(signed(score_width)),
            "done": Out(1),
        })

    @property
    def stages(self):
        """Cycles in which the columns of a read are added."""
        return max(1, (self.columns - 1).bit_length())

    @property
    def slots(self):
        """Cycles in which a channel is multiplied."""
        return max(SCORE_CYCLES, self.classes)

    @property
    def period(self):
        """Cycles from a pair to the next."""
        return max(self.pixels + 2, 2 * self.slots, self.slots + self.stages + READ_TO_PRODUCT + 1)

    @property
    def latency(self):
        """Cycles from ``begin`` to ``done``."""
        return self.pixels + (self.pairs - 1) * self.period + self.stages + self.slots + self.classes + 7

    def elaborate(self, platform):
        m = Module()
        released = Signal()  # the multiplier is done soon enough for another pair's last read
        reading, read, pair_read = self._read(m, released)
        sums, summed, stored = self._sum(m, read, pair_read)
        self._multiply(m, sums, summed, stored, final=~reading, released=released)
        return m

    def _read(self, m, released):
        """Issue the reads, pair by pair."""
        group = Signal(range(max(2, self.pixels)))
        pair = self.read_word
        group_last = group == self.pixels - 1
        more = pair != self.pairs - 1

        # Two cycles without a read begin a pair: its address is made, and the last pair's sums are taken and cleared.
        starting, waiting, reading = Signal(), Signal(), Signal()
        pending = Signal()  # a pair has been read, and the multiplier has not released the next
        read = reading & ~(group_last & pending)
        pair_read = read & group_last
        m.d.comb += [self.restart.eq(starting), self.read_enable.eq(read)]
        m.d.sync += [
            starting.eq(self.begin | pair_read & more),
            waiting.eq(starting),
            reading.eq(waiting | reading & ~pair_read),
            pending.eq(pair_read | pending & ~released),
        ]
        with m.If(read):
            m.d.sync += group.eq(group + 1)
            with m.If(group_last):
                m.d.sync += [group.eq(0), pair.eq(pair + 1)]
        with m.If(self.begin):
            m.d.sync += pair.eq(0)
        return reading, read, pair_read

    def _sum(self, m, read, pair_read):
        """Add the columns of each read, and these sums to the pair's; ``summed`` when a pair is complete."""
        present, row_end = self._delay(m, read, 2), self._delay(m, self.row_last, 2)
        summed, stored = self._delay(m, pair_read, 3 + self.stages), Signal()
        m.d.sync += stored.eq(summed)
        inside = [~row_end | (column < self.last_columns) for column in range(self.columns)]
        sums = []
        for half, name in enumerate(("even", "odd")):
            level = [word.word_select(half, self.word_bits).as_signed() for word in self.words]
            for stage in range(self.stages):
                above = []
                for index in range(0, len(level), 2):
                    value = level[index]
                    if index + 1 < len(level):
                        other = level[index + 1]
                        value = value + (other if stage else Mux(inside[index + 1], other, 0))
                    added = Signal.like(value, name=f"{name}_{stage}_{index}", reset_less=True)
                    m.d.sync += added.eq(value)
                    if not stage:
                        # A column is beyond the map whenever one to its left is.
                        with m.If(~(present & inside[index])):
                            m.d.sync += added.eq(0)
                    above.append(added)
                level = above
            total = Signal(signed(self.sum_width), name=name, reset_less=True)
            m.d.sync += total.eq(total + level[0])
            with m.If(self.begin | stored):
                m.d.sync += total.eq(self._half)
            sums.append(total)
        return sums, summed, stored

    def _multiply(self, m, sums, summed, stored, *, final, released):
        """Multiply both channels of a pair with their weights, one product a cycle, and add them to the scores."""
        taken = Signal(signed(self.sum_width - self.reduce), reset_less=True)
        with m.If(summed | stored):
            m.d.sync += taken.eq(Mux(stored, sums[1] >> self.reduce, sums[0] >> self.reduce))

        slot = Signal(range(self.slots))
        active, odd, first, last = Signal(), Signal(), Signal(), Signal()
        channel_last = slot == self.slots - 1
        with m.If(active):
            m.d.sync += slot.eq(slot + 1)
            with m.If(channel_last):
                m.d.sync += [slot.eq(0), odd.eq(~odd), active.eq(~odd), first.eq(0)]
        with m.If(summed):
            m.d.sync += [active.eq(1), last.eq(final)]
        with m.If(self.begin):
            m.d.sync += first.eq(1)
        m.d.comb += released.eq(odd & (slot == max(0, self.slots - self.stages - READ_TO_PRODUCT - 1)))

        # The address is a cycle ahead of the word, so it moves on in the slot before a word's last.
        ends = [*range(self.bytes_per_word - 1, self.classes - 1, self.bytes_per_word), self.slots - 1]
        with m.If(self.begin):
            m.d.sync += self.weight_address.eq(0)
        with m.Elif(active & Cat(slot == end - 1 for end in ends).any()):
            m.d.sync += self.weight_address.eq(self.weight_address + 1)

        byte = Signal(WEIGHT_BITS)
        with m.Switch(slot):
            for number in range(self.classes):
                with m.Case(number):
                    m.d.comb += byte.eq(self.weight.word_select(number % self.bytes_per_word, WEIGHT_BITS))
        factor = Signal.like(taken, reset_less=True)
        weight = Signal(signed(WEIGHT_BITS + 1), reset_less=True)
        with m.If(active & (slot == 0)):
            m.d.sync += factor.eq(taken)
        m.d.sync += weight.eq(Cat(1, byte[:-1], ~byte[-1]))  # 2u - 255 = 2(u - 128) + 1

        m.submodules.scores = scores = SimpleDualPortMemory(width=self.score_width, depth=self.slots)
        # A multiplier block takes in the adder and these registers, but not a reset.
        score = Signal.like(self.score, reset_less=True)
        start = self.constant[:32].as_signed()
        m.d.sync += score.eq(Mux(self._delay(m, first, 1), start, scores.read_data.as_signed()) + factor * weight)
        giving = odd & last if self.slots == self.classes else odd & last & (slot < self.classes)
        given = self._delay(m, giving, 1)
        m.d.comb += [
            self.constant_address.eq(slot),
            scores.read_address.eq(slot),
            scores.write_address.eq(self._delay(m, slot, 2)),
            scores.write_enable.eq(self._delay(m, active, 2)),
            scores.write_data.eq(score),
            self.score.eq(score),
            self.score_valid.eq(self._delay(m, given, 1)),
            self.done.eq(self.score_valid & ~given),
        ]

    @staticmethod
    def _delay(m, value, cycles):
        """The value of so many cycles before."""
        for _ in range(cycles):
            delayed = Signal.like(value)
            m.d.sync += delayed.eq(value)
            value = delayed
        return value

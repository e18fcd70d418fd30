"""Prefetch: a block's weights and constants come out of the store while the block before it is computed."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.memory import SimpleDualPortMemory

__all__ = ["Prefetch"]

#: Bits of each of the two counts in a header.
_COUNT_WIDTH = 16


class Prefetch(wiring.Component):
    """Fetches the next block's record into one half of two memories, while the other half is read.

    The store holds the records one behind the other from address 0, and after the last comes the first again. A
    record is a header word, with the number of constants in bits 0 to 15 and that of weight words in bits 16 to 31,
    then the constants, then the weight words. A constant or weight word takes as many store words as it needs, its
    lowest bits first.

    Latency: 1 cycle from ``weight_address`` to ``weight``, and from ``constant_address`` to ``constant``. A store word
    is requested in each cycle, but in the 2 that follow a header's grant; if each is granted at once, ``ready`` comes
    n + 5 cycles after ``begin`` for a record of n store words, or 4 if it is a header only.

    Parameters
    ----------
    store_width : int
        Bits of a store word, at least 32.
    store_words : int
        Store words of all records together.
    weight_width, weight_depth : int
        Bits of a weight word, and weight words of a half.
    constant_width, constant_depth : int
        Bits of a constant, and constants of a half.

    Members
    -------
    start : In(1)
        The store is filled, from now on; nothing is fetched before.
    begin : In(1)
        With ``ready``: the complete record's block begins. From the next cycle on its half is read, and the record
        after it is fetched.
    ready : Out(1)
        The next block's record is complete.
    request : Out(1)
    address : Out(range(store_words))
    grant : In(1)
        The request is taken in this cycle.
    data : In(store_width)
        The store word, 2 cycles after its grant.
    weight_address : In(range(weight_depth))
    weight : Out(weight_width)
    constant_address : In(range(constant_depth))
    constant_enable : In(1)
        While 0, ``constant`` keeps its value.
    constant : Out(constant_width)

    Raises
    ------
    ValueError
        If a header does not fit a store word.
    """

    def __init__(self, *, store_width, store_words, weight_width, weight_depth, constant_width, constant_depth):
        if store_width < 2 * _COUNT_WIDTH:
            raise ValueError(f"Prefetch store_width must be at least {2 * _COUNT_WIDTH}, not {store_width!r}")
        self.store_width = store_width
        self.store_words = store_words
        self.weight_width = weight_width
        self.weight_depth = weight_depth
        self.constant_width = constant_width
        self.constant_depth = constant_depth
        super().__init__({
            "start": In(1),
            "begin": In(1),
            "ready": Out(1),
            "request": Out(1),
            "address": Out(range(max(2, store_words))),
            "grant": In(1),
            "data": In(store_width),
            "weight_address": In(range(max(2, weight_depth))),
            "weight": Out(weight_width),
            "constant_address": In(range(max(2, constant_depth))),
            "constant_enable": In(1, init=1),
            "constant": Out(constant_width),
        })

    def elaborate(self, platform):
        m = Module()
        constant_parts, weight_parts = (
            -(-width // self.store_width) for width in (self.constant_width, self.weight_width))

        # What is still to be requested: the header, then what it announces.
        header = Signal(init=1)
        constants = Signal(range(self.constant_depth + 1))
        weights = Signal(range(self.weight_depth + 1))
        part = Signal(range(max(constant_parts, weight_parts)))
        taking_constants = constants.any()
        counting = Signal()
        taken = self.request & self.grant
        m.d.comb += [
            counting.eq(taking_constants | weights.any()),
            self.request.eq((header & self.start) | counting),
        ]
        part_last = part == Mux(taking_constants, constant_parts - 1, weight_parts - 1)
        with m.If(taken):
            m.d.sync += [
                header.eq(0),
                self.address.eq(Mux(self.address == self.store_words - 1, 0, self.address + 1)),
            ]
            with m.If(~header):
                m.d.sync += part.eq(Mux(part_last, 0, part + 1))

        # What the store gives 2 cycles later: header, constant or weight word, and which part of it.
        kind = Cat(taken & header, taken & taking_constants, taken & ~header & ~taking_constants)
        coming, come = Signal.like(kind), Signal.like(kind)
        coming_part, come_part = Signal.like(part), Signal.like(part)
        m.d.sync += [coming.eq(kind), come.eq(coming), coming_part.eq(part), come_part.eq(coming_part)]
        come_header, come_constant, come_weight = come
        m.d.comb += self.ready.eq(~(header | counting | coming.any() | come.any()))
        # Subtracting what also selects the difference, a counter takes one logic cell a bit, its load included.
        for count, kind_taken, start in ((constants, kind[1], 0), (weights, kind[2], _COUNT_WIDTH)):
            with m.If(come_header | (kind_taken & part_last)):
                m.d.sync += count.eq(Mux(
                    counting, count + counting.replicate(len(count)), self.data[start:start + _COUNT_WIDTH]))

        # The place in the half that is filled. The last constant is the one behind which no other is on its way.
        index = Signal(range(max(2, self.constant_depth, self.weight_depth)))
        with m.If(come_header | (come_constant & ~coming[1] & ~taking_constants)):
            m.d.sync += index.eq(0)
        with m.Elif(come.any() & (come_part == Mux(come_constant, constant_parts - 1, weight_parts - 1))):
            m.d.sync += index.eq(index + 1)

        half = Signal()
        with m.If(self.begin):
            m.d.sync += [half.eq(~half), header.eq(1)]
        for name, come_kind, read_address, read_enable, word, depth in (
            ("constant", come_constant, self.constant_address, self.constant_enable, self.constant,
             self.constant_depth),
            ("weight", come_weight, self.weight_address, 1, self.weight, self.weight_depth),
        ):
            # Each part is a memory of its own, so no word is put together before it is written.
            for number, start in enumerate(range(0, len(word), self.store_width)):
                bits = word[start:start + self.store_width]
                m.submodules[f"{name}_{number}"] = memory = SimpleDualPortMemory(width=len(bits), depth=2 * depth)
                m.d.comb += [
                    memory.read_address.eq(Cat(half, read_address)),
                    memory.read_enable.eq(read_enable),
                    bits.eq(memory.read_data),
                    memory.write_address.eq(Cat(~half, index)),
                    memory.write_enable.eq(come_kind & (come_part == number)),
                    memory.write_data.eq(self.data),
                ]
        return m

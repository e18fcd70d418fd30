"""Prefetch on the store of a word memory: every block reads its own record, and the next is ready in time."""

import random
from dataclasses import dataclass

import pytest
from amaranth import Elaboratable, Module
from amaranth.sim import Simulator

from hw.prefetch import Prefetch
from hw.word_memory import WordMemory

COLUMNS, DEPTH = 3, 40


@dataclass(frozen=True)
class Shape:
    """Widths of store, weight and constant words, and the words of a half."""

    store: int
    weight: int
    weight_depth: int
    constant: int
    constant_depth: int

    @property
    def parts(self):
        """Store words of a constant and of a weight word."""
        return -(-self.constant // self.store), -(-self.weight // self.store)


CASES = {  # constants and weight words of each record
    "two parts": (Shape(64, 128, 16, 48, 8), [(8, 16), (0, 5), (3, 0), (1, 1), (0, 0), (7, 3)]),
    "constants in parts": (Shape(48, 40, 5, 110, 3), [(3, 5), (2, 0), (1, 4)]),
    "one part": (Shape(64, 64, 9, 64, 1), [(1, 9), (0, 0), (0, 0), (1, 2)]),
    "one record": (Shape(48, 100, 7, 30, 4), [(2, 6)]),
    "header only": (Shape(64, 32, 2, 16, 2), [(0, 0)]),
}


class Joined(Elaboratable):
    """Prefetch and word memory as an accelerator joins them."""

    def __init__(self, prefetch, memory):
        self.prefetch, self.memory = prefetch, memory

    def elaborate(self, platform):
        m = Module()
        m.submodules.prefetch, m.submodules.memory = prefetch, memory = self.prefetch, self.memory
        m.d.comb += [
            memory.store_request.eq(prefetch.request),
            memory.store_address.eq(prefetch.address),
            prefetch.grant.eq(memory.store_grant),
            prefetch.data.eq(memory.store_data),
        ]
        return m


def store_of(shape, records):
    """The store's words."""
    words, mask = [], (1 << shape.store) - 1
    for constants, weights in records:
        words.append(len(constants) | len(weights) << 16)
        for values, parts in zip((constants, weights), shape.parts, strict=True):
            words += [value >> shape.store * part & mask for value in values for part in range(parts)]
    return words


def cycles_to_ready(shape, constants, weights):
    """From begin to ready where every request is granted at once."""
    words = 1 + constants * shape.parts[0] + weights * shape.parts[1]
    return words + 5 if words > 1 else 4


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("shared", "traffic"), [(False, 0.5), (True, 0), (True, 0.3), (True, 0.8)])
def test_records(name, shared, traffic):
    shape, counts = CASES[name]
    choose = random.Random(f"{name} {traffic}")
    records = [([choose.getrandbits(shape.constant) for _ in range(constants)],
                [choose.getrandbits(shape.weight) for _ in range(weights)]) for constants, weights in counts]
    store = store_of(shape, records)
    memory = WordMemory(
        columns=COLUMNS, word_bits=8, depth=DEPTH, pitch_width=2, strides=(1, 2), store_width=shape.store,
        store_words=len(store), shared=shared, contents=() if shared else store)
    prefetch = Prefetch(
        store_width=shape.store, store_words=len(store), weight_width=shape.weight, weight_depth=shape.weight_depth,
        constant_width=shape.constant, constant_depth=shape.constant_depth)
    denied = 0  # cycles in which the request was not granted

    async def tick(ctx):
        """A cycle of other traffic; what the prefetch's memories give in the next was asked for in this one."""
        nonlocal denied
        kind = choose.random()
        ctx.set(memory.read_enable, kind < traffic / 2)
        ctx.set(memory.write_enable, traffic / 2 <= kind < traffic)
        ctx.set(memory.address, choose.randrange(DEPTH))
        ctx.set(memory.write_address, choose.randrange(DEPTH))
        ctx.set(memory.write_data, [choose.getrandbits(16) for _ in range(COLUMNS)])
        denied += ctx.get(prefetch.request) and not ctx.get(prefetch.grant)
        await ctx.tick()

    async def load(ctx):
        ctx.set(memory.load_enable, 1)
        for number in range(len(store) * shape.store // 16):
            address, part = divmod(number, shape.store // 16)
            ctx.set(memory.load_address, address)
            ctx.set(memory.load_part, part)
            ctx.set(memory.load_data, store[address] >> 16 * part & 0xffff)
            assert not ctx.get(prefetch.request)
            await ctx.tick()
        ctx.set(memory.load_enable, 0)

    async def testbench(ctx):
        nonlocal denied
        if shared:
            await load(ctx)
        for _ in range(5):
            assert not ctx.get(prefetch.request) and not ctx.get(prefetch.ready)
            await ctx.tick()
        ctx.set(prefetch.start, 1)
        waited, held = 1, None
        for block in range(2 * len(records) + 2):
            record, previous = records[block % len(records)], records[block % len(records) - 1]
            limit = cycles_to_ready(shape, len(record[0]), len(record[1]))
            # This block's record is fetched while the block before it reads its own.
            begins = choose.randrange(limit + 20)
            while waited < begins or not ctx.get(prefetch.ready):
                assert ctx.get(prefetch.ready) == (waited >= limit + denied), block
                held = await read(ctx, previous if block else ([], []), held)
                waited += 1
            assert waited >= limit + denied, block
            ctx.set(prefetch.begin, 1)
            held = await read(ctx, previous if block else ([], []), held)
            ctx.set(prefetch.begin, 0)
            waited, denied = 1, 0

    async def read(ctx, record, held):
        """A cycle in which a constant and a weight word are read; returns the constant that stays."""
        constants, weights = record
        constant, weight = choose.randrange(len(constants) or 1), choose.randrange(len(weights) or 1)
        enable = choose.random() < 0.6
        ctx.set(prefetch.constant_address, constant)
        ctx.set(prefetch.constant_enable, enable)
        ctx.set(prefetch.weight_address, weight)
        await tick(ctx)
        if enable:
            held = constants[constant] if constants else None
        if held is not None:
            assert ctx.get(prefetch.constant) == held
        if weights:
            assert ctx.get(prefetch.weight) == weights[weight]
        return held

    simulator = Simulator(Joined(prefetch, memory))
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


def test_store_word_that_holds_no_header():
    with pytest.raises(ValueError, match=r"^Prefetch store_width must be at least 32, not 16$"):
        Prefetch(store_width=16, store_words=9, weight_width=8, weight_depth=4, constant_width=8, constant_depth=4)

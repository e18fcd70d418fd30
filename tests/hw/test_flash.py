"""The loader and a flash: what it writes and when, damage anywhere, a flash that is absent, and the wires between."""

import random
import re
import zlib

import pytest
from amaranth import Const, Module, ResetInserter, Signal
from amaranth.lib import wiring

from hw.flash import FlashLoader
from hw.flash_image import flash_image
from sim.flash_model import FlashModel
from tests.hw.streams import simulate

WAKE = 20


def store_of(words, seed=1):
    return random.Random(seed).randbytes(2 * words)


class Loopback(wiring.Component):
    """A loader and its flash, or another ``miso``."""

    def __init__(self, loader, flash, *, miso=None):
        self.loader = loader
        self.flash = flash
        self.miso = flash.miso if miso is None else miso
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        m.submodules.loader, m.submodules.flash = loader, flash = self.loader, self.flash
        for name in ("cs_n", "sck", "mosi"):
            m.d.comb += getattr(flash, name).eq(getattr(loader, name))
        m.d.comb += loader.miso.eq(self.miso)
        return m


def write_of(ctx, loader):
    """The write of this cycle, in a list; an empty one if there is none."""
    if not ctx.get(loader.load_enable):
        return []
    return [(ctx.get(loader.load_address), ctx.get(loader.load_part), ctx.get(loader.load_data))]


def load(dut):
    """Run until done or failed and some cycles on; the writes, the cycles to either, and both outcomes."""
    loader = dut.loader
    writes, ends = [], []

    async def testbench(ctx):
        for cycle in range(loader.attempts * loader.attempt_cycles + 50):
            found = write_of(ctx, loader)
            assert not (found and ends)
            writes.extend(found)
            if ctx.get(loader.done) or ctx.get(loader.failed):
                ends.append((cycle, ctx.get(loader.done), ctx.get(loader.failed)))
                assert cycle == ends[0][0] or (ctx.get(loader.cs_n), ctx.get(loader.sck)) == (1, 0)
            elif ends:
                raise AssertionError("done or failed does not stay")
            await ctx.tick()

    simulate(dut, testbench)
    assert ends and len({end[1:] for end in ends}) == 1
    return writes, ends[0]


def expected_writes(store, parts):
    words = [store[index] | store[index + 1] << 8 for index in range(0, len(store), 2)]
    return [(*divmod(index, parts), word) for index, word in enumerate(words)]


@pytest.mark.parametrize(("words", "parts", "offset", "half_cycles", "wake_cycles", "waits"), [
    (3, 1, 0, 1, 1, 0), (3, 3, 0x40000, 1, 16, 0), (8, 2, 0xFFFFFF - 19, 1, 17, 1), (40, 4, 0xABCDE7, 1, 72, 2),
    (33, 3, 0x345678, 2, 72, 1), (10, 2, 0x800001, 3, 48, 0), (12, 4, 0x10, 1, 600, 19),
])
def test_loads(words, parts, offset, half_cycles, wake_cycles, waits):
    store = store_of(words)
    loader = FlashLoader(words=words, parts=parts, offset=offset, half_cycles=half_cycles, wake_cycles=wake_cycles)
    assert loader.attempt_cycles == 32 * half_cycles * (6 + waits + words)
    content = store + zlib.crc32(store).to_bytes(4, "little")
    flash = FlashModel(content, offset=offset, wake_cycles=wake_cycles, delay=half_cycles)
    writes, end = load(Loopback(loader, flash))
    assert writes == expected_writes(store, parts)
    assert end == (loader.attempt_cycles, 1, 0)


@pytest.mark.parametrize("half_cycles", [2, 3])
def test_slowest_and_fastest_flash(half_cycles):
    store = store_of(6)
    image = flash_image(b"bits", store, 32)
    for delay in (1, 2 * half_cycles - 1):
        loader = FlashLoader(words=6, parts=2, offset=32, half_cycles=half_cycles, wake_cycles=WAKE)
        writes, (_, done, _) = load(Loopback(loader, FlashModel(image, wake_cycles=WAKE, delay=delay)))
        assert done and writes == expected_writes(store, 2)
    loader = FlashLoader(words=6, parts=2, offset=32, half_cycles=half_cycles, wake_cycles=WAKE)
    assert load(Loopback(loader, FlashModel(image, wake_cycles=WAKE, delay=2 * half_cycles)))[1][1:] == (0, 1)


def test_every_flipped_bit_is_found():
    """In the data and in the CRC, each in an attempt of its own; the next attempt writes everything anew."""
    words = 4
    bits = 8 * (2 * words + 4)
    image = flash_image(b"", store_of(words), 0)
    loader = FlashLoader(words=words, parts=2, offset=0, wake_cycles=WAKE, attempts=bits + 1)
    flash = FlashModel(image, wake_cycles=WAKE)
    noise = Signal()
    dut = Loopback(loader, flash, miso=flash.miso ^ noise)
    # The first byte comes in the second half of the unit before unit 0, which is the fifth.
    first = 32 * 4 + 16
    writes, expected = [], []
    for bit in range(bits + 1):
        damaged = bytearray(image)
        if bit < bits:
            damaged[bit // 8] ^= 0x80 >> bit % 8
        expected += expected_writes(damaged[:2 * words], 2)

    async def testbench(ctx):
        for cycle in range((bits + 1) * loader.attempt_cycles):
            attempt, place = divmod(cycle, loader.attempt_cycles)
            ctx.set(noise, attempt < bits and (place - first) // 2 == attempt)
            assert not ctx.get(loader.done | loader.failed)
            writes.extend(write_of(ctx, loader))
            await ctx.tick()
        assert (ctx.get(loader.done), ctx.get(loader.failed)) == (1, 0)

    simulate(dut, testbench)
    assert writes == expected


@pytest.mark.parametrize("bit", [0, 7, 200, 319, 320, 327, 351])
def test_damaged_contents(bit):
    damaged = bytearray(flash_image(b"", store_of(20), 0))
    damaged[bit // 8] ^= 1 << bit % 8
    loader = FlashLoader(words=20, parts=4, offset=0, wake_cycles=1)
    writes, end = load(Loopback(loader, FlashModel(damaged)))
    assert end == (2 * loader.attempt_cycles, 0, 1)
    assert writes == 2 * expected_writes(damaged[:40], 4)


@pytest.mark.parametrize("attempts", [1, 2, 3])
@pytest.mark.parametrize("stuck", [0, 1])
def test_absent_flash(stuck, attempts):
    loader = FlashLoader(words=4, parts=2, offset=0, wake_cycles=1, attempts=attempts)
    writes, end = load(Loopback(loader, FlashModel(b"\0"), miso=Const(stuck)))
    assert end == (attempts * loader.attempt_cycles, 0, 1)
    assert writes == attempts * expected_writes(bytes([255 * stuck] * 8), 2)


@pytest.mark.parametrize("words", range(3, 70))
def test_no_erased_store_is_right(words):
    assert zlib.crc32(b"\xFF" * 2 * words) != 0xFFFFFFFF
    assert zlib.crc32(bytes(2 * words)) != 0


@pytest.mark.parametrize("cut", [1, 60, 150, 333, 500])
def test_reset_in_mid_load(cut):
    """As by a board's button, of which the flash knows nothing."""
    store = store_of(8)
    loader = FlashLoader(words=8, parts=2, offset=7, wake_cycles=WAKE)
    reset = Signal()
    dut = Loopback(ResetInserter(reset)(loader), FlashModel(flash_image(b"", store, 7), wake_cycles=WAKE))
    writes = []

    async def testbench(ctx):
        await ctx.tick().repeat(cut)
        ctx.set(reset, 1)
        await ctx.tick().repeat(5)
        ctx.set(reset, 0)
        for _ in range(loader.attempt_cycles):
            assert not ctx.get(loader.done)
            writes.extend(write_of(ctx, loader))
            await ctx.tick()
        assert ctx.get(loader.done)

    simulate(dut, testbench)
    assert writes == expected_writes(store, 2)


def test_a_flash_that_wakes_too_late():
    """One cycle less than the flash needs, and its answer is not taken for a store."""
    image = flash_image(b"", store_of(4), 0)
    for wake, done in ((16, 1), (17, 0)):
        loader = FlashLoader(words=4, parts=1, offset=0, wake_cycles=16, attempts=1)
        assert load(Loopback(loader, FlashModel(image, wake_cycles=wake)))[1][1] == done


def test_wires():
    """Seen from the wires alone: mode 0, whole commands, the wait between them, and no edge but while selected."""
    loader = FlashLoader(words=5, parts=1, offset=0xA1B2C3, half_cycles=2, wake_cycles=100, attempts=2)
    dut = Loopback(loader, FlashModel(b"\0"), miso=Const(0))
    levels = []

    async def testbench(ctx):
        for _ in range(2 * loader.attempt_cycles + 10):
            levels.append((ctx.get(loader.cs_n), ctx.get(loader.sck), ctx.get(loader.mosi)))
            await ctx.tick()

    simulate(dut, testbench)
    commands, gaps, gap = [], [], 0
    for (cs_before, sck_before, mosi_before), (cs, sck, mosi) in zip(levels, levels[1:], strict=False):
        assert not (cs and sck)
        if cs_before and not cs:
            commands.append([])
            gaps.append(gap)
        gap = gap + 1 if cs else 0
        if sck and not sck_before:
            assert not cs and mosi == mosi_before
            commands[-1].append(mosi)
        elif mosi != mosi_before:
            assert not sck
    assert [len(bits) for bits in commands] == 2 * [8, 32 + 16 * 5 + 32 + 8]
    read = [int("".join(map(str, bits[:32])), 2) for bits in commands]
    assert [value & 0xFF for value in read[::2]] == 2 * [0xAB] and read[1::2] == 2 * [0x03A1B2C3]
    assert not any(sum(bits[32:]) for bits in commands[1::2])
    assert gaps[1] >= 100 and gaps[3] >= 100 and gaps[2] >= 32


async def command(ctx, flash, content, *, answer=0):
    """Send bytes and read ``answer`` bytes, four cycles a bit."""
    ctx.set(flash.cs_n, 0)
    taken = []
    for bit in [byte >> index & 1 for byte in content for index in range(7, -1, -1)] + 8 * answer * [0]:
        ctx.set(flash.mosi, bit)
        await ctx.tick().repeat(2)
        ctx.set(flash.sck, 1)
        taken.append(ctx.get(flash.miso))
        await ctx.tick().repeat(2)
        ctx.set(flash.sck, 0)
    await ctx.tick()
    ctx.set(flash.cs_n, 1)
    await ctx.tick().repeat(2)
    bits = "".join(map(str, taken[8 * len(content):]))
    return bytes(int(bits[index:index + 8], 2) for index in range(0, len(bits), 8))


def test_model():
    """Power-down, its commands, erased bytes around the contents, and the address's end."""
    flash = FlashModel(b"flash", offset=(1 << 24) - 4, wake_cycles=10)
    nothing = b"\xFF" * 3

    async def testbench(ctx):
        read = b"\x03\xFF\xFF\xFC"
        assert await command(ctx, flash, read, answer=3) == nothing
        await command(ctx, flash, b"\xAB")
        assert await command(ctx, flash, read, answer=3) == nothing
        await ctx.tick().repeat(10)
        assert await command(ctx, flash, read, answer=3) == b"fla"
        assert await command(ctx, flash, b"\x03\xFF\xFF\xFA", answer=6) == b"\xFF\xFFflas"
        assert await command(ctx, flash, b"\x03\xFF\xFF\xFE", answer=5) == b"ash\xFF\xFF"
        assert await command(ctx, flash, b"\x9F\xFF\xFF\xFC", answer=3) == nothing
        await command(ctx, flash, b"\xB9\x00")
        assert await command(ctx, flash, read, answer=3) == b"fla"
        await command(ctx, flash, b"\xB9")
        assert await command(ctx, flash, read, answer=3) == nothing
        await command(ctx, flash, b"\xAB\x00")
        await ctx.tick().repeat(10)
        assert await command(ctx, flash, read, answer=3) == nothing

    simulate(flash, testbench)


@pytest.mark.parametrize(("changes", "message"), [
    ({"words": 2}, "FlashLoader words must be an integer of at least 3, not 2"),
    ({"parts": 0}, "FlashLoader parts must be an integer of at least 1, not 0"),
    ({"wake_cycles": 7.2}, "FlashLoader wake_cycles must be an integer of at least 1, not 7.2"),
    ({"attempts": 0}, "FlashLoader attempts must be an integer of at least 1, not 0"),
    ({"half_cycles": 0}, "FlashLoader half_cycles must be an integer of at least 1, not 0"),
    ({"parts": 4}, "FlashLoader words must be whole store words of 4 parts, not 6"),
    ({"offset": -1}, "FlashLoader offset must be an integer of at least 0, not -1"),
    ({"offset": 0xFFFFF1},
     "FlashLoader offset must leave room for 6 words and the CRC below 16777216, not 16777201"),
])
def test_errors(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        FlashLoader(**{"words": 6, "parts": 2, "offset": 0, "wake_cycles": 10} | changes)

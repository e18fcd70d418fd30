"""A model of an SPI NOR flash in Amaranth, so that a bench with it needs no Python at the clock."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["FlashModel"]

RELEASE_POWER_DOWN = 0xAB
POWER_DOWN = 0xB9
READ = 0x03


class FlashModel(wiring.Component):
    """SPI mode 0 as the rest of the design sees it, at the design's clock: each half of ``sck`` lasts a cycle or more.

    It starts in power-down, as an iCE40 leaves its flash once it is configured, and then knows 0xAB only. It knows
    0xAB and 0xB9, obeyed as ``cs_n`` rises if exactly eight bits came, and 0x03 with a 24-bit address, which counts on
    and begins again at 0 after its last. Any other command is ignored, as is one that comes before the flash is awake.

    Latency: ``miso`` changes ``delay`` cycles after the first cycle with ``sck`` low.

    Parameters
    ----------
    contents : bytes
        What the flash holds from byte address ``offset`` on; every other byte is 0xFF.
    offset : int
    wake_cycles : int
        Cycles that ``cs_n`` must be high after the release before a command is obeyed, at least 1.
    delay : int
        Clock to output, at least 1.

    Members
    -------
    cs_n, sck, mosi : In(1)
    miso : Out(1)
        1 while nothing is read, as with a pull-up.
    """

    def __init__(self, contents, *, offset=0, wake_cycles=1, delay=1):
        self.contents = bytes(contents)
        self.offset = offset
        self.wake_cycles = wake_cycles
        self.delay = delay
        super().__init__({"cs_n": In(1, init=1), "sck": In(1), "mosi": In(1), "miso": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=8, depth=len(self.contents), init=self.contents)
        byte = memory.read_port(domain="comb")

        cs_before, sck_before = Signal(init=1), Signal()
        m.d.sync += [cs_before.eq(self.cs_n), sck_before.eq(self.sck)]
        rises, falls = self.sck & ~sck_before & ~self.cs_n, ~self.sck & sck_before & ~self.cs_n

        # What came since cs_n fell; bits are counted to a command and its address.
        word = Signal(32)
        count = Signal(range(34))
        with m.If(self.cs_n):
            m.d.sync += count.eq(0)
        with m.Elif(rises & (count != 33)):
            m.d.sync += [word.eq(Cat(self.mosi, word)), count.eq(count + 1)]

        # Power-down, and the time that leaving it takes.
        waiting = Signal(range(max(2, self.wake_cycles)))
        asleep = Signal(init=1)
        ready = ~asleep & (waiting == 0)
        with m.If(waiting != 0):
            m.d.sync += waiting.eq(waiting - 1)
        with m.If(self.cs_n & ~cs_before & (count == 8)):
            with m.If(word[:8] == RELEASE_POWER_DOWN):
                m.d.sync += [asleep.eq(0), waiting.eq(self.wake_cycles - 1)]
            with m.Elif((word[:8] == POWER_DOWN) & ready):
                m.d.sync += asleep.eq(1)

        # Whether a command is obeyed is known as it begins.
        obeyed = Signal()
        with m.If(cs_before):
            m.d.sync += obeyed.eq(ready)
        reading, bit = Signal(), Signal(range(8))
        address = Signal(24)
        place = Signal(24)
        level, inside = Signal(init=1), Signal()
        m.d.comb += [
            place.eq(address - self.offset),
            inside.eq(place < len(self.contents)),
            byte.addr.eq(place),
        ]
        with m.If(self.cs_n):
            m.d.sync += [reading.eq(0), bit.eq(0), level.eq(1)]
        with m.Elif(rises & (count == 31) & (word[23:31] == READ) & obeyed):
            m.d.sync += [reading.eq(1), address.eq(Cat(self.mosi, word))]
        with m.Elif(falls & reading):
            m.d.sync += [level.eq(Mux(inside, byte.data.bit_select(~bit, 1), 1)), bit.eq(bit + 1)]
            with m.If(bit == 7):
                m.d.sync += address.eq(address + 1)

        for _ in range(self.delay - 1):
            later = Signal(init=1)
            m.d.sync += later.eq(level)
            level = later
        m.d.comb += self.miso.eq(level)
        return m

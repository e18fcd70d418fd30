"""From SPI flash to the large RAMs at start: a loader that copies the store and checks its CRC-32."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.flash_image import FLASH_BYTES, LEAST_STORE_WORDS

__all__ = ["FlashLoader"]

RELEASE_POWER_DOWN = 0xAB
READ = 0x03
#: CRC-32 of IEEE 802.3, lowest bit first.
POLYNOMIAL = 0xEDB88320


class FlashLoader(wiring.Component):
    """Copies a store from an SPI flash to a ``WordMemory``'s load port once after reset, and checks its CRC.

    An attempt wakes the flash, waits, and reads the store and its CRC-32 in one go; ``hw.flash_image`` lays them out.
    A wrong CRC is followed by the next attempt from the beginning, the last one's by ``failed``.

    Time is divided into slots of one bit (``2 * half_cycles`` cycles, SPI mode 0) and units of 16 slots. Before the
    store's words come 4 units and as many whole ones as the wait takes beyond half a unit; after them come 2 units in
    which the CRC is compared.

    Latency: ``done`` or ``failed`` is 1 ``k * attempt_cycles`` cycles after reset's end, k the attempts taken;
    ``attempt_cycles = 32 * half_cycles * (6 + waits + words)``,
    ``waits = max(0, ceil((wake_cycles - 16 * half_cycles) / (32 * half_cycles)))``.

    Parameters
    ----------
    words : int
        16-bit words of the store, at least 3, whole store words.
    parts : int
        16-bit parts of a store word.
    offset : int
        The store's byte address in the flash.
    wake_cycles : int
        Cycles that the flash needs from the end of the release from power-down to the next command: 3 us for the
        W25Q128JV.
    half_cycles : int
        Cycles of half a period of ``sck``.
    attempts : int

    Members
    -------
    cs_n, sck, mosi : Out(1)
        To the flash, from registers.
    miso : In(1)
        From the flash. Taken at the end of ``sck``'s high half, so it may come up to nearly a whole period after the
        falling edge.
    load_enable : Out(1)
        One cycle a word. A failed attempt writes too; the next one overwrites it.
    load_address, load_part, load_data : Out
        The store word, which 16 bits of it (0: the lowest), and they. From part 0 of store word 0 on.
    done : Out(1)
        The store is loaded and its CRC right. Stays.
    failed : Out(1)
        The CRC was wrong in every attempt. Stays.

    Raises
    ------
    ValueError
        For a number out of range.
    """

    def __init__(self, *, words, parts, offset, wake_cycles, half_cycles=1, attempts=2):
        for name, value, least in (("words", words, LEAST_STORE_WORDS), ("parts", parts, 1), ("offset", offset, 0),
                                   ("wake_cycles", wake_cycles, 1), ("half_cycles", half_cycles, 1),
                                   ("attempts", attempts, 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"FlashLoader {name} must be an integer of at least {least}, not {value!r}")
        if words % parts:
            raise ValueError(f"FlashLoader words must be whole store words of {parts} parts, not {words}")
        if offset + 2 * words + 4 > FLASH_BYTES:
            raise ValueError(f"FlashLoader offset must leave room for {words} words and the CRC below {FLASH_BYTES}, "
                             f"not {offset}")
        self.words = words
        self.parts = parts
        self.offset = offset
        self.wake_cycles = wake_cycles
        self.half_cycles = half_cycles
        self.attempts = attempts
        # Half a unit of the wait is before the read command, in its unit.
        self._preamble = 4 + max(0, -(-(wake_cycles - 16 * half_cycles) // (32 * half_cycles)))
        super().__init__({
            "cs_n": Out(1, init=1),
            "sck": Out(1),
            "mosi": Out(1),
            "miso": In(1),
            "load_enable": Out(1),
            "load_address": Out(range(max(2, words // parts))),
            "load_part": Out(range(max(2, parts))),
            "load_data": Out(16),
            "done": Out(1),
            "failed": Out(1),
        })

    @property
    def attempt_cycles(self):
        """Cycles of one attempt."""
        return 32 * self.half_cycles * (self._preamble + self.words + 2)

    def elaborate(self, platform):
        m = Module()
        # Slots: one bit each, the first half with sck low.
        high, turn = Signal(), Signal()
        tick = Signal()
        slot = Signal(range(16))
        self._divide(m, turn)
        with m.If(turn):
            m.d.sync += [high.eq(~high), self.sck.eq(~high & ~self.cs_n)]
        m.d.comb += tick.eq(turn & high & ~self.done & ~self.failed)
        half_ends, unit_ends = tick & (slot == 7), tick & (slot == 15)

        # Units: number u >= 0 takes word u's high byte and word u + 1's low byte from the line, and gives word u to
        # memory and CRC. The number is split into a store address and a part; those before the first are negative.
        wake, read = -self._preamble, -3
        last_address, last_part = divmod(self.words - 1, self.parts)
        least = bits_for(wake // self.parts)
        width = max(bits_for(last_address + 2) + 1, least)
        address = Signal(width, init=(wake // self.parts) % (1 << width))
        part = Signal(range(max(2, self.parts)), init=wake % self.parts)
        preamble = address[-1]

        def preamble_unit(unit):
            return preamble & (address[:least] == (unit // self.parts) % (1 << least)) & (part == unit % self.parts)

        checking, final = Signal(), Signal()
        with m.If(tick):
            m.d.sync += slot.eq(slot + 1)
        with m.If(unit_ends):
            if self.parts == 1:
                # Two units are checked, whose addresses differ in the lowest bit.
                m.d.comb += final.eq(checking & (address[0] == last_address % 2))
                m.d.sync += address.eq(address + 1)
            else:
                m.d.comb += final.eq(checking & (part == 1))
                m.d.sync += part.eq(part + 1)
                with m.If(part == last_part):
                    m.d.sync += [part.eq(0), address.eq(address + 1)]
            with m.If((address == last_address) & (part == last_part)):
                m.d.sync += checking.eq(1)
        with m.If(final):
            m.d.sync += [address.eq(address.init), part.eq(part.init), checking.eq(0)]

        # Both commands begin in the middle of their unit.
        with m.If(half_ends & (preamble_unit(wake) | preamble_unit(read))):
            m.d.sync += self.cs_n.eq(0)
        with m.If((unit_ends & preamble_unit(wake)) | final):
            m.d.sync += self.cs_n.eq(1)
        sent = {wake: RELEASE_POWER_DOWN, read: READ, -2: self.offset >> 8, -1: (self.offset & 0xFF) << 8}
        # Prepared one slot ahead: the register holds it when the slot begins.
        ahead = [divmod(16 * unit + index - 1, 16) for unit, bits in sent.items()
                 for index in range(16) if bits >> (15 - index) & 1]
        with m.If(tick):
            m.d.sync += self.mosi.eq(Cat(preamble_unit(unit) & (slot == index) for unit, index in ahead).any())

        received = Signal(16, reset_less=True)
        with m.If(tick):
            m.d.sync += received.eq(Cat(self.miso, received))
        m.d.sync += self.load_enable.eq(half_ends & ~preamble & ~checking)
        m.d.comb += [
            self.load_address.eq(address), self.load_part.eq(part), self.load_data.eq(Cat(received[8:], received[:8])),
        ]
        wrong = self._check(m, tick, preamble, checking, received, slot)
        self._conclude(m, final, wrong)
        return m

    def _divide(self, m, turn):
        """``turn`` is 1 in the last cycle of each half period."""
        if self.half_cycles == 1:
            m.d.comb += turn.eq(1)
        else:
            cycle = Signal(range(self.half_cycles))
            m.d.comb += turn.eq(cycle == self.half_cycles - 1)
            m.d.sync += cycle.eq(Mux(turn, 0, cycle + 1))

    def _check(self, m, tick, preamble, checking, received, slot):
        """The CRC takes a bit a slot; returns whether it was wrong so far, this slot's bit included."""
        crc = Signal(32, reset_less=True)
        bad = Signal(reset_less=True)
        wrong, bit, feedback = Signal(), Signal(), Signal()
        # The flash sends a byte's highest bit first, the CRC begins with the lowest: as a byte moves up by one position
        # a slot, its bit k is at position 2 k when its turn comes.
        m.d.comb += [
            bit.eq(received[::2].bit_select(slot[:3], 1)),
            # The CRC is sent inverted.
            wrong.eq(bad | (checking & (bit == crc[0]))),
            feedback.eq((bit ^ crc[0]) & ~checking),
        ]
        with m.If(tick):
            with m.If(preamble):
                m.d.sync += [crc.eq(0xFFFFFFFF), bad.eq(0)]
            with m.Else():
                m.d.sync += [crc.eq(crc[1:] ^ Mux(feedback, POLYNOMIAL, 0)), bad.eq(wrong)]
        return wrong

    def _conclude(self, m, end, wrong):
        attempt = Signal(range(self.attempts))
        with m.If(end):
            with m.If(~wrong):
                m.d.sync += self.done.eq(1)
            with m.Elif(attempt == self.attempts - 1):
                m.d.sync += self.failed.eq(1)
            with m.Else():
                m.d.sync += attempt.eq(attempt + 1)

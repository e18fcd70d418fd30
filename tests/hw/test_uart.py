"""The UART's two halves against a line in Python: bytes, speeds that are off, noise, framing errors, exact timing."""

import random
import re

import pytest
from amaranth import Module
from amaranth.lib import wiring

from hw.uart import UartReceiver, UartTransmitter
from tests.hw.streams import SerialLine, simulate, stream_put


def receive(dut, drive):
    """Run ``drive(ctx, line)`` and return the bytes and errors (``None``) that the receiver gave."""
    line = SerialLine(dut.rx, None, bit=dut.divisor)
    found = []

    async def testbench(ctx):
        await ctx.tick().repeat(3)
        await drive(ctx, line)
        await ctx.tick().repeat(12 * dut.divisor)

    async def watch(ctx):
        async for _, _, data, valid, error in ctx.tick().sample(dut.data, dut.valid, dut.error):
            assert not valid or not error
            if valid or error:
                found.append(data if valid else None)

    simulate(dut, testbench, background=[watch])
    return found


@pytest.mark.parametrize(("divisor", "bit", "count"), [
    (4, 4, 40), (5, 5, 40), (7, 7, 40), (24, 24, 20), (208, 208, 3),
    # Lines that are too slow or too fast by 3 %.
    (24, 24.72, 20), (24, 23.28, 20), (104, 107.1, 5), (104, 100.9, 5),
])
def test_bytes_without_gaps(divisor, bit, count):
    choose = random.Random(divisor)
    content = bytes([0x00, 0xFF, 0x55, *(choose.getrandbits(8) for _ in range(count))])

    async def drive(ctx, line):
        line.bit = bit
        await line.send(ctx, content)

    assert receive(UartReceiver(divisor=divisor), drive) == list(content)


def test_low_stop_bit_is_an_error_and_the_next_byte_is_right():
    async def drive(ctx, line):
        await line.send(ctx, b"\x12")
        await line.send(ctx, b"\x34", stop=0)
        await ctx.tick().repeat(12 * 8)
        await line.send(ctx, b"\x56")

    # The receiver takes the rest of the low stop bit for a start bit that is gone by its middle.
    assert receive(UartReceiver(divisor=8), drive) == [0x12, None, 0x56]


def test_line_held_low_gives_errors_only():
    async def drive(ctx, line):
        ctx.set(line.rx, 0)
        await ctx.tick().repeat(8 * 35)
        ctx.set(line.rx, 1)
        await ctx.tick().repeat(8 * 12)
        await line.send(ctx, b"\xA5")

    *errors, last = receive(UartReceiver(divisor=8), drive)
    assert last == 0xA5
    assert errors[:3] == [None] * 3
    assert len(errors) == 4  # the fourth begins while the line is low and ends with it high: a byte
    assert errors[3] not in (None, 0xA5)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_short_pulse_is_ignored(length):
    async def drive(ctx, line):
        ctx.set(line.rx, 0)
        await ctx.tick().repeat(length)
        ctx.set(line.rx, 1)
        await ctx.tick().repeat(16)
        await line.send(ctx, b"\x3C")

    assert receive(UartReceiver(divisor=16), drive) == [0x3C]


@pytest.mark.parametrize("divisor", [4, 5, 16])
def test_receiver_latency(divisor):
    dut = UartReceiver(divisor=divisor)
    line = SerialLine(dut.rx, None, bit=divisor)

    async def drive(ctx):
        await line.send(ctx, b"\x96")

    async def count(ctx):
        cycles = 0
        while not ctx.get(dut.valid):
            await ctx.tick()
            cycles += 1
        assert cycles == 9 * divisor + divisor // 2 + 3
        assert ctx.get(dut.data) == 0x96
        await ctx.tick()
        assert not ctx.get(dut.valid)
        assert ctx.get(dut.data) == 0x96

    simulate(dut, drive, count)


@pytest.mark.parametrize("divisor", [4, 5, 16])
def test_transmitter_waveform(divisor):
    """Every cycle of two bytes that are offered at once, from the transfer on."""
    dut = UartTransmitter(divisor=divisor)
    expected = []
    for byte in (0xA7, 0x00):
        bits = [0, *(byte >> index & 1 for index in range(8)), 1]
        expected += [level for level in bits for _ in range(divisor)] + [1]

    async def put(ctx):
        for byte in (0xA7, 0x00):
            await stream_put(ctx, dut.i, byte)

    async def watch(ctx):
        await ctx.tick()
        for level in [*expected, 1, 1]:
            assert ctx.get(dut.tx) == level
            await ctx.tick()

    simulate(dut, put, watch)


def test_line_is_high_before_the_first_byte():
    dut = UartTransmitter(divisor=4)

    async def testbench(ctx):
        for _ in range(10):
            assert ctx.get(dut.tx)
            assert ctx.get(dut.i.ready)
            await ctx.tick()

    simulate(dut, testbench)


@pytest.mark.parametrize("divisor", [4, 9])
def test_loop(divisor):
    choose = random.Random(divisor)
    content = [choose.getrandbits(8) for _ in range(50)]

    class Loop(wiring.Component):
        transmitter = UartTransmitter(divisor=divisor)
        receiver = UartReceiver(divisor=divisor)

        def __init__(self):
            super().__init__({})

        def elaborate(self, platform):
            m = Module()
            m.submodules += [self.transmitter, self.receiver]
            m.d.comb += self.receiver.rx.eq(self.transmitter.tx)
            return m

    dut = Loop()

    async def put(ctx):
        for byte in content:
            await stream_put(ctx, dut.transmitter.i, byte)

    async def get(ctx):
        for byte in content:
            found, = await ctx.tick().sample(dut.receiver.data).until(dut.receiver.valid)
            assert found == byte

    simulate(dut, put, get)


@pytest.mark.parametrize("component", [UartReceiver, UartTransmitter])
@pytest.mark.parametrize("divisor", [3, 0, 4.0, None])
def test_errors(component, divisor):
    message = f"{component.__name__} divisor must be an integer of at least 4 clock cycles, not {divisor!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        component(divisor=divisor)

"""What test benches of streams and serial lines share: drivers, receivers, and a check of the rules of AXI4-Stream.

What runs in the background waits for single ticks: Amaranth cannot stop a testbench in ``until`` or ``repeat``.
"""

from amaranth.sim import Simulator

__all__ = ["SerialLine", "axi_watch", "simulate", "stream_get", "stream_put"]


def simulate(dut, *testbenches, background=()):
    """Run testbenches to their end on a clocked component; ``background`` are those that may still wait then."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for testbench in testbenches:
        simulator.add_testbench(testbench)
    for testbench in background:
        simulator.add_testbench(testbench, background=True)
    simulator.run()


async def stream_put(ctx, stream, payload):
    """Offer one payload until it is taken."""
    ctx.set(stream.payload, payload)
    ctx.set(stream.valid, 1)
    await ctx.tick().until(stream.ready)
    ctx.set(stream.valid, 0)


async def stream_get(ctx, stream):
    """Take one payload."""
    ctx.set(stream.ready, 1)
    payload, = await ctx.tick().sample(stream.payload).until(stream.valid)
    ctx.set(stream.ready, 0)
    return payload


def axi_watch(stream):
    """A testbench that fails if an offer changes or goes before it is taken."""
    async def watch(ctx):
        held = None
        ticks = ctx.tick().sample(stream.tvalid, stream.tready, stream.tdata, stream.tlast, stream.tuser)
        async for _, _, valid, ready, *payload in ticks:
            assert held is None or valid and payload == held, f"{held} was withdrawn"
            held = payload if valid and not ready else None
    return watch


class SerialLine:
    """The host's end of a serial line: ``rx`` is the device's input, ``tx`` its output.

    ``bit`` is the length of a bit in clock cycles, for sending; it need not be whole. ``received`` are the bytes of
    ``tx`` as ``listen``, a background testbench, sees them; it checks their stop bits.
    """

    def __init__(self, rx, tx, *, bit):
        self.rx = rx
        self.tx = tx
        self.bit = bit
        self.received = bytearray()

    async def send(self, ctx, content, *, stop=1):
        """Send bytes without a gap; ``stop`` is the level of their stop bits."""
        levels = [level for byte in content for level in (0, *(byte >> index & 1 for index in range(8)), stop)]
        for index, level in enumerate(levels):
            ctx.set(self.rx, level)
            await ctx.tick().repeat(round((index + 1) * self.bit) - round(index * self.bit))
        ctx.set(self.rx, 1)

    async def listen(self, ctx):
        levels = []
        async for *_, level in ctx.tick().sample(self.tx):
            if levels or not level:
                levels.append(level)
            if len(levels) == 10 * self.bit:
                *word, stop = levels[self.bit // 2::self.bit]
                assert stop, "a stop bit is low"
                self.received.append(sum(level << index for index, level in enumerate(word[1:])))
                levels.clear()

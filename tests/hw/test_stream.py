"""The stream buffer against a list: every payload once, in order, at full speed."""

import random

import pytest
from amaranth.lib import data

from hw.stream import StreamBuffer
from tests.hw.streams import simulate, stream_get, stream_put


@pytest.mark.parametrize(("gaps", "stalls"), [(0, 0), (0.5, 0), (0, 0.5), (0.5, 0.5), (0.9, 0.1), (0.1, 0.9)])
def test_payloads_arrive_once_and_in_order(gaps, stalls):
    dut = StreamBuffer(8)
    choose = random.Random(int(100 * gaps + 10 * stalls))
    sent = [choose.getrandbits(8) for _ in range(200)]

    async def put(ctx):
        for payload in sent:
            while choose.random() < gaps:
                await ctx.tick()
            await stream_put(ctx, dut.i, payload)

    async def get(ctx):
        received = []
        while len(received) < len(sent):
            while choose.random() < stalls:
                await ctx.tick()
            received.append(await stream_get(ctx, dut.o))
        assert received == sent
        for _ in range(5):
            await ctx.tick()
            assert not ctx.get(dut.o.valid)

    simulate(dut, put, get)


def test_latency_and_throughput():
    """Payload k goes in in cycle k and comes out in cycle k + 1."""
    dut = StreamBuffer(8)

    async def testbench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for cycle in range(20):
            ctx.set(dut.i.payload, cycle)
            assert ctx.get(dut.i.ready)
            assert ctx.get(dut.o.valid) == (cycle > 0)
            assert cycle == 0 or ctx.get(dut.o.payload) == cycle - 1
            await ctx.tick()

    simulate(dut, testbench)


def test_holds_two_and_no_more():
    dut = StreamBuffer(8)

    async def testbench(ctx):
        for payload in (10, 20):
            await stream_put(ctx, dut.i, payload)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload, 30)
        for _ in range(3):
            assert not ctx.get(dut.i.ready)
            await ctx.tick()
        # Ready on one side is not seen on the other in the same cycle.
        ctx.set(dut.o.ready, 1)
        assert not ctx.get(dut.i.ready)
        for index, payload in enumerate((10, 20, 30)):
            assert (ctx.get(dut.o.valid), ctx.get(dut.o.payload)) == (1, payload)
            await ctx.tick()
            # The third went in with the first cycle in which there was room.
            ctx.set(dut.i.valid, index == 0)
        assert not ctx.get(dut.o.valid)

    simulate(dut, testbench)


def test_structured_payload():
    dut = StreamBuffer(data.StructLayout({"low": 3, "high": 5}))

    async def testbench(ctx):
        await stream_put(ctx, dut.i, {"low": 5, "high": 17})
        payload = await stream_get(ctx, dut.o)
        assert (payload.low, payload.high) == (5, 17)

    simulate(dut, testbench)


def test_payload_without_a_shape():
    with pytest.raises(TypeError, match="cannot be converted to an Amaranth shape"):
        StreamBuffer("byte")

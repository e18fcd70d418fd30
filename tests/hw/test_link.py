"""The serial link between a line and an accelerator in Python: what reaches the accelerator, what is replied."""

import io
import re

import pytest
from amaranth import ResetInserter, Signal

from hw.link import UartLink
from hw.protocol import START, Status, decode_reply, encode_request, read_reply
from tests.hw.streams import SerialLine, axi_watch, simulate

DIVISOR = 4
BYTE = 10 * DIVISOR
TIMEOUT = 3 * BYTE
PAYLOAD, RESULT = 5, 3
#: Longer than anything takes to be answered.
PATIENCE = TIMEOUT + 10 * BYTE

#: A request of A contains no START but its first byte; one of B has two in its payload.
A, B, C = b"hello", b"\xA5\x5A\x00\xFF\xA5", bytes(5)


def result_of(payload):
    """What the accelerator in Python makes of a frame."""
    return bytes((sum(payload) + index) & 0xFF for index in range(RESULT))


class Bench:
    """A link, the host's line, and an accelerator that keeps ``frames`` as (bytes, bad) and answers the good ones."""

    def __init__(self, *, payload=PAYLOAD, delay=0):
        self.dut = UartLink(payload_bytes=payload, result_bytes=RESULT, divisor=DIVISOR, timeout=TIMEOUT)
        self.line = SerialLine(self.dut.rx, self.dut.tx, bit=DIVISOR)
        self.delay = delay
        self.reset = Signal()
        self.frames = []

    def run(self, testbench, *background):
        assert START not in encode_request(A)[1:]
        simulate(ResetInserter(self.reset)(self.dut), testbench, background=[
            self.line.listen, self._accelerate, axi_watch(self.dut.o), *background])

    async def _accelerate(self, ctx):
        """Keep what comes, and after ``delay`` cycles send the results of good frames, one after the other."""
        o, i = self.dut.o, self.dut.i
        frame, due, cycle = bytearray(), [], 0
        ticks = ctx.tick().sample(o.tvalid & o.tready, o.tdata, o.tlast, o.tuser, i.tvalid & i.tready, self.reset)
        async for _, _, taken, data, last, bad, sent, reset in ticks:
            cycle += 1
            if reset:
                frame.clear()
            elif taken:
                frame.append(data)
                if last:
                    self.frames.append((bytes(frame), bool(bad)))
                    result = [] if bad else result_of(frame)
                    due += [(cycle + self.delay, byte, index == RESULT - 1) for index, byte in enumerate(result)]
                    frame.clear()
            if sent:
                del due[0]
            offer = bool(due) and due[0][0] <= cycle
            ctx.set(i.tvalid, offer)
            if offer:
                ctx.set(i.tdata, due[0][1])
                ctx.set(i.tlast, due[0][2])

    def replies(self):
        """Everything that came back, as (status, result)."""
        stream, found = io.BytesIO(self.line.received), []
        while stream.tell() < len(self.line.received):
            found.append(decode_reply(read_reply(stream.read, RESULT), RESULT))
        return found


def send(content, **options):
    return lambda bench, ctx: bench.line.send(ctx, content, **options)


def wait(cycles=PATIENCE):
    async def idle(bench, ctx):
        await ctx.tick().repeat(cycles)
    return idle


def accept(ready):
    async def change(bench, ctx):
        ctx.set(bench.dut.o.tready, ready)
    return change


def good(payload):
    return send(encode_request(payload))


def without(payload, index):
    frame = encode_request(payload)
    return send(frame[:index] + frame[index + 1:])


def changed(payload, index, byte):
    frame = bytearray(encode_request(payload))
    frame[index] = byte
    return send(bytes(frame))


def low_stop(payload, index):
    """One byte's stop bit is low."""
    frame = encode_request(payload)

    async def drive(bench, ctx):
        await bench.line.send(ctx, frame[:index])
        await bench.line.send(ctx, frame[index:index + 1], stop=0)
        await bench.line.send(ctx, frame[index + 1:])
    return drive


async def pulse(bench, ctx):
    ctx.set(bench.dut.rx, 0)
    await ctx.tick()
    ctx.set(bench.dut.rx, 1)
    await ctx.tick().repeat(DIVISOR)


#: What is done, and what comes of it: the payload of a good request, or an error.
SCENARIOS = {
    "one request": ([good(A)], [A]),
    "bytes that look like START and STOP": ([good(B), wait(), good(C)], [B, C]),
    "requests without a gap": ([good(A), good(B), good(C)], [A, B, C]),
    "noise before START": ([send(b"\x00\x5A\xFF"), good(A), send(b"\x01"), good(B)], [A, B]),
    "a damaged byte outside of a request": ([send(b"\xA5", stop=0), wait(), good(A)], [A]),
    "a pulse on the line": ([good(A), wait(), pulse, good(B)], [A, B]),
    "wrong payload": ([changed(A, 2, 0x00), good(B)], [Status.CRC, B]),
    "wrong last byte": ([changed(A, 5, 0x00), good(B)], [Status.CRC, B]),
    "wrong CRC, low byte": ([changed(A, 6, 0x00), good(B)], [Status.CRC, B]),
    "wrong CRC, high byte": ([changed(A, 7, 0x00), good(B)], [Status.CRC, B]),
    "two wrong CRCs with a pause": ([changed(A, 6, 0), wait(), changed(A, 7, 0), wait(), good(B)],
                                    [Status.CRC, Status.CRC, B]),
    "wrong STOP": ([changed(A, 8, 0x5B), wait(), good(B)], [Status.FRAMING, B]),
    "START instead of STOP": ([changed(A, 8, START), wait(), good(B)], [Status.FRAMING, B]),
    "START alone": ([send(b"\xA5"), wait(), good(A)], [Status.TIMEOUT, A]),
    "a byte too many": ([send(encode_request(A)[:3] + b"x" + encode_request(A)[3:]), wait(), good(B)],
                        [Status.FRAMING, B]),
    "a slow host": ([send(encode_request(A)[:4]), wait(TIMEOUT - BYTE - 10), send(encode_request(A)[4:])], [A]),
    "a host that is too slow": ([send(encode_request(A)[:4]), wait(), send(encode_request(A)[4:]), wait(), good(B)],
                                [Status.TIMEOUT, B]),
    "a byte damaged, then what looks like a request": ([low_stop(B, 2), good(A), wait(), good(C)], [Status.FRAMING, C]),
    "an accelerator that does not take the frame": (
        [accept(0), good(A), wait(), accept(1), wait(), good(B)], [Status.OVERRUN, B]),
    "an accelerator that stops in mid-frame": (
        [send(encode_request(A)[:3]), accept(0), send(encode_request(A)[3:]), wait(), accept(1), wait(), good(B)],
        [Status.OVERRUN, B]),
    "an accelerator that takes the last byte late": (
        [send(encode_request(A)[:-1]), accept(0), send(b"\x5A"), wait(), accept(1), wait(), good(B)], [A, B]),
    "the next request while the last byte waits": (
        [send(encode_request(A)[:-1]), accept(0), send(b"\x5A"), send(encode_request(B)[:1]), accept(1),
         send(encode_request(B)[1:])], [A, B]),
    **{f"byte {index} lost": ([without(A, index), wait(), good(B)], [Status.TIMEOUT, B]) for index in range(1, 9)},
    **{f"low stop bit of byte {index}": ([low_stop(A, index), wait(), good(B)], [Status.FRAMING, B])
       for index in (1, 5, 6, 8)},
}


def check(bench, outcomes):
    """Each request ends in one frame, bad if an error is reported, and has one reply."""
    assert [bad for _, bad in bench.frames] == [isinstance(outcome, Status) for outcome in outcomes]
    assert [frame for frame, bad in bench.frames if not bad] == [outcome for outcome in outcomes
                                                                if not isinstance(outcome, Status)]
    assert bench.replies() == [(outcome, b"") if isinstance(outcome, Status) else (Status.OK, result_of(outcome))
                               for outcome in outcomes]


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    events, outcomes = SCENARIOS[name]
    bench = Bench()

    async def testbench(ctx):
        ctx.set(bench.dut.o.tready, 1)
        for event in events:
            await event(bench, ctx)
        await ctx.tick().repeat(PATIENCE)
        check(bench, outcomes)

    bench.run(testbench)


def test_lost_start():
    """A request without START is noise; what looks like one in its payload begins a request that breaks off."""
    bench = Bench()

    async def testbench(ctx):
        ctx.set(bench.dut.o.tready, 1)
        await without(A, 0)(bench, ctx)
        await ctx.tick().repeat(PATIENCE)
        check(bench, [])
        await without(B, 0)(bench, ctx)
        await ctx.tick().repeat(PATIENCE)
        check(bench, [Status.TIMEOUT])

    bench.run(testbench)


@pytest.mark.parametrize("damage", [None, Status.CRC, Status.TIMEOUT])
def test_payload_of_one_byte(damage):
    bench = Bench(payload=1)
    first = {None: good(b"x"), Status.CRC: changed(b"x", 1, 0), Status.TIMEOUT: without(b"x", 1)}[damage]

    async def testbench(ctx):
        ctx.set(bench.dut.o.tready, 1)
        for event in (first, wait(), good(b"y"), wait()):
            await event(bench, ctx)
        check(bench, [damage or b"x", b"y"])

    bench.run(testbench)


@pytest.mark.parametrize("phase", [0, 7, 20, 39])
def test_accelerator_that_takes_one_byte_in_the_time_of_one(phase):
    bench = Bench()

    async def testbench(ctx):
        await ctx.tick().repeat(phase + 1)
        for payload in (A, B):
            await good(payload)(bench, ctx)
        await ctx.tick().repeat(PATIENCE)
        check(bench, [A, B])

    async def take(ctx):
        while True:
            ctx.set(bench.dut.o.tready, 1)
            await ctx.tick()
            ctx.set(bench.dut.o.tready, 0)
            for _ in range(BYTE - 1):
                await ctx.tick()

    bench.run(testbench, take)


#: What is sent while the store is not there; a silence follows each, for those that break off.
REQUESTS = {
    "good": (good(A), None), "wrong CRC": (changed(A, 6, 0), Status.CRC),
    "wrong STOP": (changed(A, 8, 0), Status.FRAMING), "byte lost": (without(A, 4), Status.TIMEOUT),
    "low stop bit": (low_stop(A, 3), Status.FRAMING),
}


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize(("busy", "fault", "status"), [
    (1, 0, Status.NOT_READY), (0, 1, Status.STORE_DAMAGED), (1, 1, Status.STORE_DAMAGED),
])
def test_without_a_store(busy, fault, status, request_name):
    """Every request is refused, good or bad, again and again; afterwards all is as before."""
    request, error = REQUESTS[request_name]
    bench = Bench()

    async def testbench(ctx):
        ctx.set(bench.dut.o.tready, 1)
        ctx.set(bench.dut.busy, busy)
        ctx.set(bench.dut.fault, fault)
        for event in (request, wait(), request, wait()):
            await event(bench, ctx)
        assert bench.replies() == 2 * [(status, b"")]
        assert [bad for _, bad in bench.frames] == [True, True]
        ctx.set(bench.dut.busy, 0)
        ctx.set(bench.dut.fault, 0)
        bench.frames.clear()
        bench.line.received.clear()
        for event in (request, wait(), good(B), wait()):
            await event(bench, ctx)
        check(bench, [error or A, B])

    bench.run(testbench)


@pytest.mark.parametrize(("ready_at", "outcome"), [(8, A), (9, Status.NOT_READY)])
def test_store_complete_in_mid_request(ready_at, outcome):
    """A request is judged at its end."""
    bench = Bench()

    async def testbench(ctx):
        ctx.set(bench.dut.o.tready, 1)
        ctx.set(bench.dut.busy, 1)
        frame = encode_request(A)
        await bench.line.send(ctx, frame[:ready_at])
        await ctx.tick().repeat(DIVISOR)
        ctx.set(bench.dut.busy, 0)
        await bench.line.send(ctx, frame[ready_at:])
        for event in (wait(), good(B), wait()):
            await event(bench, ctx)
        check(bench, [outcome, B])

    bench.run(testbench)


def test_error_overtakes_a_result():
    """What a host risks that does not wait: both are answered, the later one first."""
    bench = Bench(delay=20 * BYTE)

    async def testbench(ctx):
        ctx.set(bench.dut.o.tready, 1)
        for event in (good(A), changed(B, 3, 1), wait(), wait()):
            await event(bench, ctx)
        assert bench.replies() == [(Status.CRC, b""), (Status.OK, result_of(A))]

    bench.run(testbench)


@pytest.mark.parametrize("cut", [1, 3, 6, 8])
def test_reset_in_mid_request(cut):
    bench = Bench()

    async def testbench(ctx):
        ctx.set(bench.dut.o.tready, 1)
        await send(encode_request(A)[:cut])(bench, ctx)
        ctx.set(bench.reset, 1)
        await ctx.tick().repeat(2)
        ctx.set(bench.reset, 0)
        await good(B)(bench, ctx)
        await ctx.tick().repeat(PATIENCE)
        check(bench, [B])

    bench.run(testbench)


def test_reset_in_mid_reply():
    bench = Bench()

    async def testbench(ctx):
        ctx.set(bench.dut.o.tready, 1)
        await changed(A, 3, 0)(bench, ctx)
        await ctx.tick().repeat(2 * BYTE)
        ctx.set(bench.reset, 1)
        await ctx.tick().repeat(2)
        ctx.set(bench.reset, 0)
        assert ctx.get(bench.dut.tx)
        await ctx.tick().repeat(PATIENCE)
        bench.frames.clear()
        bench.line.received.clear()
        await good(B)(bench, ctx)
        await ctx.tick().repeat(PATIENCE)
        check(bench, [B])

    bench.run(testbench)


def test_latency():
    """From STOP's start bit to the last byte's offer, and from the result's offer to the reply's start bit."""
    dut = UartLink(payload_bytes=1, result_bytes=1, divisor=DIVISOR, timeout=TIMEOUT)
    line = SerialLine(dut.rx, dut.tx, bit=DIVISOR)
    received = 9 * DIVISOR + DIVISOR // 2 + 3

    async def drive(ctx):
        await line.send(ctx, encode_request(b"x"))

    async def count(ctx):
        await ctx.tick().repeat(4 * BYTE)
        for _ in range(received + 1):
            assert not ctx.get(dut.o.tvalid)
            await ctx.tick()
        assert (ctx.get(dut.o.tvalid), ctx.get(dut.o.tlast), ctx.get(dut.o.tuser)) == (1, 1, 0)
        ctx.set(dut.i.tvalid, 1)
        for _ in range(2):
            assert ctx.get(dut.tx)
            await ctx.tick()
        assert not ctx.get(dut.tx)

    simulate(dut, drive, count)


@pytest.mark.parametrize(("changes", "message"), [
    ({"payload_bytes": 0}, "UartLink payload_bytes must be an integer of at least 1, not 0"),
    ({"result_bytes": 1.5}, "UartLink result_bytes must be an integer of at least 1, not 1.5"),
    ({"timeout": 40}, "UartLink timeout must be an integer of at least 41, not 40"),
    ({"divisor": 3}, "UartReceiver divisor must be an integer of at least 4 clock cycles, not 3"),
])
def test_errors(changes, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        UartLink(**{"payload_bytes": 4, "result_bytes": 3, "divisor": 4, "timeout": 100} | changes)

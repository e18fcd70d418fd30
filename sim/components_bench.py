"""cocotb: random vectors for each component of ``sim.components`` against a naive model, with the stated latencies."""

import cocotb

from hw.protocol import Status, encode_reply, encode_request
from sim.components import LINK, WINDOW
from sim.part import Part, signed
from sim.serial import SerialLine


def half_dot_product(weight, activation, lanes):
    return sum(1 if (weight ^ activation) >> lane & 1 == 0 else -1 for lane in range(lanes)) // 2


def pack(values, width):
    return sum((value & (1 << width) - 1) << width * index for index, value in enumerate(values))


async def counts(dut, name):
    part = Part(dut, name)
    await part.start(weight=0, activation=0)
    lanes = part.model.lanes
    for word in (0, (1 << lanes) - 1, *(1 << lane for lane in range(lanes)), *(part.bits(lanes) for _ in range(500))):
        activation = part.bits(lanes)
        part.drive(weight=word ^ ~activation & (1 << lanes) - 1, activation=activation)
        found = await part.look("o")
        assert (found - part.model.offset) % (1 << lanes.bit_length()) == word.bit_count(), hex(word)
        await part.step()


@cocotb.test()
async def popcount(dut):
    await counts(dut, "popcount")


@cocotb.test()
async def popcount_ice40(dut):
    await counts(dut, "popcount_ice40")


@cocotb.test()
async def popcount_ecp5(dut):
    await counts(dut, "popcount_ecp5")


@cocotb.test()
async def pe(dut):
    part = Part(dut, "pe")
    await part.start(weight=0, activation=0, enable=0, first=0, double=0)
    lanes, width, latency = part.model.lanes, part.model.sum_width, part.model.latency
    beats, total = [], 0
    for cycle in range(600):
        weight, activation = part.bits(lanes), part.bits(lanes)
        enable, first, double = part.willing(0.8), part.willing(0.2), int(part.willing(0.2))
        first = int(first or cycle == 0 or abs(2 * total) + lanes >= 1 << width - 1)
        total = 0 if first else 2 * total if double else total
        total += half_dot_product(weight, activation, lanes) if enable else 0
        beats.append((enable, first, double, total))
        part.drive(weight=weight, activation=activation)
        # Whether a beat counts is told a cycle before what is done with it.
        if cycle + 1 >= latency:
            part.drive(enable=int(beats[cycle + 1 - latency][0]))
        if cycle >= latency:
            part.drive(first=beats[cycle - latency][1], double=beats[cycle - latency][2])
        if cycle > latency:
            assert signed(await part.look("sum"), width) == beats[cycle - latency - 1][3], cycle
        await part.step()


@cocotb.test()
async def threshold(dut):
    part = Part(dut, "threshold")
    await part.start(sum=0, threshold=0)
    widths = part.model.sum_width, part.model.threshold_width
    extremes = [(-1 << width - 1, (1 << width - 1) - 1) for width in widths]
    pairs = [(total, limit) for total in extremes[0] for limit in extremes[1]]
    pairs += [(total, 2 * total + more) for total in (-7, 0, 9) for more in (-1, 0, 1)]
    pairs += [tuple(part.choose.randint(*ends) for ends in extremes) for _ in range(500)]
    for total, limit in pairs:
        part.drive(sum=total, threshold=limit)
        value, bit = await part.look("value", "bit")
        expected = 2 * total - limit
        assert (signed(value, len(dut.threshold_value)), bit) == (expected, expected >= 0), (total, limit)
        await part.step()


@cocotb.test()
async def array(dut):
    """Passes back to back and with gaps; sums and ``done`` come ``latency`` cycles after the last beat."""
    part = Part(dut, "array")
    await part.start(weights=0, activations=0, control=0)
    model = part.model
    rows, columns, lanes, width = model.rows, model.columns, model.lanes, model.sum_width
    sums = []
    due, passes = {}, 0
    beats_left = 0
    for cycle in range(1500):
        control = 0
        weights, activations = [part.bits(lanes) for _ in range(rows)], [part.bits(lanes) for _ in range(columns)]
        if part.willing(0.85):
            if not beats_left:
                beats_left, sums = part.choose.randint(1, 6), [[0] * columns for _ in range(rows)]
            enabled = {column for column in range(columns) if part.willing(0.8)}
            largest = max(abs(total) for totals in sums for total in totals)
            double = int(part.willing(0.2) and 2 * largest + lanes < 1 << width - 1)
            for row in range(rows):
                for column in range(columns):
                    sums[row][column] *= 2 if double else 1
                    if column in enabled:
                        sums[row][column] += half_dot_product(weights[row], activations[column], lanes)
            beats_left -= 1
            last, final = beats_left == 0, beats_left == 0 and part.willing(0.3)
            control = (pack([column in enabled for column in range(columns)], 1)
                       | double << columns | last << columns + 1 | final << columns + 2)
            if last:
                due[cycle + model.latency] = ([list(row) for row in sums], final)
        part.drive(weights=pack(weights, lanes), activations=pack(activations, lanes), control=control)
        found, done, was_final = await part.look("sums", "done", "final")
        assert done == (cycle in due), cycle
        if done:
            expected, final = due.pop(cycle)
            assert was_final == final
            passes += 1
            for index in range(rows * columns):
                total = expected[index // columns][index % columns]
                assert signed(found >> width * index, width) == total, (cycle, index)
        await part.step()
    assert passes > 200


@cocotb.test()
async def features(dut):
    """Everything is written once, then reads of every phase and stride among writes and bypassed beats."""
    part = Part(dut, "features")
    await part.start(address=0, phase=0, stride=0, pitch=0, bypass=0, write_next=0, write_enable=0)
    model = part.model
    columns, lanes, depth = model.columns, model.lanes, model.depth
    banks = [[None] * depth for _ in range(columns)]
    due, writing = {}, None
    seen = set()
    for cycle in range(depth + 1500):
        part.drive(write_next=0, write_enable=0)
        bypass_data, write_data = ([part.bits(lanes) for _ in range(columns)] for _ in range(2))
        part.drive(bypass_data=pack(bypass_data, lanes), write_data=pack(write_data, lanes))
        if writing is not None:
            part.drive(write_enable=1)
            for bank, word in zip(banks, write_data):
                bank[writing] = word
            writing = None
        if cycle < depth or part.willing(0.3):
            writing = cycle if cycle < depth else part.choose.randrange(depth)
            part.drive(write_next=1, write_address=writing, address=part.bits(5))
        else:
            index, phase = part.choose.randrange(len(model.strides)), part.choose.randrange(columns)
            pitch, bypass = part.choose.randint(1, 3), int(part.willing(0.2))
            positions = [model.strides[index] * column + phase for column in range(columns)]
            address = part.choose.randrange(depth - positions[-1] // columns * pitch)
            part.drive(address=address, phase=phase, stride=index, pitch=pitch, bypass=bypass)
            seen.add((index, phase, bypass))
            due[cycle + 2] = None if bypass else [
                banks[position % columns][address + position // columns * pitch] for position in positions
            ]
        activations = await part.look("activations")
        if cycle in due:
            expected = due.pop(cycle)
            assert activations == pack(bypass_data, lanes) | pack(expected or [0] * columns, lanes), cycle
        await part.step()
    assert len(seen) == 2 * columns * len(model.strides)


async def send_frame(part, data, *, gaps=0.3):
    """Bytes into the component's ``i``, TLAST with the last one."""
    for index, byte in enumerate(data):
        while part.willing(gaps):
            part.drive(i__tvalid=0)
            await part.step()
        part.drive(i__tvalid=1, i__tdata=byte, i__tlast=index == len(data) - 1)
        while not await part.look("i__tready"):
            await part.step()
        await part.step()
        part.drive(i__tvalid=0)


@cocotb.test()
async def window(dut):
    """Every window of three frames, plane by plane, and the cycles until each group is ready."""
    part = Part(dut, "window")
    await part.start(i__tvalid=0, i__tuser=0, begin=0, beat=0, group_first=0, plane_last=0, word=0, dy=0, dx=0,
                     selected=1)
    model = part.model
    height, width, channels, bits = (WINDOW[name] for name in ("height", "width", "channels", "bits"))
    kernel, padding, columns, lanes = (WINDOW[name] for name in ("kernel", "padding", "columns", "lanes"))
    for _ in range(3):
        pixels = [[[part.bits(bits) for _ in range(channels)] for _ in range(width)] for _ in range(height)]
        await send_frame(part, [value | part.bits(8 - bits) << bits for row in pixels for pixel in row
                                for value in pixel])

        def tap(y, x, channel, pixels=pixels):
            return pixels[y][x][channel] if 0 <= y < height and 0 <= x < width else 0

        while not await part.look("available"):
            await part.step()
        await part.step()
        part.drive(begin=1)
        groups_x = -(-WINDOW["out_width"] // columns)
        wait = model.first_fetch + 1
        for group in range(WINDOW["out_height"] * groups_x):
            top, left = divmod(group * columns, WINDOW["out_width"])
            expected = []
            for plane in reversed(range(bits)):
                windows = [
                    pack([tap(top + ky - padding, left + column + kx - padding, channel) >> plane
                          for ky in range(kernel) for kx in range(kernel) for channel in range(channels)], 1)
                    for column in range(columns)
                ]
                expected += [pack([found >> part_of * lanes for found in windows], lanes)
                             for part_of in range(model.words)]
            for later in range(wait):
                assert not await part.look("ready"), (group, later)
                await part.step()
                part.drive(begin=0)
            assert await part.look("ready"), group
            await part.step()
            pause = part.choose.randrange(3)
            await part.step(pause)
            for index in range(len(expected) + 2):
                beat = index < len(expected)
                word = index % model.words
                part.drive(beat=beat, group_first=beat and index == 0, word=word,
                           plane_last=beat and word == model.words - 1)
                activations = await part.look("activations")
                if index >= 2:
                    assert activations == expected[index - 2], (group, index)
                await part.step()
            # Counted from the group's first beat, some cycles ago.
            following = model.next_fetch if (group + 1) % groups_x else model.first_fetch
            wait = following + 1 - (len(expected) + 2)


@cocotb.test()
async def vector(dut):
    """Six frames, one received while another is read; with two held, nothing more is accepted."""
    part = Part(dut, "vector")
    await part.start(i__tvalid=0, i__tuser=0, begin=0, release=0, address=0, selected=1)
    model = part.model
    size = -(-model.size // 8)
    frames = [bytes(part.bits(8) for _ in range(size)) for _ in range(6)]

    async def read(frame):
        for address in [*range(model.words), *(part.choose.randrange(model.words) for _ in range(8))]:
            part.drive(address=address)
            await part.step(2)
            expected = int.from_bytes(frame, "little") >> model.lanes * address & (1 << model.lanes) - 1
            assert await part.look("activations") == expected, address
            await part.step()

    await send_frame(part, frames[0])
    for index, frame in enumerate(frames):
        assert await part.look("available")
        await part.step()
        part.drive(begin=1)
        await part.step()
        part.drive(begin=0)
        if index + 1 < len(frames):
            await send_frame(part, frames[index + 1])
            assert not await part.look("i__tready")
            await part.step()
        await read(frame)
        part.drive(release=1)
        await part.step()
        part.drive(release=0)
    assert await part.look("available", "i__tready") == [0, 1]


@cocotb.test()
async def results(dut):
    """Scores, class and TLAST under stalls; the first byte comes 2 cycles after the last score."""
    part = Part(dut, "results")
    await part.start(begin_frame=0, score_valid=0, o__tready=0)
    classes, width = part.model.classes, part.model.score_width
    for frame in range(60):
        part.drive(begin_frame=1)
        await part.step()
        part.drive(begin_frame=0)
        limit = 2 if frame % 3 == 0 else 1 << width - 1  # few values: equal scores
        scores = [part.choose.randint(-limit, limit - 1) for _ in range(classes)]
        for index in range(classes + 2):  # those beyond the last class are ignored
            if index < classes:
                await part.step(part.choose.randrange(3))
            score = scores[index] if index < classes else (1 << width - 1) - 1
            part.drive(score_valid=1, score=score)
            assert await part.look("o__tvalid") == (index > classes), index
            await part.step()
            part.drive(score_valid=0)
        expected = b"".join(score.to_bytes(2, "little", signed=True) for score in scores)
        expected += bytes([scores.index(max(scores))])
        received, share = bytearray(), (1, 0.5)[frame % 2]
        while len(received) < len(expected):
            take = int(part.willing(share))
            part.drive(o__tready=take)
            valid, byte, last = await part.look("o__tvalid", "o__tdata", "o__tlast")
            assert valid
            if take:
                received.append(byte)
                assert last == (len(received) == len(expected))
            await part.step()
        part.drive(o__tready=0)
        assert received == expected, scores
        assert await part.look("room", "o__tvalid") == [1, 0]
        await part.step()


@cocotb.test()
@cocotb.parametrize(offers=[1, 0.5], takes=[1, 0.5])
async def buffer(dut, offers, takes):
    part = Part(dut, "buffer")
    await part.start(i__valid=0, o__ready=0)
    sent, received, waiting, offered = [], [], None, False
    for _ in range(500):
        if not offered and part.willing(offers):
            offered, payload = True, part.bits(8)
            part.drive(i__payload=payload)
        part.drive(i__valid=offered, o__ready=part.willing(takes))
        accepted, valid, value = await part.look("i__ready", "o__valid", "o__payload")
        taken = valid and int(dut.buffer_o__ready.value)
        assert waiting is None or (valid, value) == (1, waiting)
        waiting = value if valid and not taken else None
        if taken:
            received.append(value)
        if offered and accepted:
            sent.append(payload)
            offered = False
        await part.step()
    held = len(sent) - len(received)
    assert 0 <= held <= 2 and received == sent[:len(received)]
    if offers == takes == 1:
        assert len(received) == 499  # one cycle of latency, and one transfer a cycle


@cocotb.test()
async def link(dut):
    """Requests over the line, good and damaged, with an accelerator that answers each good one."""
    part = Part(dut, "link")
    line = SerialLine(dut.link_rx, dut.link_tx, divisor=LINK["divisor"])
    await part.start(o__tready=1, i__tvalid=0, i__tlast=0)

    def result_of(payload):
        return bytes([sum(payload) % 256, payload[0], payload[-1]])

    async def accelerator():
        payload = bytearray()
        while True:
            valid, byte, last, user = await part.look("o__tvalid", "o__tdata", "o__tlast", "o__tuser")
            await part.step()
            if not valid:
                continue
            payload.append(byte)
            if not last:
                continue
            if not user:
                await send_frame(part, result_of(payload), gaps=0.5)
            payload.clear()

    cocotb.start_soon(accelerator())
    patience = LINK["timeout"] // LINK["divisor"] + 40
    for index in range(12):
        payload = bytes(part.bits(8) for _ in range(LINK["payload_bytes"]))
        request, reply = bytearray(encode_request(payload)), encode_reply(Status.OK, result_of(payload))
        if index % 4 == 1:
            request[part.choose.randrange(1, len(request) - 1)] ^= 1 << part.choose.randrange(8)
            reply = encode_reply(Status.CRC)
        elif index % 4 == 2:
            del request[part.choose.randrange(1, len(request)):]
            reply = encode_reply(Status.TIMEOUT)
        elif index % 4 == 3:
            request[-1] ^= 1 << part.choose.randrange(8)
            reply = encode_reply(Status.FRAMING)
        line.received.clear()
        await line.send(request)
        assert await line.receive(len(reply), patience=patience) == reply, (index, request.hex())

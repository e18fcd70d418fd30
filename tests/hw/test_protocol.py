"""The frames of the serial link: round trips, a second CRC, every damage found, the document's example."""

import binascii
import io
import random
import re
import struct
from pathlib import Path

import pytest

from hw.protocol import (
    REPLY_OVERHEAD,
    START,
    STOP,
    ProtocolError,
    ResultLayout,
    Status,
    crc16,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    read_reply,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "link.md"


def reversed_bits(value, width):
    return int(f"{value:0{width}b}"[::-1], 2)


def test_crc():
    assert crc16(b"123456789") == 0x906E
    # The same polynomial, highest bit first, is in the standard library.
    for seed in range(20):
        content = random.Random(seed).randbytes(seed)
        mirrored = binascii.crc_hqx(bytes(reversed_bits(byte, 8) for byte in content), 0xFFFF)
        assert crc16(content) == reversed_bits(mirrored, 16) ^ 0xFFFF


@pytest.mark.parametrize("payload", [b"\0", b"\xA5\x5A" * 3, bytes(range(256))])
def test_request_round_trip(payload):
    frame = encode_request(payload)
    assert len(frame) == len(payload) + 4
    assert frame[0] == START
    assert frame[-1] == STOP
    assert frame[-3] | frame[-2] << 8 == crc16(payload)
    assert decode_request(frame, len(payload)) == payload


@pytest.mark.parametrize("status", Status)
def test_reply_round_trip(status):
    result = b"\x01\x02\x03" if status == Status.OK else b""
    frame = encode_reply(status, result)
    assert len(frame) == REPLY_OVERHEAD + len(result)
    assert decode_reply(frame, 3) == (status, result)


def test_example_of_the_document():
    rows = dict(re.findall(r"^    (request|reply|wrong CRC|damaged) +([0-9A-F ]+)$", DOCUMENT.read_text(),
                           re.MULTILINE))
    request, reply, wrong, damaged = (bytes.fromhex(rows[name]) for name in (
        "request", "reply", "wrong CRC", "damaged"))
    layout = ResultLayout(2)
    assert decode_request(request, 4) == bytes([1, 2, 3, 4])
    assert decode_reply(reply, layout.size) == (Status.OK, struct.pack("<hhB", -7, 300, 1))
    assert layout.decode(decode_reply(reply, layout.size)[1]) == ([-7, 300], 1)
    assert decode_reply(wrong, layout.size) == (Status.CRC, b"")
    assert decode_reply(damaged, layout.size) == (Status.STORE_DAMAGED, b"")


def test_document_has_every_status():
    codes = re.findall(r"^\| (\d) \|", DOCUMENT.read_text().split("| status | meaning")[1], re.MULTILINE)
    assert codes == [str(int(status)) for status in Status]


def test_every_single_damage_is_found():
    frame = encode_request(bytes([0xA5, 1, 2, 0x5A, 0, 0]))
    damaged = [frame[:index] + frame[index + 1:] for index in range(len(frame))]
    damaged += [frame[:index] + bytes([frame[index] ^ 1 << bit]) + frame[index + 1:]
                for index in range(len(frame)) for bit in range(8)]
    damaged += [frame + b"\x5A", b""]
    for content in damaged:
        with pytest.raises(ProtocolError):
            decode_request(content, 6)


@pytest.mark.parametrize(("frame", "message"), [
    (b"", "the reply has 0 bytes instead of 8: some were lost or added"),
    (encode_reply(0, b"abc")[:-1], "the reply has 7 bytes instead of 8: some were lost or added"),
    (encode_reply(0, b"abc") + b"d", "the reply has 9 bytes instead of 8: some were lost or added"),
    (encode_reply(2)[:-1], "the reply has 4 bytes instead of 5: some were lost or added"),
    (b"\x00" + encode_reply(0, b"abc")[1:], "the reply starts with 0x00, not with 0xA5"),
    (encode_reply(0, b"abc")[:-1] + b"\x00", "the reply ends with 0x00, not with 0x5A"),
    (b"\xA5\x00abc\x00\x00\x5A", "the reply has CRC 0x0000, its content 0xA437: bytes were damaged"),
    (encode_reply(9), "the reply has status 9, known are 0 to 6"),
])
def test_damaged_replies(frame, message):
    with pytest.raises(ProtocolError, match=f"^{re.escape(message)}$"):
        decode_reply(frame, 3)


@pytest.mark.parametrize(("content", "frame"), [
    (encode_reply(0, b"abc"), encode_reply(0, b"abc")),
    (b"\x00\x5A" + encode_reply(0, b"abc") + b"more", encode_reply(0, b"abc")),
    (encode_reply(3) + b"more", encode_reply(3)),
    (b"noise", b""), (b"", b""), (b"\xA5", b"\xA5"), (b"x\xA5\x00ab", b"\xA5\x00ab"),
])
def test_reading(content, frame):
    stream = io.BytesIO(content)
    assert read_reply(stream.read, 3) == frame


@pytest.mark.parametrize("classes", [1, 10, 256])
def test_result_layout(classes):
    layout = ResultLayout(classes)
    scores = [(-1) ** index * 127 * index % 32768 - 100 for index in range(classes)]
    assert layout.size == 2 * classes + 1
    assert layout.decode(struct.pack(f"<{classes}h", *scores) + bytes([classes - 1])) == (scores, classes - 1)


def test_result_of_another_network():
    with pytest.raises(ProtocolError, match="^the result has 5 bytes, 3 classes need 7$"):
        ResultLayout(3).decode(bytes(5))

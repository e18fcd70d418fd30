"""The frames of the serial link, for host, benches and tests; docs/link.md shows them byte by byte."""

import struct
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["REPLY_OVERHEAD", "START", "STOP", "ProtocolError", "ResultLayout", "Status", "crc16", "decode_reply",
           "decode_request", "encode_reply", "encode_request"]

START = 0xA5
STOP = 0x5A
#: Bytes of a reply beside the result: start, status, CRC and stop.
REPLY_OVERHEAD = 5


class Status(IntEnum):
    """What became of a request."""

    OK = 0
    #: The CRC does not match: a byte was changed, or lost and replaced by the next one.
    CRC = 1
    #: The request ended early: a byte was lost.
    TIMEOUT = 2
    #: The last byte is not STOP, or a byte's stop bit was wrong.
    FRAMING = 3
    #: The accelerator did not take the frame in time.
    OVERRUN = 4


class ProtocolError(ValueError):
    """A frame that cannot be read; the message says which byte, what it is and what it should be."""


def crc16(content):
    """CRC-16/IBM-3740 (CCITT polynomial 0x1021, start 0xFFFF) of bytes."""
    value = 0xFFFF
    for byte in content:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value


def _encode(content):
    return bytes([START]) + content + struct.pack("<H", crc16(content)) + bytes([STOP])


def _decode(what, frame, length):
    if len(frame) < length:
        raise ProtocolError(f"{what} ends after {len(frame)} of {length} bytes; send it again")
    if frame[0] != START:
        raise ProtocolError(f"{what} starts with 0x{frame[0]:02X}, not with 0x{START:02X}")
    if frame[length - 1] != STOP:
        raise ProtocolError(f"{what} ends with 0x{frame[length - 1]:02X}, not with 0x{STOP:02X}")
    content, (received,) = frame[1:length - 3], struct.unpack("<H", frame[length - 3:length - 1])
    if received != crc16(content):
        raise ProtocolError(f"{what} has CRC 0x{received:04X}, its content 0x{crc16(content):04X}; send it again")
    return content


def encode_request(payload):
    """START, payload, CRC-16 of the payload (low byte first), STOP."""
    return _encode(bytes(payload))


def decode_request(frame, payload_bytes):
    """The payload of a request. Raises ``ProtocolError``."""
    return _decode("the request", frame, payload_bytes + 4)


def encode_reply(status, result=b""):
    """START, status, result (only with status OK), CRC-16 of both (low byte first), STOP."""
    return _encode(bytes([status]) + bytes(result))


def decode_reply(frame, result_bytes):
    """Status and result of a reply; an error's result is empty. Raises ``ProtocolError``."""
    if len(frame) > 1 and frame[0] == START and frame[1] != Status.OK:
        content = _decode("the reply", frame, REPLY_OVERHEAD)
    else:
        content = _decode("the reply", frame, result_bytes + REPLY_OVERHEAD)
    try:
        return Status(content[0]), content[1:]
    except ValueError:
        raise ProtocolError(f"the reply has status {content[0]}, known are 0 to {max(Status)}") from None


@dataclass(frozen=True)
class ResultLayout:
    """A result: ``classes`` scores of 16 bits, low byte first, then the class."""

    classes: int

    @property
    def size(self):
        """Bytes of a result."""
        return 2 * self.classes + 1

    def decode(self, result):
        """Scores (a list) and class of a result's bytes. Raises ``ProtocolError`` if there are not ``size``."""
        if len(result) != self.size:
            raise ProtocolError(f"the result has {len(result)} bytes, {self.classes} classes need {self.size}")
        *scores, category = struct.unpack(f"<{self.classes}hB", result)
        return scores, category

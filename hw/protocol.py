"""The frames of the serial link, for host, benches and tests; docs/link.md shows them byte by byte."""

import struct
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["REPLY_OVERHEAD", "START", "STOP", "ProtocolError", "ResultLayout", "Status", "crc16", "decode_reply",
           "decode_request", "encode_reply", "encode_request", "read_reply"]

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
    #: The weights in the flash have a wrong CRC: the device cannot compute anything.
    STORE_DAMAGED = 5
    #: The device is still loading its weights.
    NOT_READY = 6


class ProtocolError(ValueError):
    """A frame that cannot be read; the message says which byte, what it is and what it should be."""


def crc16(content):
    """CRC-16/X-25 (that of HDLC) of bytes: polynomial 0x1021, lowest bit first, start and final XOR 0xFFFF."""
    value = 0xFFFF
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x8408 if value & 1 else 0)
    return value ^ 0xFFFF


def _encode(content):
    return bytes([START]) + content + struct.pack("<H", crc16(content)) + bytes([STOP])


def _decode(what, frame, length):
    if len(frame) != length:
        raise ProtocolError(f"{what} has {len(frame)} bytes instead of {length}: some were lost or added")
    if frame[0] != START:
        raise ProtocolError(f"{what} starts with 0x{frame[0]:02X}, not with 0x{START:02X}")
    if frame[length - 1] != STOP:
        raise ProtocolError(f"{what} ends with 0x{frame[length - 1]:02X}, not with 0x{STOP:02X}")
    content, (received,) = frame[1:length - 3], struct.unpack("<H", frame[length - 3:length - 1])
    if received != crc16(content):
        raise ProtocolError(f"{what} has CRC 0x{received:04X}, its content 0x{crc16(content):04X}: bytes were damaged")
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


def read_reply(read, result_bytes):
    """The bytes of a reply from its START on, as far as they come; what comes before it is skipped.

    ``read(count)`` returns up to ``count`` bytes, fewer if no more come.
    """
    byte = read(1)
    while byte and byte[0] != START:
        byte = read(1)
    frame = byte + (read(1) if byte else b"")
    if len(frame) < 2:
        return frame
    return frame + read(REPLY_OVERHEAD - 2 + (result_bytes if frame[1] == Status.OK else 0))


@dataclass(frozen=True)
class ResultLayout:
    """A result: ``classes`` scores of ``score_bytes`` (2 or 4), low byte first, then the class."""

    classes: int
    score_bytes: int = 2

    @property
    def size(self):
        """Bytes of a result."""
        return self.score_bytes * self.classes + 1

    def decode(self, result):
        """Scores (a list) and class of a result's bytes. Raises ``ProtocolError`` if there are not ``size``."""
        if len(result) != self.size:
            raise ProtocolError(f"the result has {len(result)} bytes, {self.classes} classes need {self.size}")
        *scores, category = struct.unpack(f"<{self.classes}{'h' if self.score_bytes == 2 else 'i'}B", result)
        return scores, category

"""The flash's contents: what is where, and what does not fit."""

import re
import zlib

import pytest

from hw.flash_image import STORE_OFFSET, flash_image

STORE = bytes(range(1, 13))


@pytest.mark.parametrize(("bits", "offset"), [(0, 0), (0, 1), (7, 7), (7, 64), (104_090, STORE_OFFSET)])
def test_image(bits, offset):
    bitstream = bytes(index % 251 for index in range(bits))
    image = flash_image(bitstream, STORE, offset)
    assert image[:bits] == bitstream
    assert image[bits:offset] == b"\xFF" * (offset - bits)
    assert image[offset:offset + 12] == STORE
    assert int.from_bytes(image[offset + 12:], "little") == zlib.crc32(STORE)
    assert len(image) == offset + 16


def test_default_offset():
    assert flash_image(b"bits", STORE) == flash_image(b"bits", STORE, STORE_OFFSET)


def test_last_place():
    assert len(flash_image(b"", STORE, 0xFFFFF0)) == 1 << 24


@pytest.mark.parametrize(("arguments", "message"), [
    ((bytes(300_000), STORE), ("the bitstream has 300,000 bytes, and the store begins at 262,144; give it an offset "
                               "of at least 300,000")),
    ((b"", STORE[:-1]), "the store must be 16-bit words, 3 or more, not 11 bytes"),
    ((b"", STORE[:4]), "the store must be 16-bit words, 3 or more, not 4 bytes"),
    ((b"", b""), "the store must be 16-bit words, 3 or more, not 0 bytes"),
    ((b"", STORE, 0xFFFFF1), ("the store of 12 bytes and its CRC at offset 16,777,201 reach to 16,777,217, beyond the "
                              "16,777,216 bytes of a 24-bit address")),
    ((b"", STORE, -1), "the store's offset must be at least 0, not -1"),
])
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        flash_image(*arguments)

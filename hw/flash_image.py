"""What is written to a board's SPI flash: the bitstream, and behind it the store with its CRC-32."""

import struct
import zlib

__all__ = ["FLASH_BYTES", "LEAST_STORE_WORDS", "STORE_OFFSET", "flash_image"]

#: Bytes that a 24-bit address reaches.
FLASH_BYTES = 1 << 24
#: Where the store begins unless said otherwise. A bitstream of the iCE40UP5K takes about 104 KB, whatever is in it;
#: 256 KiB leave room, and begin an erase block of 64 KiB, so that either part can be written without the other.
STORE_OFFSET = 0x40000
#: Words of 16 bits that a store has at least. The CRC-32 of four bytes 0xFF is 0xFFFFFFFF: an erased flash would pass
#: for a store of two words.
LEAST_STORE_WORDS = 3


def flash_image(bitstream, store, offset=STORE_OFFSET):
    """Return the bytes of a flash: ``bitstream`` from address 0, ``store`` from ``offset``, 0xFF between them.

    ``store`` is 16-bit words, the low byte first. Its CRC-32 (IEEE 802.3, as ``zlib.crc32``) follows, low byte first.

    Raises ``ValueError`` if the bitstream reaches beyond ``offset``, the store beyond what a 24-bit address reaches, or
    the store is no whole number of words, or too few, or the offset is negative.
    """
    if offset < 0:
        raise ValueError(f"the store's offset must be at least 0, not {offset}")
    if len(bitstream) > offset:
        raise ValueError(f"the bitstream has {len(bitstream):,} bytes, and the store begins at {offset:,}; "
                         f"give it an offset of at least {len(bitstream):,}")
    if len(store) % 2 or len(store) < 2 * LEAST_STORE_WORDS:
        raise ValueError(f"the store must be 16-bit words, {LEAST_STORE_WORDS} or more, not {len(store):,} bytes")
    image = bytes(bitstream).ljust(offset, b"\xFF") + bytes(store) + struct.pack("<I", zlib.crc32(store))
    if len(image) > FLASH_BYTES:
        raise ValueError(f"the store of {len(store):,} bytes and its CRC at offset {offset:,} reach to {len(image):,}, "
                         f"beyond the {FLASH_BYTES:,} bytes of a 24-bit address")
    return image

"""Image files and JPEG bytes to arrays, with Pillow."""

import io
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from sw.errors import DataError

__all__ = ["FORMATS", "is_grey", "open_image", "pixels"]

#: The formats that are read, by the names that Pillow and files end in.
FORMATS = {"BMP": (".bmp",), "JPEG": (".jpg", ".jpeg"), "PNG": (".png",), "PPM": (".pgm", ".ppm"), "WEBP": (".webp",)}

_GREY = ("1", "L", "LA")
_COLOUR = ("CMYK", "P", "RGB", "RGBA", "YCbCr")


def open_image(source: Path | bytes, where: str, *, decode: bool = True) -> Image.Image:
    """The image of a file or of its bytes; only its size and mode are read unless ``decode``.

    ``where`` begins the message of the ``DataError`` raised when it is damaged, or has more than 8 bits a channel.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=tuple(FORMATS)) as image:
            if decode:
                image.load()
    # Which of them a damaged file raises depends on the format and the place.
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        reason = "it is none of " + ", ".join(FORMATS) if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"{where} cannot be read as an image: {reason}") from None
    if image.mode not in _GREY + _COLOUR:
        raise DataError(f"{where} has pixels of mode {image.mode}; save it with 8 bits a channel")
    return image


def is_grey(image: Image.Image) -> bool:
    """Whether the file has one channel, besides transparency; an indexed image counts as coloured."""
    return image.mode in _GREY


def pixels(image: Image.Image, channels: int, *, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """``uint8 (channels, H, W)``: 1 channel is the brightness, 3 are red, green and blue; transparency is left out.

    ``size`` is a height and width to cut and resample to: the largest part of that aspect ratio around the
    centre, bilinear over all pixels that fall into one.
    """
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("L" if channels == 1 else "RGB")
    if size is not None and size != (image.height, image.width):
        image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)

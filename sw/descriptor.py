"""The layer descriptor: the fields that drive the sequencer, and their place in the program ROM.

One table serves the compiler, which writes the words, and the hardware, which takes them apart. A layer is
``SEQUENCER_WORDS`` words read while the layer before it drains, then ``DRAIN_WORDS`` words.
"""

from collections.abc import Mapping
from typing import NamedTuple

from sw.errors import FitError

__all__ = ["DRAIN_WORDS", "FIELDS", "SEQUENCER_WORDS", "WORD_BITS", "WORDS", "Field", "decode", "encode"]

WORD_BITS = 16


class Field(NamedTuple):
    """``width`` bits from ``offset`` of word ``word`` of a layer's descriptor."""

    word: int
    offset: int
    width: int
    meaning: str


#: Word by word, lowest bits first: (name, width, meaning). Counts are stored less one.
_SEQUENCER = (
    (("rows_out", 8, "pooled output rows - 1"), ("groups_x", 8, "column groups - 1")),
    (("groups_c", 12, "channel groups - 1"), ("pool", 2, "pool size - 1"), ("stride", 2, "stride - 1")),
    (("kernel_h", 8, "kernel rows - 1"), ("kernel_w", 8, "kernel columns - 1")),
    (("in_height", 8, "input rows - 1"), ("in_width", 8, "input columns - 1")),
    (("words", 12, "words of a tap - 1"), ("planes", 3, "bit planes - 1"), ("head", 1, "results are scores")),
    (("padding", 2, "zero padding"), ("phase", 4, "bank phase of column 0 at the first tap"),
     ("first", 1, "first layer of a frame"), ("image", 1, "activations come from the input unit")),
    (("address", 16, "feature address of the first tap, modulo the feature memory's size"),),
    (("row_pitch", 16, "feature addresses from one input row to the next"),),
    (("weights", 16, "address of the first weight word"),),
    (("row_taps", 16, "weight words of a kernel row"),),
    (("group_taps", 16, "weight words of a channel group"),),
)
_DRAIN = (
    (("drain_groups", 12, "channel groups - 1"), ("drain_pool", 4, "passes of a pool window - 1")),
    (("last_steps", 8, "drain steps of the last channel group - 1"), ("scores", 1, "results are scores")),
    (("thresholds", 16, "address of the first threshold word"),),
    (("out_address", 16, "feature address of the first result"),),
)

SEQUENCER_WORDS = len(_SEQUENCER)
DRAIN_WORDS = len(_DRAIN)
WORDS = SEQUENCER_WORDS + DRAIN_WORDS


def _place() -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for index, word in enumerate(_SEQUENCER + _DRAIN):
        offset = 0
        for name, width, meaning in word:
            fields[name] = Field(index, offset, width, meaning)
            offset += width
    return fields


FIELDS: Mapping[str, Field] = _place()


def encode(layer: str, values: Mapping[str, int]) -> tuple[int, ...]:
    """The ``WORDS`` 16-bit words of one layer's descriptor.

    Raises ``FitError`` for a value beyond its field.
    """
    words = [0] * WORDS
    for name, field in FIELDS.items():
        value = values[name]
        if not 0 <= value < 1 << field.width:
            raise FitError(
                f"{layer}: {field.meaning} is {value}, above what the program's {field.width}-bit field holds "
                f"({(1 << field.width) - 1}); use a smaller layer or a larger array"
            )
        words[field.word] |= value << field.offset
    return tuple(words)


def decode(words: tuple[int, ...]) -> dict[str, int]:
    """The inverse of ``encode``, for listings and tests."""
    return {
        name: words[field.word] >> field.offset & ((1 << field.width) - 1) for name, field in FIELDS.items()
    }

"""The layer descriptor: the fields that drive the sequencer, and their place in the program ROM.

One table serves the compiler, which writes the words, and the hardware, which takes them apart. A layer is
``SEQUENCER_WORDS`` words read while the layer before it drains, then those of its format's other half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sw.errors import FitError

__all__ = ["BITS", "SEQUENCER_WORDS", "WORDS", "WORD_BITS", "Field", "Format"]

WORD_BITS = 16


class Field(NamedTuple):
    """``width`` bits from ``offset`` of word ``word`` of a layer's descriptor."""

    word: int
    offset: int
    width: int
    meaning: str


#: Words of fields, lowest bits first: (name, width, meaning).
_Table = Sequence[Sequence[tuple[str, int, str]]]

#: Counts are stored less one.
_SEQUENCER: _Table = (
    (("rows_out", 8, "pooled output rows - 1"), ("groups_x", 8, "column groups - 1")),
    (("groups_c", 12, "channel groups - 1"), ("pool", 1, "pool size - 1"), ("stride", 1, "stride - 1"),
     ("windows", 2, "windows of a pixel's words that channel groups take in turn - 1")),
    (("kernel_h", 8, "kernel rows - 1"), ("kernel_w", 8, "kernel columns - 1")),
    (("in_height", 8, "input rows - 1"), ("in_width", 8, "input columns - 1")),
    (("words", 12, "words of a tap - 1"), ("planes", 3, "bit planes - 1"), ("head", 1, "results leave the engine")),
    (("padding", 2, "zero padding"), ("phase", 4, "bank phase of column 0 at the first tap"),
     ("first", 1, "first layer of a frame"), ("image", 1, "activations come from the input unit"),
     ("skip", 8, "words of a pixel that are not the tap's")),
    (("cooling", 12, "cycles between the last beats of two passes, at the least - 1"),
     ("turn", 4, "channel groups in a row that share a window - 1")),
    (("address", 16, "feature address of the first tap, modulo the feature memory's size"),),
    (("row_pitch", 16, "feature addresses from one input row to the next"),),
    (("weights", 16, "address of the first weight word"),),
    (("row_taps", 16, "weight words of a kernel row"),),
    (("group_taps", 16, "weight words of a channel group"),),
)
#: Of layers whose results are bits by thresholds, or scores: ``hw.drain``.
_BITS: _Table = (
    (("drain_groups", 12, "channel groups - 1"), ("drain_pool", 4, "passes of a pool window - 1")),
    (("last_steps", 8, "drain steps of the last channel group - 1"), ("scores", 1, "results are scores"),
     ("leaves", 1, "results are a map for another engine")),
    (("thresholds", 16, "address of the first threshold word"),),
    (("out_address", 16, "feature address of the first result"),),
)
#: Of blocks whose results are words: ``hw.post_process``, ``hw.pooled_head``. Pitches and steps are not less one.
_WORDS: _Table = (
    (("drain_groups", 8, "channel groups of the block - 1"),
     ("last_rows", 8, "rows in use in the last channel group - 1")),
    (("tiles", 4, "channels of an accumulator - 1"), ("around", 1, "there is a shortcut"),
     ("average", 1, "the shortcut is the average of four words"),
     ("around_stride", 1, "the shortcut's map is twice as large"), ("keep", 1, "words are stored"),
     ("bits", 1, "bits are stored"), ("pooled", 1, "the last layer, of sums"),
     ("late", 1, "the next record is fetched when this block is done")),
    (("around_address", 16, "word address of the shortcut's map"),),
    (("around_row_step", 16, "word addresses from a row's last column group to the next row's first"),),
    (("around_row_pitch", 16, "word addresses between rows of the shortcut's map"),),
    (("word_out", 16, "word address of the first result"),),
    (("around_pitch", 8, "words of a pixel of the shortcut's map"),
     ("word_step", 8, "word addresses from a pixel's last word to the next pixel's first")),
    (("out_address", 16, "feature address of the first result"),),
    (("out_step", 4, "feature addresses from a pixel's last word to the next pixel's first"),
     ("drain_groups_x", 8, "column groups - 1")),
)

#: Words of the half that all formats share.
SEQUENCER_WORDS = len(_SEQUENCER)


@dataclass(frozen=True)
class Format:
    """A descriptor: the sequencer's words, then those of what takes the array's sums, of ``drain``."""

    drain: _Table

    @property
    def drain_words(self) -> int:
        """Words of the second half."""
        return len(self.drain)

    @property
    def words(self) -> int:
        """Words of a layer."""
        return SEQUENCER_WORDS + len(self.drain)

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """All fields by name."""
        fields: dict[str, Field] = {}
        for index, word in enumerate([*_SEQUENCER, *self.drain]):
            offset = 0
            for name, width, meaning in word:
                fields[name] = Field(index, offset, width, meaning)
                offset += width
        return fields

    def encode(self, layer: str, values: Mapping[str, int]) -> tuple[int, ...]:
        """The 16-bit words of one layer's descriptor; ``values`` has every field.

        Raises ``FitError`` for a value beyond its field.
        """
        words = [0] * self.words
        for name, field in self.fields.items():
            value = values[name]
            if not 0 <= value < 1 << field.width:
                raise FitError(
                    f"{layer}: {field.meaning} is {value}, above what the program's {field.width}-bit field holds "
                    f"({(1 << field.width) - 1}); use a smaller layer or a larger array"
                )
            words[field.word] |= value << field.offset
        return tuple(words)

    def decode(self, words: Sequence[int]) -> dict[str, int]:
        """The inverse of ``encode``, for listings and tests."""
        return {
            name: words[field.word] >> field.offset & ((1 << field.width) - 1) for name, field in self.fields.items()
        }


BITS = Format(_BITS)
WORDS = Format(_WORDS)

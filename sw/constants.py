"""The constants of a channel that the post-processing unit takes, and their place in a memory word.

One table serves the compiler, which packs them, and the hardware, which takes them apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sw.errors import FitError

__all__ = ["ConstantFormat"]

#: Fields in order, lowest bits first, and whether they are signed.
_FIELDS = {
    "gain": True, "offset": True, "source": False, "around": False, "threshold": True, "before": True, "positive": True,
    "negative": True, "after": True,
}


@dataclass(frozen=True)
class ConstantFormat:
    """Bits of each field; a field of 0 bits is absent and reads as zero.

    * ``gain``, ``offset``: of the batch norm, ``(gain * sum + offset) >> shift``; the half that rounds is in the
      offset, which is that of the channel before, in the first one that of the block's last.
    * ``source``: word of the shortcut's pixel from which the channel's pair of channels comes; ``around``: 1 if the
      pair has a shortcut. Both are taken from the even channel.
    * ``threshold``: the bit is ``word >= threshold``.
    * ``before``, ``positive``, ``negative``, ``after``: the shifts and slopes of a PReLU, present together or not.
    """

    gain: int = 16
    offset: int = 24
    source: int = 0
    around: int = 0
    threshold: int = 0
    before: int = 0
    positive: int = 0
    negative: int = 0
    after: int = 0

    @property
    def width(self) -> int:
        """Bits of a channel's constants."""
        return sum(getattr(self, name) for name in _FIELDS)

    @property
    def bends(self) -> bool:
        """Whether there are slopes."""
        return self.positive > 0

    @property
    def waiting(self) -> int:
        """Bits of the fields that are needed some cycles after the others, and wait in block RAM."""
        return self.threshold + self.before + self.positive + self.negative + self.after

    def widened(self, other: "ConstantFormat") -> "ConstantFormat":
        """The narrowest format whose fields hold what those of both do; this one if only one of them has slopes."""
        if self.bends != other.bends:
            return self
        return ConstantFormat(**{name: max(getattr(self, name), getattr(other, name)) for name in _FIELDS})

    def place(self, name: str) -> tuple[int, int, bool]:
        """Offset, width and signedness of a field."""
        names = list(_FIELDS)
        return sum(getattr(self, other) for other in names[:names.index(name)]), getattr(self, name), _FIELDS[name]

    def pack(self, values: Mapping[str, int]) -> int:
        """A channel's constants as one word; fields that are not given are 0.

        Raises ``FitError`` for a value beyond its field.
        """
        word = 0
        for name in _FIELDS:
            offset, width, signed = self.place(name)
            value = values.get(name, 0)
            low, high = (-(1 << width >> 1), (1 << width >> 1) - 1) if signed and width else (0, (1 << width) - 1)
            if not low <= value <= high:
                raise FitError(f"the constant {name} is {value}, which {width} bits do not hold ({low} to {high})")
            word |= (value & (1 << width) - 1) << offset
        return word

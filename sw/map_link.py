"""The stream of a binary map from one engine to the next: what a beat carries, in which order, and where it is stored.

A map leaves its engine as it is made: rows, in a row groups of neighbouring pixels (the sender's columns), in a group
parts of a pixel's channels, and of each part one beat for each pixel of the group. A part is a word where both engines
have the same lanes, else as many bits as divide the words of both.
"""

from dataclasses import dataclass
from math import gcd

__all__ = ["MapLink"]


@dataclass(frozen=True)
class MapLink:
    """A map ``shape`` (H, W, C), the result of layer ``name``, on its way between two engines.

    ``columns``, ``lanes`` and ``drain`` are the sender's, ``to_columns`` and ``to_lanes`` the receiver's.
    """

    name: str
    shape: tuple[int, int, int]
    columns: int
    lanes: int
    drain: int
    to_columns: int
    to_lanes: int

    @property
    def width(self) -> int:
        """Bits of a beat: all lanes if they are the same, else what divides both and fills the last word."""
        return self.lanes if self.lanes == self.to_lanes else gcd(self.lanes, self.to_lanes, self._filled)

    @property
    def words(self) -> int:
        """The sender's words of a pixel."""
        return -(-self.shape[2] // self.lanes)

    @property
    def _used(self) -> int:
        """Channels in a pixel's last word."""
        return self.shape[2] - (self.words - 1) * self.lanes

    @property
    def _filled(self) -> int:
        """Bits of a pixel's last word that the drain fills, from the top; those beyond the last channel are 0."""
        return -(-self._used // self.drain) * self.drain

    @property
    def skipped(self) -> int:
        """Low bits of a pixel's last word that are not sent."""
        return 0 if self.lanes == self.to_lanes else self.lanes - self._filled

    @property
    def word_parts(self) -> int:
        """Parts of a word of the sender's."""
        return self.lanes // self.width

    @property
    def last_parts(self) -> int:
        """Parts of a pixel's last word that are sent."""
        return -(-self._used // self.width)

    @property
    def parts(self) -> int:
        """Parts of a pixel that are sent."""
        return (self.words - 1) * self.word_parts + self.last_parts

    @property
    def groups(self) -> int:
        """Groups of a row."""
        return -(-self.shape[1] // self.columns)

    @property
    def last_columns(self) -> int:
        """Pixels of a row's last group."""
        return self.shape[1] - (self.groups - 1) * self.columns

    @property
    def beats(self) -> int:
        """Beats of a map."""
        return self.shape[0] * self.shape[1] * self.parts

    @property
    def to_words(self) -> int:
        """The receiver's words of a pixel."""
        return -(-self.shape[2] // self.to_lanes)

    @property
    def to_word_parts(self) -> int:
        """Parts of a word of the receiver's."""
        return self.to_lanes // self.width

    @property
    def empty_parts(self) -> int:
        """Low parts of the receiver's last word of a pixel that no beat fills; they are 0."""
        return self.to_words * self.to_word_parts - self.parts

    @property
    def fill(self) -> int:
        """Channels that come into a word at a time, from the top: what the receiver knows as the drain."""
        return self.drain if self.lanes == self.to_lanes else self.width

    @property
    def to_groups(self) -> int:
        """Groups of the receiver's columns in a row."""
        return -(-self.shape[1] // self.to_columns)

    @property
    def depth(self) -> int:
        """Addresses of a map in each of the receiver's banks."""
        return self.shape[0] * self.to_groups * self.to_words

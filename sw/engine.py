"""The shape of one engine: how many synapses it computes in a cycle, and how it drains them."""

from dataclasses import dataclass

from sw.errors import FitError

__all__ = ["Engine"]


@dataclass(frozen=True)
class Engine:
    """An array of ``rows`` output channels x ``columns`` output pixels x ``lanes`` synapses.

    ``drain`` is the number of rows that leave the drain register in a cycle. It divides ``rows`` and ``lanes``,
    so that a cycle's bits never straddle two words of the feature memory.

    ``window_buffers`` is the number of sets of registers for the pixels of an image's windows: with 2, those of the
    next column group are fetched while one is computed; with 1, which takes half the registers, in between.

    ``popcount_stages`` is the number of registers between the adders of a PE's popcount: each is a cycle more from a
    beat to its sum, for a higher clock.

    Raises ``FitError`` for a shape that no engine can have.
    """

    rows: int
    columns: int
    lanes: int
    drain: int = 1
    window_buffers: int = 2
    popcount_stages: int = 0

    def __post_init__(self) -> None:
        for name, most in (("rows", 256), ("columns", 16), ("lanes", 256), ("drain", 256),
                           ("window_buffers", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or not 1 <= value <= most:
                raise FitError(f"array {name.replace('_', ' ')} must be an integer from 1 to {most}, not {value!r}")
        if self.rows % self.drain or self.lanes % self.drain:
            raise FitError(
                f"array drain {self.drain} must divide rows {self.rows} and lanes {self.lanes}; "
                f"1 always does"
            )
        most = self.most_popcount_stages(self.lanes)
        if not isinstance(self.popcount_stages, int) or not 0 <= self.popcount_stages <= most:
            raise FitError(f"array popcount stages must be an integer from 0 to {most} for {self.lanes} lanes, "
                           f"not {self.popcount_stages!r}")

    @staticmethod
    def most_popcount_stages(lanes: int) -> int:
        """Most registers between the adders of a popcount, whichever cells of a part it is made of."""
        return max(0, (lanes - 1).bit_length() - 2)

    @property
    def synapses_per_cycle(self) -> int:
        """XNOR-accumulates in a cycle with every PE and lane busy."""
        return self.rows * self.columns * self.lanes

    @property
    def drain_steps(self) -> int:
        """Cycles in which all rows leave the drain register."""
        return self.rows // self.drain

    def __str__(self) -> str:
        return f"{self.rows} rows x {self.columns} columns x {self.lanes} lanes"

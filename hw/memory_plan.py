"""Which of an engine's memories lie in a part's large single-port RAMs."""

from dataclasses import dataclass

__all__ = ["MemoryPlan"]


@dataclass(frozen=True)
class MemoryPlan:
    """``large_banks`` of the feature memory's banks, the first ones, and with ``large_image`` the image, are written
    for large single-port RAM; the others for block RAM. A part without large RAM has all in block RAM. Cycles and
    results are the same wherever they lie.
    """

    large_banks: int
    large_image: bool = False

"""PLLs: the dividers that make a clock from the board's oscillator, and the cell that they are set in."""

from .cell import PllCell

__all__ = ["PllCell", "achieved_mhz", "find_settings"]

#: A frequency that differs by more is not what the user asked for.
TOLERANCE = 0.005


def find_settings(reference_mhz, output_mhz, part):
    """Return the settings of a part's PLL that come closest to ``output_mhz``, both in MHz.

    They have ``output_mhz``, and ``cell(board)`` gives the ``PllCell``. Raises ``ValueError``, naming the nearest
    frequency that there is, if that is more than 0.5 % away.
    """
    settings = list(part.family.pll_settings(reference_mhz, part))
    if not settings:
        raise ValueError(f"the PLL takes no reference of {reference_mhz:g} MHz")
    best = min(settings, key=lambda each: abs(each.output_mhz - output_mhz))
    if not abs(best.output_mhz - output_mhz) <= TOLERANCE * best.output_mhz:  # also for what is no number
        raise ValueError(
            f"clock must be one that the PLL makes from {reference_mhz:g} MHz, not {output_mhz:g} MHz; "
            f"the nearest is {best.output_mhz:g} MHz"
        )
    return best


def achieved_mhz(reference_mhz, output_mhz, part):
    """Return the clock that a design gets which asks for ``output_mhz``; the reference itself needs no PLL.

    Raises ``ValueError`` as ``find_settings`` does.
    """
    if output_mhz == reference_mhz:
        return reference_mhz
    return find_settings(reference_mhz, output_mhz, part).output_mhz

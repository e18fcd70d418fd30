"""The clocks that a board's design can have."""

from bisect import bisect_left, bisect_right

__all__ = ["highest_up_to", "legal_clocks", "lowest_from"]


def legal_clocks(board):
    """Return the clocks in MHz that the PLL makes or the oscillator has, and that the serial line takes, rising."""
    made = {setting.output_mhz for setting in board.part.family.pll_settings(board.oscillator_mhz, board.part)}
    return [clock for clock in sorted({*made, board.oscillator_mhz}) if _is_taken(board, clock)]


def _is_taken(board, clock):
    try:
        board.uart_divisor(clock)
    except ValueError:
        return False
    return True


def highest_up_to(clocks, mhz):
    """The highest of the rising ``clocks`` that is not above ``mhz``; ``None`` if there is none."""
    place = bisect_right(clocks, mhz)
    return clocks[place - 1] if place else None


def lowest_from(clocks, mhz):
    """The lowest of the rising ``clocks`` that is not below ``mhz``; ``None`` if there is none."""
    place = bisect_left(clocks, mhz)
    return clocks[place] if place < len(clocks) else None

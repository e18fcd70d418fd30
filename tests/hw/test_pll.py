"""PLL dividers against rows that were made with the vendor-neutral icepll."""

import pytest

from hw.boards import BOARDS
from hw.pll import find_settings

UP5K, LFE5U = BOARDS["ice40"].part, BOARDS["ulx3s-25f"].part


@pytest.mark.parametrize(("target", "divr", "divf", "divq", "filter_range", "output"), [
    (24, 0, 63, 5, 1, 24.0),
    (48, 0, 63, 4, 1, 48.0),
    (30, 0, 79, 5, 1, 30.0),
    (60, 0, 79, 4, 1, 60.0),
    (96, 0, 63, 3, 1, 96.0),
])
def test_settings(target, divr, divf, divq, filter_range, output):
    found = find_settings(12, target, UP5K)
    assert (found.divr, found.divf, found.divq) == (divr, divf, divq)
    assert (found.filter_range, found.output_mhz) == (filter_range, output)


@pytest.mark.parametrize(("target", "nearest"), [(10, "16.125"), (24.2, "24.375"), (400, "270")])
def test_frequency_that_cannot_be_made(target, nearest):
    with pytest.raises(ValueError, match=rf"not {target:g} MHz; the nearest is {nearest} MHz$"):
        find_settings(12, target, UP5K)


@pytest.mark.parametrize(("reference", "target", "clki", "clkfb", "clkop"), [
    (25, 50, 1, 2, 12), (25, 100, 1, 4, 6), (25, 37.5, 2, 3, 16), (12, 60, 1, 5, 10), (100, 400, 1, 4, 1),
])
def test_ecp5_settings(reference, target, clki, clkfb, clkop):
    found = find_settings(reference, target, LFE5U)
    assert (found.clki, found.clkfb, found.clkop, found.output_mhz) == (clki, clkfb, clkop, target)


def test_ecp5_frequency_that_cannot_be_made():
    # 25 / 2 MHz is the lowest that its phase detector takes.
    with pytest.raises(ValueError, match=r"not 55 MHz; the nearest is 50 MHz$"):
        find_settings(25, 55, LFE5U)


def test_reference_out_of_range():
    with pytest.raises(ValueError, match=r"^the PLL takes no reference of 5 MHz$"):
        find_settings(5, 24, UP5K)


@pytest.mark.parametrize("target", [float("nan"), float("inf"), 0, -24])
def test_frequency_that_is_none(target):
    with pytest.raises(ValueError, match=rf"^clock must be one that the PLL makes from 12 MHz, not {target:g} MHz; "):
        find_settings(12, target, UP5K)

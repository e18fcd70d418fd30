"""PLL dividers against rows that were made with icepll, gowin_pll and nextpnr, and the limits of each part's PLL."""

import pytest

from hw.boards import BOARDS
from hw.pll import achieved_mhz, find_settings

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


@pytest.mark.parametrize(("board", "target", "idiv", "fbdiv", "odiv"), [
    # gowin_pll has the lowest of the legal oscillators; these are nearest to the middle of 400 to 1,200 MHz.
    ("tang-nano-9k", 54, 1, 2, 16), ("tang-nano-9k", 40.5, 2, 3, 16), ("tang-nano-9k", 30, 9, 10, 32),
    ("tang-nano-20k", 54, 1, 2, 16), ("tang-nano-20k", 81, 1, 3, 8),
])
def test_gowin_settings(board, target, idiv, fbdiv, odiv):
    found = find_settings(27, target, BOARDS[board].part)
    assert (found.idiv, found.fbdiv, found.odiv, found.output_mhz) == (idiv, fbdiv, odiv, target)
    cell = found.cell(BOARDS[board])
    assert {name: cell.parameters[name] for name in ("FCLKIN", "IDIV_SEL", "FBDIV_SEL", "ODIV_SEL")} == {
        "FCLKIN": "27", "IDIV_SEL": idiv - 1, "FBDIV_SEL": fbdiv - 1, "ODIV_SEL": odiv}


@pytest.mark.parametrize("name", ["tang-nano-9k", "tang-nano-20k"])
def test_gowin_limits_are_those_of_the_data_sheets(name):
    part = BOARDS[name].part
    lowest, highest = {"tang-nano-9k": (400, 1200), "tang-nano-20k": (500, 1250)}[name]
    found = list(part.family.pll_settings(27, part))
    assert len(found) > 500
    for settings in found:
        assert settings.output_mhz == pytest.approx(27 / settings.idiv * settings.fbdiv)
        assert lowest < settings.output_mhz * settings.odiv < highest
        assert 27 / settings.idiv >= 3


@pytest.mark.parametrize("target", [25, 20, 12.5, 50, 37.5, 32])
def test_gatemate_makes_these_exactly(target):
    board = BOARDS["gatemate-evb"]
    found = find_settings(10, target, board.part)
    assert found.output_mhz == target == 10 * found.multiplier / (2 * found.divider)
    # The oscillator, at four times the divided output, must be in the range of the mode SPEED.
    assert 1250 < 2 * 10 * found.multiplier <= 2500
    assert found.divider % 2 == 0
    assert {name: found.cell(board).parameters[name] for name in ("REF_CLK", "OUT_CLK")} == {
        "REF_CLK": "10", "OUT_CLK": f"{target:g}"}


def test_gatemate_limits():
    part = BOARDS["gatemate-evb"].part
    with pytest.raises(ValueError, match=r"^clock must be one that the PLL makes from 10 MHz, not 500 MHz; "):
        find_settings(10, 500, part)
    with pytest.raises(ValueError, match=r"^the PLL takes no reference of 60 MHz$"):
        find_settings(60, 25, part)


@pytest.mark.parametrize("name", BOARDS)
def test_every_boards_clock_is_made_exactly_and_gives_the_serial_line(name):
    board = BOARDS[name]
    assert achieved_mhz(board.oscillator_mhz, board.clock_mhz, board.part) == board.clock_mhz
    assert abs(board.clock_mhz * 1e6 / board.uart_divisor(board.clock_mhz) / board.baud - 1) <= 0.02


def test_reference_out_of_range():
    with pytest.raises(ValueError, match=r"^the PLL takes no reference of 5 MHz$"):
        find_settings(5, 24, UP5K)


@pytest.mark.parametrize("target", [float("nan"), float("inf"), 0, -24])
def test_frequency_that_is_none(target):
    with pytest.raises(ValueError, match=rf"^clock must be one that the PLL makes from 12 MHz, not {target:g} MHz; "):
        find_settings(12, target, UP5K)

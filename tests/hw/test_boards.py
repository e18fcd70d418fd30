"""Boards against the pins that amaranth-boards gives, and the message for one that is not known."""

import re

import pytest
from amaranth_boards.ice40_hx8k_b_evn import ICE40HX8KBEVNPlatform
from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.ulx3s import ULX3S_25F_Platform

from hw.boards import BOARDS, find_board

PLATFORMS = {"ice40": ICEBreakerPlatform, "ice40-hx8k": ICE40HX8KBEVNPlatform, "ulx3s-25f": ULX3S_25F_Platform}
#: What amaranth-boards calls a package, and a button.
PACKAGES = {"SG48": "SG48", "CT256": "CT256", "BG381": "CABGA381"}
BUTTONS = {"ice40": "button", "ulx3s-25f": "button_pwr"}


def pins(platform, name, number=0, signal=None):
    """Return the pin names of a resource of a platform class, and whether they are inverted."""
    resource = next(r for r in platform.resources if (r.name, r.number) == (name, number))
    found = next(io for io in resource.ios if signal is None or io.name == signal)
    found = found.ios[0] if signal else found
    return found.names, found.invert


def test_every_board_has_a_platform_to_compare_with():
    assert set(PLATFORMS) == set(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_pins_are_those_of_amaranth_boards(name):
    board, platform = BOARDS[name], PLATFORMS[name]
    assert (board.part.name, board.package.upper()) == (platform.device, PACKAGES[platform.package])
    assert [board.clock] == pins(platform, platform.default_clk)[0]
    assert board.oscillator_mhz == float(platform.default_clk.removeprefix("clk"))
    assert [board.rx] == pins(platform, "uart", signal="rx")[0]
    assert [board.tx] == pins(platform, "uart", signal="tx")[0]
    leds = [pins(platform, "led", number) for number in range(len(board.leds))]
    assert list(board.leds) == [names[0] for names, _ in leds]
    assert {board.leds_inverted} == {invert for _, invert in leds}
    if board.button is not None:
        assert ([board.button], True) == pins(platform, BUTTONS[name])
    if board.flash is not None:
        names = {"cs_n": "cs", "sck": "clk", "mosi": "copi", "miso": "cipo"}
        for field, signal in names.items():
            assert ([getattr(board.flash, field)], field == "cs_n") == pins(platform, "spi_flash_1x", signal=signal)


@pytest.mark.parametrize("name", BOARDS)
def test_flash_where_there_are_large_rams_to_fill(name):
    assert (BOARDS[name].flash is not None) == (BOARDS[name].part.large_rams > 0)


@pytest.mark.parametrize("name", BOARDS)
def test_find_board(name):
    assert find_board(name) is BOARDS[name]


@pytest.mark.parametrize(("name", "nearest"), [
    ("ice4", "ice40"), ("ICE40", "ice40"), ("hx8k", "ice40-hx8k"), ("ice40-hx4k", "ice40-hx8k"), ("ulx3s", "ulx3s-25f"),
])
def test_unknown_board_names_the_nearest(name, nearest):
    message = f"board must be one of ice40, ice40-hx8k, ulx3s-25f, not {name!r} (did you mean {nearest!r}?)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        find_board(name)


def test_unknown_board_without_a_near_one():
    with pytest.raises(ValueError, match=r"^board must be one of ice40, ice40-hx8k, ulx3s-25f, not 'zynq'$"):
        find_board("zynq")

"""Boards against the pins that amaranth-boards gives, and the message for one that is not known."""

import re

import pytest
from amaranth_boards.colorlight_5a75b_r7_0 import Colorlight_5A75B_R70Platform
from amaranth_boards.ice40_hx8k_b_evn import ICE40HX8KBEVNPlatform
from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.icestick import ICEStickPlatform
from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform, OrangeCrabR0_2_85FPlatform
from amaranth_boards.tang_nano_9k import TangNano9kPlatform
from amaranth_boards.tinyfpga_bx import TinyFPGABXPlatform
from amaranth_boards.ulx3s import ULX3S_25F_Platform, ULX3S_45F_Platform, ULX3S_85F_Platform

from hw.boards import BOARDS, find_board

PLATFORMS = {
    "ice40": ICEBreakerPlatform, "ice40-hx8k": ICE40HX8KBEVNPlatform, "icestick": ICEStickPlatform,
    "tinyfpga-bx": TinyFPGABXPlatform, "ulx3s-25f": ULX3S_25F_Platform, "ulx3s-45f": ULX3S_45F_Platform,
    "ulx3s-85f": ULX3S_85F_Platform, "orangecrab-25f": OrangeCrabR0_2_25FPlatform,
    "orangecrab-85f": OrangeCrabR0_2_85FPlatform, "colorlight-5a-75b": Colorlight_5A75B_R70Platform,
    "tang-nano-9k": TangNano9kPlatform,
}
#: Boards that amaranth-boards does not have; docs/boards.md says where their pins are from.
OTHERS = {"colorlight-i5", "tang-nano-20k", "gatemate-evb"}
#: What amaranth-boards calls a package, and a button.
PACKAGES = {
    "SG48": "SG48", "CT256": "CT256", "TQ144": "TQ144", "CM81": "CM81", "BG381": "CABGA381", "BG256": "CABGA256",
    "MG285": "CSFBGA285",
}
BUTTONS = {"ice40": "button", "ulx3s-25f": "button_pwr", "ulx3s-45f": "button_pwr", "ulx3s-85f": "button_pwr",
           "tang-nano-9k": "button"}
#: Serial adapters' pins (rx, tx) on a connector of a board without a serial port of its own, and its pins' names.
ADAPTERS = {"tinyfpga-bx": ("gpio", "1", "2"), "orangecrab-25f": ("io", "0", "1"), "orangecrab-85f": ("io", "0", "1")}


def pins(platform, name, number=0, signal=None):
    """Return the pin names of a resource of a platform class, and whether they are inverted."""
    resource = next(r for r in platform.resources if (r.name, r.number) == (name, number))
    found = next(io for io in resource.ios if signal is None or io.name == signal)
    found = found.ios[0] if signal else found
    return found.names, found.invert


def part_of(platform):
    """Return part and package of a platform class as ``hw.boards`` calls them."""
    if hasattr(platform, "part"):
        package = re.match(r"GW1NR-LV9(QN88P)C6/I5$", platform.part)[1]
        return platform.family, package
    return platform.device, PACKAGES[platform.package]


def lights(platform):
    """Return the pins of a platform's lights, the colours of an RGB light one after the other, and if inverted."""
    colours = [io for resource in platform.resources if resource.name == "rgb_led" for io in resource.ios]
    if colours:
        return [io.ios[0].names[0] for io in colours], colours[0].ios[0].invert
    numbers = sorted(resource.number for resource in platform.resources if resource.name == "led")
    found = [pins(platform, "led", number) for number in numbers]
    return [names[0] for names, _ in found], found[0][1]


def test_every_board_has_a_platform_to_compare_with_or_is_known_to_have_none():
    assert set(PLATFORMS) | OTHERS == set(BOARDS)


@pytest.mark.parametrize("name", PLATFORMS)
def test_pins_are_those_of_amaranth_boards(name):
    board, platform = BOARDS[name], PLATFORMS[name]
    assert (board.part.name, board.package.upper()) == part_of(platform)
    assert [board.clock] == pins(platform, platform.default_clk)[0]
    clock = next(resource for resource in platform.resources if resource.name == platform.default_clk)
    assert board.oscillator_mhz * 1e6 == clock.clock.frequency
    if name in ADAPTERS:
        connector, *numbers = ADAPTERS[name]
        mapping = next(each for each in platform.connectors if each.name == connector).mapping
        assert [board.rx, board.tx] == [mapping[number] for number in numbers]
    else:
        assert [board.rx] == pins(platform, "uart", signal="rx")[0]
        assert [board.tx] == pins(platform, "uart", signal="tx")[0]
    if board.leds:
        assert (list(board.leds), board.leds_inverted) == (lights(platform)[0][:len(board.leds)], lights(platform)[1])
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
    ("ice4", "ice40"), ("ICE40", "ice40"), ("hx8k", "ice40-hx8k"), ("ice40-hx4k", "ice40-hx8k"),
    ("ulx3s-12f", "ulx3s-25f"), ("tangnano9k", "tang-nano-9k"), ("GateMate", "gatemate-evb"),
])
def test_unknown_board_names_the_nearest(name, nearest):
    message = f"board must be one of {', '.join(BOARDS)}, not {name!r} (did you mean {nearest!r}?)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        find_board(name)


def test_unknown_board_without_a_near_one():
    with pytest.raises(ValueError, match=r"^board must be one of ice40, .*, gatemate-evb, not 'zynq'$"):
        find_board("zynq")

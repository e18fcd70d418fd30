"""The boards: a part, a clock and a few pins each. A new board with a known part is one more row."""

import difflib
from dataclasses import dataclass

from .families import ECP5, ICE40, Family

__all__ = ["BOARDS", "LARGE_RAM_SHAPE", "Board", "FlashPins", "Part", "find_board"]

#: Width x depth of one large RAM (SB_SPRAM256KA).
LARGE_RAM_SHAPE = (16, 16384)

#: What remains of a receiver's 5 % in ten bits once the host's own error is taken off.
BAUD_TOLERANCE = 0.02


@dataclass(frozen=True)
class Part:
    """What one part has.

    ``logic_cells`` each hold a 4-input LUT, a carry and a flip-flop, or on the ECP5 a 4-input LUT or half of two bits'
    carry, beside as many flip-flops; ``block_rams`` are as ``family`` says; ``large_rams`` are single-port, 16,384
    words of 16 bits, and no bitstream can initialise them. ``tiles`` is the size (x, y) of nextpnr's grid; ``yosys``
    and ``nextpnr`` are the tools' names of the part, ``None`` where Yosys asks for none.
    """

    name: str
    family: Family
    yosys: str | None
    nextpnr: str
    logic_cells: int
    block_rams: int
    large_rams: int
    multipliers: int
    tiles: tuple[int, int]


@dataclass(frozen=True)
class FlashPins:
    """Where the SPI flash is that the part is configured from; it answers on ``miso``."""

    cs_n: str
    sck: str
    mosi: str
    miso: str


@dataclass(frozen=True)
class Board:
    """One board.

    An oscillator of ``oscillator_mhz`` is on pin ``clock``, which is the PLL's own pad if ``pll_pad``. ``clock_mhz`` is
    what a design is constrained to unless the user says otherwise, ``baud`` the serial port's bits per second. ``rx``
    carries data from the host to the FPGA, ``tx`` back. ``leds`` are lit by 0 if ``leds_inverted``. ``button`` reads 0
    while pressed; ``None`` if there is none. ``flash`` can fill the part's large RAMs at start; ``None`` if it
    has none. Pins are of 3.3 V but for those in ``low_voltage``, whose bank has 1.8 V.
    """

    name: str
    title: str
    part: Part
    package: str
    oscillator_mhz: float
    clock_mhz: float
    baud: int
    clock: str
    pll_pad: bool
    rx: str
    tx: str
    leds: tuple[str, ...]
    leds_inverted: bool
    button: str | None
    flash: FlashPins | None = None
    low_voltage: tuple[str, ...] = ()

    def uart_divisor(self, clock_mhz):
        """Return the clock cycles of a bit on the serial line.

        Raises ``ValueError`` if no whole number of them is within 2 % of the line's speed.
        """
        cycles = 1e6 * clock_mhz / self.baud
        divisor = max(1, round(cycles))
        if abs(divisor / cycles - 1) > BAUD_TOLERANCE:
            raise ValueError(
                f"clock must be within 2 % of a multiple of the serial line's {self.baud / 1e6:g} MHz, "
                f"not {clock_mhz:g} MHz; try {divisor * self.baud / 1e6:g} MHz"
            )
        return divisor


UP5K = Part(
    name="iCE40UP5K", family=ICE40, yosys="u", nextpnr="up5k", logic_cells=5280, block_rams=30, large_rams=4,
    multipliers=8, tiles=(26, 32),
)
HX8K = Part(
    name="iCE40HX8K", family=ICE40, yosys="hx", nextpnr="hx8k", logic_cells=7680, block_rams=32, large_rams=0,
    multipliers=0, tiles=(34, 34),
)
LFE5U_25F = Part(
    name="LFE5U-25F", family=ECP5, yosys=None, nextpnr="25k", logic_cells=24288, block_rams=56, large_rams=0,
    multipliers=28, tiles=(73, 51),
)

#: Every board by name.
BOARDS = {
    board.name: board
    for board in (
        Board(
            name="ice40", title="iCEBreaker", part=UP5K, package="sg48", oscillator_mhz=12.0, clock_mhz=24.0,
            baud=1_000_000, clock="35", pll_pad=True, rx="6", tx="9", leds=("11", "37"), leds_inverted=True,
            button="10", flash=FlashPins(cs_n="16", sck="15", mosi="14", miso="17"),
        ),
        Board(
            name="ice40-hx8k", title="iCE40-HX8K breakout board", part=HX8K, package="ct256", oscillator_mhz=12.0,
            clock_mhz=48.0, baud=1_000_000, clock="J3", pll_pad=False, rx="B10", tx="B12",
            leds=("C3", "B3", "C4", "C5", "A1", "A2", "B4", "B5"), leds_inverted=False, button=None,
        ),
        Board(
            name="ulx3s-25f", title="ULX3S 25F", part=LFE5U_25F, package="CABGA381", oscillator_mhz=25.0,
            clock_mhz=37.5, baud=1_000_000, clock="G2", pll_pad=False, rx="M1", tx="L4",
            leds=("B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3"), leds_inverted=False, button="D6",
        ),
    )
}


def find_board(name):
    """Return the board called ``name``. Raises ``ValueError`` naming the nearest board and all that there are."""
    if name in BOARDS:
        return BOARDS[name]
    near = difflib.get_close_matches(str(name).lower(), BOARDS, n=1, cutoff=0.4)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"board must be one of {', '.join(BOARDS)}, not {name!r}{hint}")

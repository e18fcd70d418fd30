"""The boards: a part, a clock and a few pins each. A new board with a known part is one more row."""

import difflib
from dataclasses import dataclass, replace

from .families import ECP5, GATEMATE, GOWIN, ICE40, Family

__all__ = ["BOARDS", "LARGE_RAM_SHAPE", "Board", "FlashPins", "Part", "find_board"]

#: Width x depth of one large RAM (SB_SPRAM256KA).
LARGE_RAM_SHAPE = (16, 16384)

#: What remains of a receiver's 5 % in ten bits once the host's own error is taken off.
BAUD_TOLERANCE = 0.02


@dataclass(frozen=True)
class Part:
    """What one part has.

    ``logic_cells`` each hold a 4-input LUT, a carry and a flip-flop; on other families than the iCE40 a 4-input LUT or
    half of two bits' carry (Gowin: one bit's), and flip-flops are cells of their own. ``block_rams`` are as ``family``
    says; ``large_rams`` are single-port, 16,384 words of 16 bits, and no bitstream can initialise them. ``tiles`` is
    the size (x, y) of nextpnr's grid; ``yosys``, ``nextpnr`` and ``die`` are the tools' names of the part, ``None``
    where none is asked for. A popcount of n levels of adders between two registers takes ``popcount_ns[0] + n *
    popcount_ns[1]`` nanoseconds; ``None`` where that was not measured.
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
    die: str | None = None
    popcount_ns: tuple[float, float] | None = None


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
    carries data from the host to the FPGA, ``tx`` back. ``leds``, of which there may be none, are lit by 0 if
    ``leds_inverted``. ``button`` reads 0 while pressed; ``None`` if there is none. ``flash`` can fill the part's large
    RAMs at start; ``None`` if it has none. Pins are of 3.3 V but for those in ``low_voltage``, whose bank has 1.8 V.
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


# ``popcount_ns`` is above nextpnr's estimates (three seeds each) for popcounts of 15, 31 and 63 lanes alone with no,
# one and four registers: 10.3 to 35.6 ns on the UP5K, 4.2 to 12.2 on the HX8K, 5.8 to 20.2 on the LP8K, 4.0 to 14.6 on
# the ECP5.
UP5K = Part(
    name="iCE40UP5K", family=ICE40, yosys="u", nextpnr="up5k", logic_cells=5280, block_rams=30, large_rams=4,
    multipliers=8, tiles=(26, 32), popcount_ns=(6.1, 6.1),
)
HX1K = Part(
    name="iCE40HX1K", family=ICE40, yosys="hx", nextpnr="hx1k", logic_cells=1280, block_rams=16, large_rams=0,
    multipliers=0, tiles=(14, 18), popcount_ns=(2.6, 1.9),
)
HX8K = Part(
    name="iCE40HX8K", family=ICE40, yosys="hx", nextpnr="hx8k", logic_cells=7680, block_rams=32, large_rams=0,
    multipliers=0, tiles=(34, 34), popcount_ns=(2.6, 1.9),
)
LP8K = replace(HX8K, name="iCE40LP8K", yosys="lp", nextpnr="lp8k", popcount_ns=(3.2, 3.4))
LFE5U_25F = Part(
    name="LFE5U-25F", family=ECP5, yosys=None, nextpnr="25k", logic_cells=24288, block_rams=56, large_rams=0,
    multipliers=28, tiles=(73, 51), popcount_ns=(2.0, 2.6),
)
LFE5U_45F = Part(
    name="LFE5U-45F", family=ECP5, yosys=None, nextpnr="45k", logic_cells=43848, block_rams=108, large_rams=0,
    multipliers=72, tiles=(91, 72), popcount_ns=(2.0, 2.6),
)
LFE5U_85F = Part(
    name="LFE5U-85F", family=ECP5, yosys=None, nextpnr="85k", logic_cells=83640, block_rams=208, large_rams=0,
    multipliers=156, tiles=(127, 96), popcount_ns=(2.0, 2.6),
)
GW1NR_9C = Part(
    name="GW1NR-9C", family=GOWIN, yosys="gw1n", nextpnr="GW1NR-LV9QN88PC6/I5", die="GW1N-9C", logic_cells=8640,
    block_rams=26, large_rams=0, multipliers=40, tiles=(47, 29),
)
GW2AR_18C = Part(
    name="GW2AR-18C", family=GOWIN, yosys="gw2a", nextpnr="GW2AR-LV18QN88C8/I7", die="GW2A-18C", logic_cells=20736,
    block_rams=46, large_rams=0, multipliers=96, tiles=(56, 55),
)
CCGM1A1 = Part(
    name="CCGM1A1", family=GATEMATE, yosys=None, nextpnr="CCGM1A1", logic_cells=40960, block_rams=64, large_rams=0,
    multipliers=0, tiles=(166, 134),
)

ULX3S = Board(
    name="ulx3s-25f", title="ULX3S 25F", part=LFE5U_25F, package="CABGA381", oscillator_mhz=25.0, clock_mhz=37.5,
    baud=1_000_000, clock="G2", pll_pad=False, rx="M1", tx="L4",
    leds=("B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3"), leds_inverted=False, button="D6",
)
#: Its button is in a bank of 1.35 V, for DDR3 memory, and is left alone.
ORANGECRAB = Board(
    name="orangecrab-25f", title="OrangeCrab r0.2 25F, serial adapter at pins 0 and 1", part=LFE5U_25F,
    package="CSFBGA285", oscillator_mhz=48.0, clock_mhz=36.0, baud=1_000_000, clock="A9", pll_pad=False, rx="N17",
    tx="M18", leds=("K4", "M3", "J3"), leds_inverted=True, button=None,
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
            name="icestick", title="iCEstick", part=HX1K, package="tq144", oscillator_mhz=12.0, clock_mhz=48.0,
            baud=1_000_000, clock="21", pll_pad=False, rx="9", tx="8", leds=("99", "98", "97", "96", "95"),
            leds_inverted=False, button=None,
        ),
        Board(
            name="tinyfpga-bx", title="TinyFPGA BX, serial adapter at pins 1 and 2", part=LP8K, package="cm81",
            oscillator_mhz=16.0, clock_mhz=32.0, baud=1_000_000, clock="B2", pll_pad=False, rx="A2", tx="A1",
            leds=("B3",), leds_inverted=False, button=None,
        ),
        ULX3S,
        replace(ULX3S, name="ulx3s-45f", title="ULX3S 45F", part=LFE5U_45F),
        replace(ULX3S, name="ulx3s-85f", title="ULX3S 85F", part=LFE5U_85F),
        ORANGECRAB,
        replace(ORANGECRAB, name="orangecrab-85f", title=ORANGECRAB.title.replace("25F", "85F"), part=LFE5U_85F),
        Board(
            name="colorlight-i5", title="Colorlight i5 v7.0 on its extension board", part=LFE5U_25F,
            package="CABGA381", oscillator_mhz=25.0, clock_mhz=37.5, baud=1_000_000, clock="P3", pll_pad=False,
            rx="H18", tx="J17", leds=("U16",), leds_inverted=True, button="K18",
        ),
        # Its light and its button are the only pins without a driver behind them: the serial line takes both.
        Board(
            name="colorlight-5a-75b", title="Colorlight 5A-75B v7.0, serial adapter at J19's KEY+ and DATA_LED-",
            part=LFE5U_25F, package="CABGA256", oscillator_mhz=25.0, clock_mhz=37.5, baud=1_000_000, clock="P6",
            pll_pad=False, rx="M13", tx="P11", leds=(), leds_inverted=True, button=None,
        ),
        Board(
            name="tang-nano-9k", title="Tang Nano 9K", part=GW1NR_9C, package="QN88P", oscillator_mhz=27.0,
            clock_mhz=36.0, baud=1_000_000, clock="52", pll_pad=False, rx="18", tx="17",
            leds=("10", "11", "13", "14", "15", "16"), leds_inverted=True, button="3",
            low_voltage=("3", "10", "11", "13", "14", "15", "16"),
        ),
        # Its buttons read 1 while pressed.
        Board(
            name="tang-nano-20k", title="Tang Nano 20K", part=GW2AR_18C, package="QN88", oscillator_mhz=27.0,
            clock_mhz=54.0, baud=1_000_000, clock="4", pll_pad=False, rx="70", tx="69",
            leds=("15", "16", "17", "18", "19", "20"), leds_inverted=True, button=None,
        ),
        Board(
            name="gatemate-evb", title="GateMate evaluation board, Pmod USB-UART at PMODA", part=CCGM1A1,
            package="FBGA324", oscillator_mhz=10.0, clock_mhz=25.0, baud=1_000_000, clock="IO_SB_A8", pll_pad=False,
            rx="IO_NB_A2", tx="IO_NB_A1",
            leds=("IO_EB_B1", "IO_EB_B2", "IO_EB_B3", "IO_EB_B4", "IO_EB_B5", "IO_EB_B6", "IO_EB_B7", "IO_EB_B8"),
            leds_inverted=True, button="IO_EB_B0",
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

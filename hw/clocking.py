"""A board's clock and its reset."""

from amaranth import C, ClockDomain, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from hw.families import ECP5
from hw.pll import achieved_mhz, find_settings

__all__ = ["ClockAndReset"]

#: Block RAM reads wrongly for some microseconds after the iCE40 has loaded its bitstream.
RESET_US = 20


class ClockAndReset(wiring.Component):
    """Makes a board's clock, and a reset that lasts until all of it is stable.

    Reset lasts 20 us from configuration, from the PLL's lock and from the button's release, whichever is last.

    Parameters
    ----------
    board : Board
    clock_mhz : float
        The frequency of ``clk``; the oscillator's needs no PLL.

    Members
    -------
    clock : In(1)
        The board's oscillator.
    pressed : In(1)
        The button, asynchronous; 1 while it is pressed.
    clk : Out(1)
    rst : Out(1)
        Synchronous to ``clk``; 1 from the start.

    Raises
    ------
    ValueError
        If the PLL cannot make the frequency.
    """

    def __init__(self, *, board, clock_mhz):
        self.board = board
        family = board.part.family
        by_pll = clock_mhz != board.oscillator_mhz
        self.settings = find_settings(board.oscillator_mhz, clock_mhz, family) if by_pll else None
        self.clock_mhz = achieved_mhz(board.oscillator_mhz, clock_mhz, family)
        super().__init__({"clock": In(1), "pressed": In(1), "clk": Out(1), "rst": Out(1)})

    @property
    def reset_cycles(self):
        """Cycles of ``clk`` that reset lasts once everything is stable."""
        return round(RESET_US * self.clock_mhz)

    def elaborate(self, platform):
        m = Module()
        # The design's own domain is in reset until this one, which has none, says so.
        m.domains.waiting = waiting = ClockDomain(reset_less=True, local=True)
        m.d.comb += waiting.clk.eq(self.clk)

        locked, stable, unpressed = Signal(), Signal(), Signal()
        if self.settings is None:
            m.d.comb += [self.clk.eq(self.clock), locked.eq(1)]
        else:
            make = self._ecp5_pll if self.board.part.family is ECP5 else self._ice40_pll
            m.submodules.pll = make(self.clk, locked)
        m.submodules.locked = FFSynchronizer(locked, stable, o_domain="waiting")
        m.submodules.button = FFSynchronizer(~self.pressed, unpressed, o_domain="waiting")

        waited = Signal(range(self.reset_cycles + 1))
        m.d.comb += self.rst.eq(waited != self.reset_cycles)
        with m.If(~(stable & unpressed)):
            m.d.waiting += waited.eq(0)
        with m.Elif(self.rst):
            m.d.waiting += waited.eq(waited + 1)
        return m

    def _ice40_pll(self, output, locked):
        settings = self.settings
        # A PLL whose own pad has the oscillator takes it there; elsewhere it comes through the fabric.
        kind, source = ("PAD", "PACKAGEPIN") if self.board.pll_pad else ("CORE", "REFERENCECLK")
        return Instance(
            f"SB_PLL40_{kind}", ("p", "FEEDBACK_PATH", "SIMPLE"), ("p", "DIVR", C(settings.divr, 4)),
            ("p", "DIVF", C(settings.divf, 7)), ("p", "DIVQ", C(settings.divq, 3)),
            ("p", "FILTER_RANGE", C(settings.filter_range, 3)), ("i", source, self.clock), ("i", "RESETB", C(1)),
            ("i", "BYPASS", C(0)), ("o", "PLLOUTGLOBAL", output), ("o", "LOCK", locked),
        )

    def _ecp5_pll(self, output, locked):
        settings = self.settings
        return Instance(
            "EHXPLLL", ("a", "FREQUENCY_PIN_CLKI", f"{self.board.oscillator_mhz:g}"),
            ("a", "FREQUENCY_PIN_CLKOP", f"{settings.output_mhz:g}"),
            # The loop's filter as ecppll sets it, whatever the frequency.
            ("a", "ICP_CURRENT", "12"), ("a", "LPF_RESISTOR", "8"), ("a", "MFG_ENABLE_FILTEROPAMP", "1"),
            ("a", "MFG_GMCREF_SEL", "2"), ("p", "PLLRST_ENA", "DISABLED"), ("p", "INTFB_WAKE", "DISABLED"),
            ("p", "STDBY_ENABLE", "DISABLED"), ("p", "DPHASE_SOURCE", "DISABLED"), ("p", "OUTDIVIDER_MUXA", "DIVA"),
            ("p", "FEEDBK_PATH", "CLKOP"), ("p", "CLKOP_ENABLE", "ENABLED"), ("p", "CLKI_DIV", settings.clki),
            ("p", "CLKFB_DIV", settings.clkfb), ("p", "CLKOP_DIV", settings.clkop),
            # Phase 0, though nothing depends on it: the input clocks nothing else.
            ("p", "CLKOP_CPHASE", settings.clkop - 1), ("p", "CLKOP_FPHASE", 0),
            ("i", "CLKI", self.clock), ("i", "CLKFB", output), ("i", "RST", C(0)), ("i", "STDBY", C(0)),
            ("i", "PHASESEL0", C(0)), ("i", "PHASESEL1", C(0)), ("i", "PHASEDIR", C(1)), ("i", "PHASESTEP", C(1)),
            ("i", "PHASELOADREG", C(1)), ("i", "PLLWAKESYNC", C(0)), ("i", "ENCLKOP", C(0)),
            ("o", "CLKOP", output), ("o", "LOCK", locked),
        )

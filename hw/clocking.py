"""A board's clock and its reset."""

from amaranth import C, ClockDomain, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from hw.pll import find_settings

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
        A register of ``clk``, 1 from the start.

    Raises
    ------
    ValueError
        If the PLL cannot make the frequency.
    """

    def __init__(self, *, board, clock_mhz):
        self.board = board
        by_pll = clock_mhz != board.oscillator_mhz
        settings = find_settings(board.oscillator_mhz, clock_mhz, board.part) if by_pll else None
        self.clock_mhz = settings.output_mhz if by_pll else clock_mhz
        self._pll = settings.cell(board) if by_pll else None
        super().__init__({"clock": In(1), "pressed": In(1), "clk": Out(1), "rst": Out(1, init=1)})

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
        if self._pll is None:
            m.d.comb += [self.clk.eq(self.clock), locked.eq(1)]
        else:
            m.submodules.pll = _instance(self._pll, self.clock, self.clk, locked)
        m.submodules.locked = FFSynchronizer(locked, stable, o_domain="waiting")
        m.submodules.button = FFSynchronizer(~self.pressed, unpressed, o_domain="waiting")

        waited, waits = Signal(range(self.reset_cycles)), Signal()
        m.d.comb += waits.eq(waited != self.reset_cycles - 1)
        m.d.waiting += self.rst.eq(waits)
        with m.If(~(stable & unpressed)):
            m.d.waiting += waited.eq(0)
        with m.Elif(waits):
            m.d.waiting += waited.eq(waited + 1)
        return m


def _instance(cell, reference, output, locked):
    """An instance of a ``PllCell`` between three signals."""
    constants = [
        (kind, name, C(*value) if isinstance(value, tuple) else value)
        for kind, values in (("p", cell.parameters), ("a", cell.attributes), ("i", cell.inputs))
        for name, value in values.items()
    ]
    feedback = [] if cell.feedback is None else [("i", cell.feedback, output)]
    return Instance(
        cell.kind, *constants, *feedback, ("i", cell.reference, reference), ("o", cell.output, output),
        ("o", cell.locked, locked))

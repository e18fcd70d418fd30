"""A whole board: clock, reset, serial link, accelerator and lights."""

from amaranth import Cat, ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.accelerator import Accelerator
from hw.boards import Board
from hw.clocking import ClockAndReset
from hw.link import UartLink
from hw.receiver import FrameError
from sw.program import Program

__all__ = ["BoardTop", "SerialAccelerator", "board_pins"]

#: On a board a request whose next byte is this late is given up. Hosts send in bursts, some milliseconds apart.
TIMEOUT_SECONDS = 0.05


class SerialAccelerator(wiring.Component):
    """An accelerator behind a serial link, with its status.

    Parameters
    ----------
    program : Program
    divisor : int
        Clock cycles of a bit on the line.
    timeout_bits : int
        A request whose next byte is this late, in bits on the line, is given up.

    Members
    -------
    rx : In(1)
        From the host; asynchronous.
    tx : Out(1)
        To the host.
    refused : Out(1)
        The last frame was dropped.
    label : Out(8)
        The class of the last result sent.
    """

    def __init__(self, *, program, divisor, timeout_bits=2000):
        self.program = program
        self.divisor = divisor
        self.timeout_bits = timeout_bits
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "refused": Out(1), "label": Out(8)})

    def elaborate(self, platform):
        m = Module()
        program = self.program
        m.submodules.accelerator = accelerator = Accelerator(program)
        m.submodules.link = link = UartLink(
            payload_bytes=program.input_bytes, result_bytes=program.result_bytes, divisor=self.divisor,
            timeout=self.timeout_bits * self.divisor)
        m.d.comb += [link.rx.eq(self.rx), self.tx.eq(link.tx)]
        wiring.connect(m, link.o, accelerator.s_axis)
        wiring.connect(m, accelerator.m_axis, link.i)

        result = accelerator.m_axis
        with m.If(result.tvalid & result.tready & result.tlast):
            m.d.sync += [self.label.eq(result.tdata), self.refused.eq(0)]
        with m.If(accelerator.error != FrameError.NONE):
            m.d.sync += self.refused.eq(1)
        return m


class BoardTop(wiring.Component):
    """The top of a board's design: its ports are pins.

    The first light says that the design runs, the second that the last frame was refused; further lights show the
    number of the last class, lowest bit first.

    Parameters
    ----------
    program : Program
    board : Board
    clock_mhz : float, optional
        The accelerator's clock; the board's own unless given.

    Members
    -------
    clock, rx : In(1)
    tx : Out(1)
    leds : Out(number of lights)
    button : In(1), if the board has one

    Raises
    ------
    TypeError
        If ``program`` is not a Program or ``board`` not a Board.
    ValueError
        If the PLL cannot make the frequency, or the serial line's speed cannot be made from it.
    """

    def __init__(self, program, board, *, clock_mhz=None):
        if not isinstance(program, Program):
            raise TypeError(f"BoardTop program must be a sw.program.Program, not {program!r}")
        if not isinstance(board, Board):
            raise TypeError(f"BoardTop board must be a hw.boards.Board, not {board!r}")
        self.program = program
        self.board = board
        self._clock = ClockAndReset(board=board, clock_mhz=board.clock_mhz if clock_mhz is None else clock_mhz)
        self._divisor = board.uart_divisor(self.clock_mhz)
        button = {} if board.button is None else {"button": In(1, init=1)}
        super().__init__({
            "clock": In(1), "rx": In(1, init=1), "tx": Out(1, init=1), "leds": Out(len(board.leds)), **button,
        })

    @property
    def clock_mhz(self):
        """The accelerator's clock as the PLL makes it."""
        return self._clock.clock_mhz

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain()
        m.submodules.clocking = clocking = self._clock
        m.submodules.serial = serial = SerialAccelerator(
            program=self.program, divisor=self._divisor, timeout_bits=round(TIMEOUT_SECONDS * self.board.baud))
        lights = Cat(~sync.rst, serial.refused, serial.label)[:len(self.board.leds)]
        m.d.comb += [
            clocking.clock.eq(self.clock),
            sync.clk.eq(clocking.clk),
            sync.rst.eq(clocking.rst),
            clocking.pressed.eq(0 if self.board.button is None else ~self.button),
            serial.rx.eq(self.rx),
            self.tx.eq(serial.tx),
            self.leds.eq(~lights if self.board.leds_inverted else lights),
        ]
        return m


def board_pins(board):
    """Return the pin of each port of a ``BoardTop`` on ``board``."""
    pins = {"clock": board.clock, "rx": board.rx, "tx": board.tx}
    pins |= {f"leds[{index}]": pin for index, pin in enumerate(board.leds)}
    return pins if board.button is None else pins | {"button": board.button}

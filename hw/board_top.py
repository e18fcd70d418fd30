"""A whole board: clock, reset, serial link, accelerator and lights."""

from dataclasses import asdict
from math import ceil

from amaranth import Cat, ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.accelerator import Accelerator
from hw.boards import Board
from hw.clocking import ClockAndReset
from hw.design import memory_plans, programs_of
from hw.flash import FlashLoader
from hw.flash_image import STORE_OFFSET
from hw.link import UartLink
from hw.pipeline import PipelinedAccelerator
from hw.receiver import FrameError
from hw.word_tail import load_members
from sw.pipeline import Pipeline
from sw.program import Program
from sw.word_unit import STORE_WIDTH

__all__ = ["BoardTop", "FlashSignature", "SerialAccelerator", "board_pins", "has_flash_store"]

#: What a flash needs after it was woken, with a margin.
WAKE_US = 4

#: On a board a request whose next byte is this late is given up. Hosts send in bursts, some milliseconds apart.
TIMEOUT_SECONDS = 0.05


def has_flash_store(program):
    """Whether a program's weights come from a board's SPI flash."""
    return program.words is not None and program.words.shared


class FlashSignature(wiring.Signature):
    """Pins of an SPI flash.

    Members
    -------
    cs_n, sck, mosi : Out(1)
    miso : In(1)
    """

    def __init__(self):
        super().__init__({"cs_n": Out(1, init=1), "sck": Out(1), "mosi": Out(1), "miso": In(1, init=1)})


class SerialAccelerator(wiring.Component):
    """An accelerator behind a serial link, with its status.

    Parameters
    ----------
    program : Program or Pipeline
    divisor : int
        Clock cycles of a bit on the line.
    popcounts : sequence of str, optional
        For each engine a key of ``hw.popcount.IMPLEMENTATIONS``; ``"portable"`` unless given.
    memories : sequence of MemoryPlan, optional
        For each engine, as ``hw.accelerator.Accelerator``.
    timeout_bits : int
        A request whose next byte is this late, in bits on the line, is given up.
    wake_cycles : int
        Cycles from waking the flash to its first read, where the program's store comes from there.

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
    flash : Out(FlashSignature)
        If the program's store comes from an SPI flash. Until it has come, requests are answered with an error.
    damaged : Out(1)
        The store did not come whole; it and ``flash`` are there together.
    """

    def __init__(self, *, program, divisor, popcounts=None, memories=None, timeout_bits=2000, wake_cycles=72):
        self.program = program
        self.divisor = divisor
        self.popcounts = popcounts
        self.memories = memories
        self.timeout_bits = timeout_bits
        self.wake_cycles = wake_cycles
        store = {"flash": Out(FlashSignature()), "damaged": Out(1)} if has_flash_store(program) else {}
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "refused": Out(1), "label": Out(8), **store})

    def elaborate(self, platform):
        m = Module()
        program = self.program
        m.submodules.accelerator = accelerator = self._accelerator()
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
        if has_flash_store(program):
            self._load_store(m, accelerator, link)
        return m

    def _accelerator(self):
        if isinstance(self.program, Pipeline):
            return PipelinedAccelerator(self.program, self.popcounts, self.memories)
        return Accelerator(self.program, *(self.popcounts or ["portable"]), *(self.memories or [None]))

    def _load_store(self, m, accelerator, link):
        """Fill the accelerator's store from the flash."""
        parts = STORE_WIDTH // 16
        m.submodules.loader = loader = FlashLoader(
            words=parts * len(self.program.words.store), parts=parts, offset=STORE_OFFSET,
            wake_cycles=self.wake_cycles)
        m.d.comb += [getattr(accelerator, name).eq(getattr(loader, name)) for name in load_members(self.program)]
        m.d.comb += [
            self.flash.cs_n.eq(loader.cs_n),
            self.flash.sck.eq(loader.sck),
            self.flash.mosi.eq(loader.mosi),
            loader.miso.eq(self.flash.miso),
            accelerator.loaded.eq(loader.done),
            link.busy.eq(~loader.done),
            link.fault.eq(loader.failed),
            self.damaged.eq(loader.failed),
        ]


class BoardTop(wiring.Component):
    """The top of a board's design: its ports are pins.

    The first light says that the design runs, the second that the last frame was refused, or that the weights in the
    board's flash are damaged; further lights show the number of the last class, lowest bit first.

    Parameters
    ----------
    program : Program or Pipeline
    board : Board
    clock_mhz : float, optional
        The accelerator's clock; the board's own unless given.

    Members
    -------
    clock, rx : In(1)
    tx : Out(1)
    leds : Out(number of lights), if the board has any
    button : In(1), if the board has one
    flash : Out(FlashSignature), if the program's store comes from there

    Raises
    ------
    TypeError
        If ``program`` is neither a Program nor a Pipeline, or ``board`` not a Board.
    ValueError
        If the PLL cannot make the frequency, or the serial line's speed cannot be made from it, or the program's
        store comes from a flash that the board does not have.
    """

    def __init__(self, program, board, *, clock_mhz=None):
        if not isinstance(program, Program | Pipeline):
            raise TypeError(f"BoardTop program must be a sw.program.Program or a sw.pipeline.Pipeline, not {program!r}")
        if not isinstance(board, Board):
            raise TypeError(f"BoardTop board must be a hw.boards.Board, not {board!r}")
        self.program = program
        self.board = board
        self._clock = ClockAndReset(board=board, clock_mhz=board.clock_mhz if clock_mhz is None else clock_mhz)
        self._divisor = board.uart_divisor(self.clock_mhz)
        if has_flash_store(program) and board.flash is None:
            raise ValueError(f"BoardTop program has its store in a flash, which board {board.name} does not have; "
                             f"compile it with the store in block RAM")
        button = {} if board.button is None else {"button": In(1, init=1)}
        flash = {"flash": Out(FlashSignature())} if has_flash_store(program) else {}
        leds = {"leds": Out(len(board.leds))} if board.leds else {}
        super().__init__({"clock": In(1), "rx": In(1, init=1), "tx": Out(1, init=1), **leds, **button, **flash})

    @property
    def clock_mhz(self):
        """The accelerator's clock as the PLL makes it."""
        return self._clock.clock_mhz

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain(async_reset=self.board.part.family.asynchronous_reset)
        m.submodules.clocking = clocking = self._clock
        m.submodules.serial = serial = SerialAccelerator(
            program=self.program, divisor=self._divisor,
            popcounts=[self.board.part.family.popcount(program.engine.lanes) for program in programs_of(self.program)],
            memories=memory_plans(self.program, self.board.part),
            timeout_bits=round(TIMEOUT_SECONDS * self.board.baud), wake_cycles=ceil(WAKE_US * self.clock_mhz))
        refused = serial.refused
        if has_flash_store(self.program):
            refused |= serial.damaged
            wiring.connect(m, serial.flash, wiring.flipped(self.flash))
        lights = Cat(~sync.rst, refused, serial.label)[:len(self.board.leds)]
        m.d.comb += [
            clocking.clock.eq(self.clock),
            sync.clk.eq(clocking.clk),
            sync.rst.eq(clocking.rst),
            clocking.pressed.eq(0 if self.board.button is None else ~self.button),
            serial.rx.eq(self.rx),
            self.tx.eq(serial.tx),
        ]
        if self.board.leds:
            m.d.comb += self.leds.eq(~lights if self.board.leds_inverted else lights)
        return m


def board_pins(board, program):
    """Return the pin of each port of a ``BoardTop`` of ``program`` on ``board``."""
    pins = {"clock": board.clock, "rx": board.rx, "tx": board.tx}
    if has_flash_store(program):
        pins |= {f"flash__{name}": pin for name, pin in asdict(board.flash).items()}
    # A port of one bit has no index.
    pins |= {f"leds[{index}]" if len(board.leds) > 1 else "leds": pin for index, pin in enumerate(board.leds)}
    return pins if board.button is None else pins | {"button": board.button}

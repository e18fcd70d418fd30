"""Input unit for a vector of 1-bit values: the first layer is fully connected."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.axi_stream import AxiStreamSignature
from hw.memory import SimpleDualPortMemory
from hw.receiver import FrameError, FrameReceiver

__all__ = ["VectorInput"]


class VectorInput(wiring.Component):
    """Two buffers of packed input bits: one is filled while the other is read.

    Latency: 2 cycles from ``address`` to ``activations``.

    Parameters
    ----------
    size : int
        Values of a frame; they come 8 to a beat, the first in the lowest bit.
    columns, lanes : int
        All columns get the same word. ``lanes`` is a multiple of 8.

    Members
    -------
    i : In(AxiStreamSignature(8, user_width=1))
    error : Out(FrameError)
    available : Out(1)
        A whole frame waits to be computed.
    begin : In(1)
        The engine starts on the oldest frame.
    release : In(1)
        The engine has read that frame for the last time.
    address : In(range(words))
    selected : In(1)
        While 0, ``activations`` are 0.
    activations : Out(ArrayLayout(lanes, columns))

    Raises
    ------
    ValueError
        If ``lanes`` is not a multiple of 8.
    """

    def __init__(self, *, size, columns, lanes):
        if lanes % 8:
            raise ValueError(f"VectorInput lanes must be a multiple of 8, not {lanes!r}")
        self.size = size
        self.columns = columns
        self.lanes = lanes
        super().__init__({
            "i": In(AxiStreamSignature(8, user_width=1)),
            "error": Out(FrameError),
            "available": Out(1),
            "begin": In(1),
            "release": In(1),
            "address": In(range(max(2, self.words))),
            "selected": In(1, init=1),
            "activations": Out(data.ArrayLayout(lanes, columns)),
        })

    @property
    def words(self):
        """Words of a frame."""
        return -(-self.size // self.lanes)

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver(beats=-(-self.size // 8), word_beats=self.lanes // 8)
        buffer = 1 << (max(2, self.words) - 1).bit_length()
        m.submodules.memory = memory = SimpleDualPortMemory(width=self.lanes, depth=2 * buffer)
        wiring.connect(m, wiring.flipped(self.i), receiver.i)
        m.d.comb += self.error.eq(receiver.error)

        # Frames are filled, computed and released in turn; ``held`` frames occupy a buffer, ``waiting`` are whole and
        # not begun.
        held = Signal(2)
        waiting = Signal(2)
        filling = Signal()
        reading = Signal()
        m.d.comb += [receiver.room.eq(held != 2), self.available.eq(waiting != 0)]
        m.d.sync += [
            held.eq(held + receiver.commit - self.release),
            waiting.eq(waiting + receiver.commit - self.begin),
            filling.eq(filling ^ receiver.commit),
            reading.eq(reading ^ self.release),
        ]

        word = receiver.word
        collected = Signal(self.lanes)
        incoming = Signal(self.lanes)
        with m.Switch(receiver.part):
            for index in range(receiver.word_beats):
                with m.Case(index):
                    m.d.comb += incoming.eq(Cat(collected[:8 * index], receiver.byte))
        with m.If(receiver.write):
            m.d.sync += collected.eq(incoming)
        m.d.comb += [
            memory.write_enable.eq(receiver.write & receiver.word_full),
            memory.write_address.eq(Cat(word, filling) if len(word) == (buffer - 1).bit_length()
                                    else word + filling * buffer),
            memory.write_data.eq(incoming),
        ]

        address = Signal.like(self.address)
        m.d.sync += address.eq(self.address)
        m.d.comb += memory.read_address.eq(address + reading * buffer)
        for column in range(self.columns):
            m.d.comb += self.activations[column].eq(Mux(self.selected, memory.read_data, 0))
        return m

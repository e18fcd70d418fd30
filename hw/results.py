"""Scores to the outside: buffers a frame's scores, finds the class, and sends both as bytes."""

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.axi_stream import AxiStreamSignature
from hw.memory import SimpleDualPortMemory

__all__ = ["ResultSender"]

FRAMES = 2


class ResultSender(wiring.Component):
    """Buffers the scores of two frames, so that a slow receiver does not hold up the engine at once.

    A result is each class's score, ``score_bytes`` bytes two's complement, lowest byte first, then one byte with the
    class: the lowest index of the highest score. TLAST marks the class byte.

    Latency: the first byte is offered 2 cycles after the frame's last score, then a byte a cycle, whatever
    ``score_bytes`` is; one cycle passes between results.

    Parameters
    ----------
    classes : int
        1 to 256.
    score_width : int
        Bits of a score, from 9 to those of ``score_bytes``.
    score_bytes : int
        2 or 4.

    Members
    -------
    begin_frame : In(1)
        The engine starts a frame: its first score will be class 0's.
    score_valid : In(1)
    score : In(signed(score_width))
        In order of class; any beyond the last class are ignored.
    room : Out(1)
        Another frame's scores can be taken.
    o : Out(AxiStreamSignature(8))
    """

    def __init__(self, *, classes, score_width, score_bytes=2):
        if not isinstance(classes, int) or not 1 <= classes <= 256:
            raise ValueError(f"ResultSender classes must be an integer from 1 to 256, not {classes!r}")
        if score_bytes not in (2, 4):
            raise ValueError(f"ResultSender score_bytes must be 2 or 4, not {score_bytes!r}")
        if not 9 <= score_width <= 8 * score_bytes:
            raise ValueError(f"ResultSender score_width must be from 9 to {8 * score_bytes}, not {score_width!r}")
        self.classes = classes
        self.score_width = score_width
        self.score_bytes = score_bytes
        super().__init__({
            "begin_frame": In(1),
            "score_valid": In(1),
            "score": In(signed(score_width)),
            "room": Out(1),
            "o": Out(AxiStreamSignature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        slot = 1 << (self.classes - 1).bit_length()
        m.submodules.memory = memory = SimpleDualPortMemory(width=self.score_width, depth=max(2, FRAMES * slot))

        received = Signal(range(self.classes + 1))
        writing = Signal()
        reading = Signal()
        held = Signal(range(FRAMES + 1))
        accept = self.score_valid & (received != self.classes)
        complete = accept & (received == self.classes - 1)
        release = Signal()
        m.d.comb += [
            memory.write_enable.eq(accept),
            memory.write_address.eq(received + writing * slot),
            memory.write_data.eq(self.score),
            self.room.eq(held != FRAMES),
        ]
        m.d.sync += [writing.eq(writing ^ complete), reading.eq(reading ^ release),
                     held.eq(held + complete - release)]
        with m.If(accept):
            m.d.sync += received.eq(received + 1)
        with m.If(self.begin_frame):
            m.d.sync += received.eq(0)

        index = Signal(range(self.classes + 1))
        high = Signal(signed(self.score_width - 8))
        left = Signal(range(self.score_bytes - 1))  # bytes behind this one
        best = Signal.like(self.score)
        winner = Signal(8)
        score = memory.read_data.as_signed()
        m.d.comb += memory.read_address.eq(index + reading * slot)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(held != 0):
                    m.next = "LOW"
            with m.State("LOW"):
                m.d.comb += [self.o.tvalid.eq(1), self.o.tdata.eq(score[:8])]
                with m.If(self.o.tready):
                    m.d.sync += [high.eq(score >> 8), left.eq(self.score_bytes - 2), index.eq(index + 1)]
                    with m.If((index == 0) | (score > best)):
                        m.d.sync += [best.eq(score), winner.eq(index)]
                    m.next = "HIGH"
            with m.State("HIGH"):
                m.d.comb += [self.o.tvalid.eq(1), self.o.tdata.eq(high)]
                with m.If(self.o.tready):
                    with m.If(left != 0):
                        m.d.sync += [high.eq(high >> 8), left.eq(left - 1)]
                    with m.Elif(index == self.classes):
                        m.next = "CLASS"
                    with m.Else():
                        m.next = "LOW"
            with m.State("CLASS"):
                m.d.comb += [self.o.tvalid.eq(1), self.o.tdata.eq(winner), self.o.tlast.eq(1)]
                with m.If(self.o.tready):
                    m.d.comb += release.eq(1)
                    m.d.sync += index.eq(0)
                    m.next = "IDLE"
        return m

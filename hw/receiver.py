"""Frames from the AXI4-Stream edge: counts the beats of each frame and commits it, or reports why not."""

from amaranth import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from hw.axi_stream import AxiStreamSignature

__all__ = ["FrameError", "FrameReceiver"]


class FrameError(enum.Enum, shape=2):
    """Why a frame was dropped."""

    NONE = 0
    #: TLAST came before the frame's last beat.
    SHORT = 1
    #: The frame's last beat came without TLAST; everything up to the next TLAST is dropped.
    LONG = 2
    #: TUSER was 1 with TLAST: the sender marks the frame as bad.
    REFUSED = 3


class FrameReceiver(wiring.Component):
    """Writes the beats of a frame to a buffer and says when the frame is whole.

    A frame is ``beats`` transfers, the last with TLAST. A frame of another length, or with TUSER at its TLAST, is
    dropped: the next frame overwrites it.

    Latency: ``write``, ``commit`` and ``error`` are combinational with the transfer.

    Parameters
    ----------
    beats : int
        Transfers of a frame, at least 1.

    Members
    -------
    i : In(AxiStreamSignature(8, user_width=1))
    room : In(1)
        A buffer is free; while 0 nothing is accepted.
    byte : Out(8)
    write : Out(1)
        ``byte`` is beat number ``index`` of the frame.
    index : Out(range(beats))
    commit : Out(1)
        The frame is whole.
    error : Out(FrameError)
        The frame was dropped; in the cycle of its TLAST, or of the beat that should have had one.
    """

    def __init__(self, *, beats):
        if not isinstance(beats, int) or beats < 1:
            raise ValueError(f"FrameReceiver beats must be a positive integer, not {beats!r}")
        self.beats = beats
        super().__init__({
            "i": In(AxiStreamSignature(8, user_width=1)),
            "room": In(1),
            "byte": Out(8),
            "write": Out(1),
            "index": Out(range(max(2, beats))),
            "commit": Out(1),
            "error": Out(FrameError),
        })

    def elaborate(self, platform):
        m = Module()
        dropping = Signal()
        complete = self.index == self.beats - 1
        transfer = self.i.tvalid & self.i.tready
        m.d.comb += [
            self.i.tready.eq(self.room),
            self.byte.eq(self.i.tdata),
            self.write.eq(transfer & ~dropping),
        ]
        with m.If(transfer):
            m.d.sync += self.index.eq(Mux(self.i.tlast | complete | dropping, 0, self.index + 1))
            with m.If(self.i.tlast):
                m.d.sync += dropping.eq(0)
            with m.If(~dropping):
                with m.If(self.i.tlast & ~complete):
                    m.d.comb += self.error.eq(FrameError.SHORT)
                with m.Elif(self.i.tlast & self.i.tuser):
                    m.d.comb += self.error.eq(FrameError.REFUSED)
                with m.Elif(self.i.tlast):
                    m.d.comb += self.commit.eq(1)
                with m.Elif(complete):
                    m.d.comb += self.error.eq(FrameError.LONG)
                    m.d.sync += dropping.eq(1)
        return m

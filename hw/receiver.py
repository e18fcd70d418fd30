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
    dropped: the next frame overwrites it. Words of a buffer have ``word_beats`` transfers each, the frame's last word
    what remains.

    Latency: ``write``, ``commit`` and ``error`` are combinational with the transfer.

    Parameters
    ----------
    beats : int
        Transfers of a frame, at least 1.
    word_beats : int
        Transfers of a word, at least 1.

    Members
    -------
    i : In(AxiStreamSignature(8, user_width=1))
    room : In(1)
        A buffer is free; while 0 nothing is accepted.
    byte : Out(8)
    write : Out(1)
        ``byte`` is beat number ``part`` of the frame's word number ``word``.
    word : Out(range(words))
    part : Out(range(word_beats))
    word_full : Out(1)
        It is the word's last one.
    commit : Out(1)
        The frame is whole.
    error : Out(FrameError)
        The frame was dropped; in the cycle of its TLAST, or of the beat that should have had one.
    """

    def __init__(self, *, beats, word_beats=1):
        for name, value in (("beats", beats), ("word_beats", word_beats)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"FrameReceiver {name} must be a positive integer, not {value!r}")
        self.beats = beats
        self.word_beats = word_beats
        super().__init__({
            "i": In(AxiStreamSignature(8, user_width=1)),
            "room": In(1),
            "byte": Out(8),
            "write": Out(1),
            "word": Out(range(max(2, self.words))),
            "part": Out(range(max(2, word_beats))),
            "word_full": Out(1),
            "commit": Out(1),
            "error": Out(FrameError),
        })

    @property
    def words(self):
        """Words of a frame."""
        return -(-self.beats // self.word_beats)

    def elaborate(self, platform):
        m = Module()
        dropping = Signal()
        complete = (self.word == self.words - 1) & (self.part == (self.beats - 1) % self.word_beats)
        transfer = self.i.tvalid & self.i.tready
        m.d.comb += [
            self.i.tready.eq(self.room),
            self.byte.eq(self.i.tdata),
            self.write.eq(transfer & ~dropping),
            self.word_full.eq((self.part == self.word_beats - 1) | complete),
        ]
        with m.If(transfer):
            with m.If(self.i.tlast | complete | dropping):
                m.d.sync += [self.word.eq(0), self.part.eq(0)]
            with m.Else():
                m.d.sync += [
                    self.word.eq(self.word + self.word_full), self.part.eq(Mux(self.word_full, 0, self.part + 1)),
                ]
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

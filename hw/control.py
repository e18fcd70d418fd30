"""Layer by layer: reads descriptors from the program ROM and starts each layer when its inputs are there."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.memory import Rom
from sw.descriptor import BITS, SEQUENCER_WORDS, WORD_BITS

__all__ = ["LayerControl"]


class LayerControl(wiring.Component):
    """Runs the program round and round, a frame a round.

    The sequencer's half of a layer's descriptor is read while the layer before it drains. The rest follows once that
    layer's last result is written, the frame (for the first layer) is there, and the result buffer (for the last) has
    room. Then ``begin`` starts the layer.

    Latency: ``begin`` comes ``format.drain_words`` + 1 cycles after the last of: ``SEQUENCER_WORDS`` + 1 cycles after
    ``issued``; the cycle after ``drained``; ``frame_available``; ``result_room``; ``fetched``.

    Parameters
    ----------
    program : sequence of int
        Descriptors of all layers, 16-bit words.
    format : sw.descriptor.Format
        Theirs.

    Members
    -------
    fields : dict of Signal
        Not a port: the descriptor's fields by name, for the units to read; each as wide as the program's largest value.
    issued : In(1)
        The layer's last beat has been issued.
    drained : In(1)
        The layer's last result is written.
    frame_available, result_room : In(1)
    fetched : In(1)
        The layer's weights are there.
    begin : Out(1)
        A layer starts in this cycle; its fields stay until it is drained.
    begin_frame : Out(1)
        With ``begin``: it is the frame's first.
    layer : Out(8)
        Number of the layer that runs.
    """

    def __init__(self, *, program, format=BITS):
        self.program = list(program)
        self.format = format
        words = format.words
        if not self.program or len(self.program) % words:
            raise ValueError(f"LayerControl program must be a multiple of {words} words, not {len(self.program)}")
        largest = dict.fromkeys(format.fields, 0)
        for start in range(0, len(self.program), words):
            for name, value in format.decode(self.program[start:start + words]).items():
                largest[name] = max(largest[name], value)
        self.fields = {name: Signal(range(value + 1), name=f"field_{name}") for name, value in largest.items()}
        super().__init__({
            "issued": In(1),
            "drained": In(1),
            "frame_available": In(1),
            "result_room": In(1),
            "fetched": In(1, init=1),
            "begin": Out(1),
            "begin_frame": Out(1),
            "layer": Out(8),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.rom = rom = Rom(width=WORD_BITS, words=self.program, fixed=True)
        counter = Signal.like(rom.address)
        index = Signal(range(self.format.words))
        reading = Signal()
        # The ROM shows the word before ``counter`` until it is read, and takes the next one meanwhile.
        ahead = Signal()
        m.d.comb += [rom.address.eq(counter), rom.enable.eq(ahead | reading)]
        with m.If(rom.enable):
            m.d.sync += counter.eq(Mux(counter == len(self.program) - 1, 0, counter + 1))
        with m.If(reading):
            m.d.sync += index.eq(index + 1)
            with m.Switch(index):
                for word in range(self.format.words):
                    with m.Case(word):
                        m.d.sync += [
                            self.fields[name].eq(rom.data[field.offset:field.offset + len(self.fields[name])])
                            for name, field in self.format.fields.items() if field.word == word
                        ]

        drained = Signal(init=1)
        with m.If(self.drained):
            m.d.sync += drained.eq(1)
        first = self.fields["first"]
        with m.FSM():
            with m.State("RESET"):
                m.d.comb += ahead.eq(1)
                m.next = "SEQUENCER"
            with m.State("SEQUENCER"):
                m.d.comb += reading.eq(1)
                with m.If(index == SEQUENCER_WORDS - 1):
                    m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(drained & self.fetched & (~first | self.frame_available)
                          & (~self.fields["head"] | self.result_room)):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += reading.eq(1)
                with m.If(index == self.format.words - 1):
                    m.d.sync += index.eq(0)
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += [self.begin.eq(1), self.begin_frame.eq(first)]
                m.d.sync += [drained.eq(0), self.layer.eq(Mux(first, 0, self.layer + 1))]
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(self.issued):
                    m.next = "SEQUENCER"
        return m

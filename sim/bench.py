"""A driver around the accelerator, in hardware, so that Python need not wake at every clock of a simulation.

It offers stored frames with a pattern of gaps, takes results with a pattern of stalls, and notes the cycle of what
happened. Python wakes a few times a frame.
"""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.memory import Memory, MemoryData
from amaranth.lib.wiring import In, Out

from hw.accelerator import Accelerator, Trace, WordTrace
from hw.pipeline import LinkTrace, PipelinedAccelerator
from hw.receiver import FrameError
from sw.pipeline import Pipeline
from sw.word_unit import STORE_WIDTH

__all__ = ["Bench", "Pattern", "fill_cycles"]

LOAD_BYTES = 8


def fill_cycles(program):
    """Cycles from reset in which the bench fills a store that is shared."""
    shared = program.words is not None and program.words.shared
    return len(program.words.store) * STORE_WIDTH // 16 if shared else 0


class Pattern(enum.Enum, shape=2):
    """When a side of the bench lets a transfer happen."""

    NONE = 0  #: always
    PERIODIC = 1  #: not in one of every 3 cycles, and not for 200 cycles of every 1024
    RANDOM = 2  #: in a quarter of the cycles, from a shift register
    BLOCKED = 3  #: never


class _Gate(wiring.Component):
    """Says in which cycles a transfer may happen."""

    def __init__(self, *, seed):
        self.seed = seed
        super().__init__({"pattern": In(Pattern), "hold": In(1), "open": Out(1)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(10)
        third = Signal(2)
        noise = Signal(23, init=self.seed)
        m.d.sync += [
            count.eq(count + 1),
            third.eq(Mux(third == 2, 0, third + 1)),
            # x^23 + x^18 + 1, two steps a cycle.
            noise.eq(Cat(noise[21] ^ noise[16], noise[22] ^ noise[17], noise[:-2])),
        ]
        allowed = Signal()
        with m.Switch(self.pattern):
            with m.Case(Pattern.NONE):
                m.d.comb += allowed.eq(1)
            with m.Case(Pattern.PERIODIC):
                m.d.comb += allowed.eq((third != 2) & (count >= 200))
            with m.Case(Pattern.RANDOM):
                m.d.comb += allowed.eq(noise[:2] == 0)
        # A transfer once offered stays offered until it is taken, as AXI4-Stream asks.
        held = Signal()
        m.d.sync += held.eq(self.open & self.hold)
        m.d.comb += self.open.eq(allowed | held)
        return m


class Bench(wiring.Component):
    """``Accelerator`` between a store of frames and a recorder.

    Parameters
    ----------
    program : Program or Pipeline
    frames : int
        Frames that the store holds, a power of two.
    device : component, optional
        What is driven, with the members of ``Accelerator``; that itself unless given.

    Members
    -------
    load : In(1)
        Store ``load_data`` (``LOAD_BYTES`` bytes) at ``load_address``.
    first, frames : In
        Offer ``frames`` frames, from number ``first`` of the store on; taken with ``start``.
    input_pattern, output_pattern : In(Pattern)
    early, late, fault_frame : In(16)
        Bytes by which TLAST comes early or late in frame number ``fault_frame`` since ``start``.
    cycle : Out(32)
        Cycles since reset.
    arrived : Out(1), arrived_cycle : Out(32)
        Toggles when a frame's last byte has been taken in; and in which cycle.
    sent : Out(1), offered_cycle, sent_cycle : Out(32), result : Out(8 * result_bytes)
        Toggles when a result is complete; when its first byte was offered, when its last was taken, and the bytes,
        first byte lowest.
    ended : Out(1)
        TLAST came with the last byte of every result so far, and only there.
    dropped : Out(8), last_error : Out(FrameError)
        Frames that were dropped, and why the last one was.
    trace, word_trace, trace_0, link_0, ... : Out
        The traces of what is driven. A store that is shared is filled first, from the first cycle after reset on.
    """

    def __init__(self, program, *, frames, device=None):
        self.program = program
        kind = PipelinedAccelerator if isinstance(program, Pipeline) else Accelerator
        self.device = device or kind(program)
        self.traces = {
            name: member for name, member in self.device.signature.members.items()
            if not member.is_port and isinstance(member.signature, Trace | WordTrace | LinkTrace)}
        self.capacity = frames
        self.words = -(-program.input_bytes // LOAD_BYTES)
        depth = frames * self.words
        super().__init__({
            "load": In(1),
            "load_address": In(range(depth)),
            "load_data": In(8 * LOAD_BYTES),
            "start": In(1),
            "first": In(range(frames)),
            "frames": In(16),
            "input_pattern": In(Pattern),
            "output_pattern": In(Pattern),
            "early": In(16),
            "late": In(16),
            "fault_frame": In(16),
            "cycle": Out(32),
            "arrived": Out(1),
            "arrived_cycle": Out(32),
            "sent": Out(1),
            "offered_cycle": Out(32),
            "sent_cycle": Out(32),
            "result": Out(8 * program.result_bytes),
            "ended": Out(1, init=1),
            "dropped": Out(8),
            "last_error": Out(FrameError),
            **self.traces,
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = dut = self.device
        m.d.sync += self.cycle.eq(self.cycle + 1)
        for name in self.traces:
            wiring.connect(m, getattr(dut, name), wiring.flipped(getattr(self, name)))
        with m.If(dut.error != FrameError.NONE):
            m.d.sync += [self.dropped.eq(self.dropped + 1), self.last_error.eq(dut.error)]
        self._drive(m, dut)
        self._record(m, dut)
        if self.program.words is not None and self.program.words.shared:
            self._fill(m, dut)
        return m

    def _fill(self, m, dut):
        """Fill the store, 16 bits a cycle; ``fill_cycles`` after reset it is ``loaded``."""
        unit = self.program.words
        contents = MemoryData(shape=STORE_WIDTH, depth=len(unit.store), init=unit.store_words())
        m.submodules.contents = memory = Memory(contents)
        read = memory.read_port(domain="comb")
        address, part = Signal(range(len(unit.store) + 1)), Signal(range(STORE_WIDTH // 16))
        m.d.comb += [
            read.addr.eq(address),
            dut.loaded.eq(address == len(unit.store)),
            dut.load_enable.eq(~dut.loaded),
            dut.load_address.eq(address),
            dut.load_part.eq(part),
            dut.load_data.eq(read.data.word_select(part, 16)),
        ]
        with m.If(~dut.loaded):
            m.d.sync += [part.eq(part + 1), address.eq(address + (part == STORE_WIDTH // 16 - 1))]

    def _drive(self, m, dut):
        m.submodules.store = store = Memory(shape=8 * LOAD_BYTES, depth=self.capacity * self.words, init=[])
        write, read = store.write_port(), store.read_port(domain="comb")
        m.d.comb += [write.en.eq(self.load), write.addr.eq(self.load_address), write.data.eq(self.load_data)]

        length = self.program.input_bytes
        frame = Signal(16)
        sent_frames = Signal(16)
        running = Signal()
        position = Signal(16)
        word = Signal(range(self.words + 1))
        byte = Signal(range(LOAD_BYTES))
        faulty = sent_frames == self.fault_frame
        end = Signal(16)
        m.d.comb += end.eq(length - 1 - Mux(faulty, self.early, 0) + Mux(faulty, self.late, 0))
        m.submodules.gate = gate = _Gate(seed=0x5EED)
        stream = dut.s_axis
        transfer = stream.tvalid & stream.tready
        m.d.comb += [
            gate.pattern.eq(self.input_pattern),
            gate.hold.eq(stream.tvalid & ~stream.tready),
            read.addr.eq(frame * self.words + word),
            stream.tvalid.eq(gate.open & running & (sent_frames != self.frames)),
            stream.tdata.eq(Array(read.data.word_select(index, 8) for index in range(LOAD_BYTES))[byte]),
            stream.tlast.eq(position == end),
        ]
        with m.If(transfer):
            m.d.sync += [position.eq(position + 1), byte.eq(byte + 1)]
            with m.If(byte == LOAD_BYTES - 1):
                m.d.sync += word.eq(word + 1)
            with m.If(position == length - 1):
                m.d.sync += self.arrived_cycle.eq(self.cycle)
                with m.If(stream.tlast):
                    m.d.sync += self.arrived.eq(~self.arrived)
            with m.If(stream.tlast):
                m.d.sync += [
                    position.eq(0), byte.eq(0), word.eq(0), sent_frames.eq(sent_frames + 1),
                    frame.eq(Mux(frame == self.capacity - 1, 0, frame + 1)),
                ]
        with m.If(self.start):
            m.d.sync += [
                running.eq(1), frame.eq(self.first), sent_frames.eq(0), position.eq(0), word.eq(0), byte.eq(0),
            ]

    def _record(self, m, dut):
        stream = dut.m_axis
        m.submodules.sink = gate = _Gate(seed=0x1CE40)
        count = Signal(16)
        waiting = Signal()
        last = count == self.program.result_bytes - 1
        m.d.comb += [gate.pattern.eq(self.output_pattern), stream.tready.eq(gate.open)]
        m.d.sync += waiting.eq(stream.tvalid & ~stream.tready)
        with m.If(stream.tvalid & (count == 0) & ~waiting):
            m.d.sync += self.offered_cycle.eq(self.cycle)
        with m.If(stream.tvalid & stream.tready):
            m.d.sync += [
                self.result.eq(Cat(self.result, stream.tdata)[8:]),
                count.eq(Mux(last, 0, count + 1)),
                self.ended.eq(self.ended & (stream.tlast == last)),
            ]
            with m.If(last):
                m.d.sync += [self.sent.eq(~self.sent), self.sent_cycle.eq(self.cycle)]

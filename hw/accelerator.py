"""The accelerator: one engine that runs one program, AXI4-Stream in and out, or a map from or to another engine."""

from amaranth import Const, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.array import Array
from hw.axi_stream import AxiStreamSignature
from hw.bits_tail import BitsTail
from hw.control import LayerControl
from hw.features import FeatureMemory
from hw.map_input import MapInput
from hw.map_order import map_stream
from hw.map_sender import MapSender
from hw.memory_plan import MemoryPlan
from hw.passes import PassSequencer
from hw.receiver import FrameError
from hw.results import ResultSender
from hw.stream import StreamBuffer
from hw.taps import TapSequencer
from hw.vector_input import VectorInput
from hw.window_input import WindowInput
from hw.word_tail import WordTail, load_members
from sw.program import Program

__all__ = ["Accelerator", "Trace", "WordTrace"]


class Trace(wiring.Signature):
    """What the engine writes to its feature memory, for benches; costs nothing where it is not connected.

    Members
    -------
    valid : Out(1)
        A word for each column is written.
    layer : Out(8)
        Number of the layer whose result it is.
    address : Out(16)
    words : Out(ArrayLayout(lanes, columns))
    """

    def __init__(self, *, columns, lanes):
        super().__init__({
            "valid": Out(1),
            "layer": Out(8),
            "address": Out(16),
            "words": Out(data.ArrayLayout(lanes, columns)),
        })


class WordTrace(wiring.Signature):
    """What the engine writes to its word memory, for benches, as ``Trace``.

    Members
    -------
    valid : Out(1)
        A pair of words for each column is written.
    layer : Out(8)
        Number of the block whose result it is.
    address : Out(16)
    words : Out(ArrayLayout(2 * word_bits, columns))
    """

    def __init__(self, *, columns, word_bits):
        super().__init__({
            "valid": Out(1),
            "layer": Out(8),
            "address": Out(16),
            "words": Out(data.ArrayLayout(2 * word_bits, columns)),
        })


class Accelerator(wiring.Component):
    """Classifies the frames of ``s_axis`` one after the other; results leave ``m_axis`` in the same order.

    While a frame is computed, the next one is taken in and the last one's result is sent. Any transfer may stall.

    Latency: that of ``program.schedule``, to the cycle.

    Parameters
    ----------
    program : Program
    popcount : str
        A key of ``hw.popcount.IMPLEMENTATIONS``.
    memories : MemoryPlan, optional
        What lies in the part's large RAM: the feature memory of a network without words, unless given.

    Members
    -------
    s_axis : In(AxiStreamSignature(8, user_width=1))
        ``program.input_bytes`` transfers a frame (``program.image.pack``); TUSER with TLAST marks a bad frame.
    m_axis : Out(AxiStreamSignature(8))
        ``program.result_bytes`` transfers a frame (``hw.results``).
    error : Out(FrameError)
        A frame was dropped, for one cycle.
    i : In(map_stream(program.source))
        In place of ``s_axis`` and ``error`` where a program has a source.
    o : Out(map_stream(program.target))
        In place of ``m_axis`` where a program has a target.
    trace : Out(Trace)
    word_trace : Out(WordTrace)
        Of a network with words.
    loaded, load_enable, load_address, load_part, load_data : In
        Of a network with words whose store is shared: as ``hw.word_tail.WordTail``. Frames are taken in at once, and
        computed when the store is loaded.

    Raises
    ------
    TypeError
        If ``program`` is not a Program.
    """

    #: Cycles from a beat's issue to its words at the array: address, memory, activation register.
    FEED = 3

    def __init__(self, program, popcount="portable", memories=None):
        if not isinstance(program, Program):
            raise TypeError(f"Accelerator program must be a sw.program.Program, not {program!r}")
        self.program = program
        self._popcount = popcount
        self._memories = MemoryPlan(large_banks=program.engine.columns) if memories is None else memories
        engine = program.engine
        super().__init__({
            **({"s_axis": In(AxiStreamSignature(8, user_width=1)), "error": Out(FrameError)} if program.source is None
               else {"i": In(map_stream(program.source))}),
            **({"m_axis": Out(AxiStreamSignature(8))} if program.target is None
               else {"o": Out(map_stream(program.target))}),
            "trace": Out(Trace(columns=engine.columns, lanes=engine.lanes)),
            **self._word_members(program),
        })

    @staticmethod
    def _word_members(program):
        unit = program.words
        if unit is None:
            return {}
        trace = Out(WordTrace(columns=program.engine.columns, word_bits=unit.bits))
        return {"word_trace": trace, **({"loaded": In(1), **load_members(program)} if unit.shared else {})}

    def elaborate(self, platform):
        m = Module()
        program, engine = self.program, self.program.engine
        address_width = (program.feature_addresses - 1).bit_length()

        m.submodules.control = control = LayerControl(program=program.descriptors, format=program.form)
        m.submodules.tail = tail = (BitsTail if program.words is None else WordTail)(
            program=program, fields=control.fields)
        widths = {"address_width": address_width, "weight_width": len(tail.weight_address)}
        m.submodules.passes = passes = PassSequencer(columns=engine.columns, fields=control.fields, **widths)
        m.submodules.taps = taps = TapSequencer(
            columns=engine.columns, fields=control.fields, **widths)
        features = None  # where no layer's result is another one's input
        if program.feature_depth:
            m.submodules.features = features = FeatureMemory(
                columns=engine.columns, lanes=engine.lanes, depth=program.feature_depth, pitch_width=len(taps.pitch),
                strides=program.strides, large_banks=self._memories.large_banks if program.words is None else None)
        m.submodules.array = array = Array(
            rows=engine.rows, columns=engine.columns, lanes=engine.lanes, sum_width=program.sum_width,
            stages=engine.popcount_stages, popcount=self._popcount)
        if program.target is None:
            m.submodules.results = results = ResultSender(
                classes=program.classes, score_width=program.score_width, score_bytes=program.score_bytes)
        else:
            m.submodules.results = results = MapSender(program.target)
        m.submodules.image = image = self._input_unit(len(taps.pitch))

        # Control. A layer of sums has no beats: the head works it off.
        layer_issued = taps.final
        pooled = control.fields.get("pooled", Const(0))
        m.d.comb += [
            control.issued.eq(layer_issued | pooled),
            control.drained.eq(tail.done),
            control.fetched.eq(tail.fetched),
            control.frame_available.eq(image.available),
            passes.begin.eq(control.begin & ~pooled),
            image.begin.eq(control.begin_frame),
            tail.begin.eq(control.begin),
        ]
        wiring.connect(m, passes.o, taps.i)

        # Activations. A map from another engine is read like one of the feature memory.
        fed = control.fields["first"] if program.source is not None else taps.image
        self._connect_input_unit(m, image, taps, fed, last=layer_issued & fed)
        if features is None:
            m.d.sync += array.activations.eq(image.activations)
        else:
            self._connect_features(m, features, taps, tail, control.fields)
            m.d.comb += [features.bypass.eq(fed), features.bypass_data.eq(image.activations)]
            m.d.sync += array.activations.eq(features.activations)

        # Weights, and what the array does with them.
        m.d.comb += [
            tail.weight_address.eq(self._delay(m, taps.weights, self.FEED - 1, "weights")),
            array.weights.eq(tail.weights),
            array.control.eq(self._delay(m, taps.control, self.FEED - 1, "control")),
        ]

        # Results.
        m.d.comb += [
            tail.sums.eq(array.sums),
            tail.load.eq(array.done),
            tail.final.eq(array.final),
            self.trace.valid.eq(tail.write_enable),
            self.trace.layer.eq(control.layer),
            self.trace.words.eq(tail.write_data),
        ]
        m.d.sync += self.trace.address.eq(tail.write_address)

        if program.words is not None:
            m.d.comb += [
                self.word_trace.valid.eq(tail.words_valid),
                self.word_trace.layer.eq(control.layer),
                self.word_trace.address.eq(tail.words_address),
                self.word_trace.words.eq(tail.words_data),
            ]
            if program.words.shared:
                m.d.comb += [getattr(tail, name).eq(getattr(self, name)) for name in ("loaded", *load_members(program))]

        if program.source is None:
            self._register_input(m, image)
            m.d.comb += self.error.eq(image.error)
        else:
            wiring.connect(m, wiring.flipped(self.i), image.i)
        if program.target is None:
            m.d.comb += [
                control.result_room.eq(results.room),
                results.begin_frame.eq(control.begin_frame),
                results.score_valid.eq(tail.score_valid),
                results.score.eq(tail.score),
            ]
            wiring.connect(m, results.o, wiring.flipped(self.m_axis))
        else:
            m.d.comb += [
                # The map before has left, and the next engine has a buffer for another.
                control.result_room.eq(~results.busy & self.o.ready),
                results.write.eq(tail.write_enable & control.fields["leaves"]),
                results.words.eq(tail.write_data),
            ]
            wiring.connect(m, results.o, wiring.flipped(self.o))
        return m

    def _connect_features(self, m, features, taps, tail, fields):
        """What leaves for another engine is not stored, and a map from one is read while words are written."""
        program = self.program
        write_next, write_enable = tail.write_next, tail.write_enable
        if program.target is not None:
            write_next, write_enable = write_next & ~fields["leaves"], write_enable & ~fields["leaves"]
        m.d.comb += [
            features.address.eq(taps.address),
            features.phase.eq(taps.phase),
            features.stride.eq(taps.stride),
            features.pitch.eq(taps.pitch),
            features.write_next.eq(write_next),
            features.write_enable.eq(write_enable),
            features.write_address.eq(tail.write_address),
            features.write_data.eq(tail.write_data),
        ]
        if program.words is not None:
            return  # block RAM is written while it is read
        m.d.comb += taps.write_next.eq(write_next if program.source is None else write_next & ~fields["first"])

    def _register_input(self, m, image):
        """A skid buffer at the edge: what drives ``s_axis`` sees only registers."""
        m.submodules.edge = edge = StreamBuffer(data.StructLayout({"data": 8, "last": 1, "user": 1}))
        outer, inner = edge.i, edge.o
        m.d.comb += [
            outer.valid.eq(self.s_axis.tvalid),
            outer.payload.data.eq(self.s_axis.tdata),
            outer.payload.last.eq(self.s_axis.tlast),
            outer.payload.user.eq(self.s_axis.tuser),
            self.s_axis.tready.eq(outer.ready),
            image.i.tvalid.eq(inner.valid),
            image.i.tdata.eq(inner.payload.data),
            image.i.tlast.eq(inner.payload.last),
            image.i.tuser.eq(inner.payload.user),
            inner.ready.eq(image.i.tready),
        ]

    def _input_unit(self, pitch_width):
        image, engine = self.program.image, self.program.engine
        if image is None:
            return MapInput(self.program.source, pitch_width=pitch_width, strides=self.program.strides)
        if image.flat:
            return VectorInput(size=image.size, columns=engine.columns, lanes=engine.lanes)
        height, width, channels = image.shape
        return WindowInput(
            height=height, width=width, channels=channels, code_width=image.code_width, bits=image.bits,
            kernel=image.kernel, stride=image.stride, padding=image.padding, pool=image.pool,
            out_height=image.out_shape[0], out_width=image.out_shape[1], columns=engine.columns,
            lanes=engine.lanes, buffers=engine.window_buffers, large_image=self._memories.large_image)

    def _connect_input_unit(self, m, image, taps, fed, last):
        """``fed`` says that a beat reads the input, ``last`` that it is the last to read the frame."""
        if isinstance(image, VectorInput | MapInput):
            last_read = Signal()
            m.d.sync += last_read.eq(last)
            m.d.comb += image.release.eq(last_read)
        if not isinstance(image, MapInput):
            # The next layer's fields may come right behind the last beat, two cycles before its activations.
            m.d.comb += image.selected.eq(self._delay(m, fed, self.FEED - 1, "selected"))
        if isinstance(image, VectorInput):
            m.d.comb += [image.address.eq(taps.word), taps.image_ready.eq(1)]
        elif isinstance(image, MapInput):
            m.d.comb += image.select.eq(fed)
            m.d.comb += [
                getattr(image, name).eq(getattr(taps, name)) for name in ("address", "phase", "stride", "pitch")]
        else:
            m.d.comb += [
                taps.image_ready.eq(image.ready),
                image.beat.eq(taps.issue & taps.image),
                image.group_first.eq(taps.group_first),
                image.plane_last.eq(taps.plane_last),
                image.word.eq(taps.word),
                image.dy.eq(taps.dy),
                image.dx.eq(taps.dx),
            ]

    @staticmethod
    def _delay(m, value, cycles, name):
        for stage in range(cycles):
            delayed = Signal.like(value, name=f"{name}_{stage}")
            m.d.sync += delayed.eq(value)
            value = delayed
        return value

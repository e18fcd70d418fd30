"""From accumulators to words and bits: gains, shortcuts, slopes, thresholds and the assembly of feature words."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.channel_constants import ChannelConstants
from hw.drain_register import DrainRegister
from hw.result_address import ResultAddress
from hw.row_sequencer import RowSequencer
from hw.shortcut import Shortcut
from hw.value_pipeline import ValuePipeline
from hw.word_assembler import WordAssembler

__all__ = ["PostProcess"]

#: Cycles from a read to its words.
_READ = 2


class PostProcess(wiring.Component):
    """Takes all sums of a pass at once, then works them off a row (channel) of all columns a cycle, in pairs.

    A pass is ``tiles * rows`` channels: each accumulator makes ``tiles`` of them, rows inner. A pair of channels takes
    ``cadence`` = 2 cycles, or 5 if its shortcut is the average of four words. ``hw.value_pipeline`` has the arithmetic;
    the bit is ``word >= threshold``. Constants come in the order of channels, from address 0 at ``restart``, the same
    for each pixel, and also for rows of the last channel group beyond ``last_rows``, which give nothing. A pair's
    ``source`` and ``around`` are in those of its even channel, and a channel's ``offset`` is in those of the next one;
    that of the pixel's last is in those at address 0.

    Latency: with L the cycle of ``load`` and v = 0, or 3 if the constants have slopes:

    * row k of a pass (0 first) is taken in cycle ``s(k) = L + 1 + (k // 2) * cadence + cadence - 2 + k % 2``;
    * a feature word that it completes is written in cycle ``s(k) + 5 + v`` (``write_enable``);
    * its pair, with odd k, is written in the first cycle without a read from ``s(k) + 4 + v`` on, at most
      ``cadence - 1`` later;
    * ``done`` comes ``tiles * rows / 2 * cadence + 5 + v`` cycles after the last pass's ``load``.

    ``load`` comes at the earliest ``tiles * rows / 2 * cadence`` cycles after the one before, and 3 after ``restart``.

    Parameters
    ----------
    rows, columns, lanes : int
        Rows even, at least 4.
    sum_width : int
    word_bits, shift, low, high : int
        As ``hw.value_pipeline.ValuePipeline``.
    constants : ConstantFormat
    address_width, word_address_width : int
        Of a feature address, and of an address of words.
    fields : dict of Signal
        ``LayerControl.fields``; those named in ``sw.descriptor`` for this unit stay from ``restart`` to ``done``.

    Members
    -------
    sums, load, final : In
        As ``hw.array.Array`` gives them.
    restart : In(1)
        A layer begins.
    write_next : Out(1)
        A feature word for each column is written in the next cycle, at ``write_address`` of this one.
    write_enable, write_address, write_data : Out
    done : Out(1)
        The layer's last result is written in this cycle.
    constant_address : Out
    constant_enable : Out(1)
        While 0, ``constant`` is to keep its value.
    constant : In(constants.width)
        1 cycle after its address.
    read_word, read_below, next_pixel : Out
        To ``hw.source_address.SourceAddress``.
    read_enable, read_phase, read_stride, read_pitch : Out
        To ``hw.word_memory.WordMemory``, with that address.
    words : In(ArrayLayout(2 * word_bits, columns))
        2 cycles later.
    word_write, word_address, word_data : Out
        A pair for each column is written; never in a cycle with ``read_enable``.

    Raises
    ------
    ValueError
        If the rows are odd or below 4, or a limit of words is beyond their bits.
    """

    def __init__(self, *, rows, columns, lanes, sum_width, word_bits, shift, low, high, constants, address_width,
                 word_address_width, fields):
        if rows < 4 or rows % 2:
            raise ValueError(f"PostProcess rows must be even and at least 4, not {rows!r}")
        if not -(1 << word_bits - 1) <= low < 0 < high < 1 << word_bits - 1:
            raise ValueError(f"PostProcess low and high must be a negative and a positive number of {word_bits} bits, "
                             f"not {low!r} and {high!r}")
        self.rows = rows
        self.columns = columns
        self.lanes = lanes
        self.sum_width = sum_width
        self.word_bits = word_bits
        self.shift = shift
        self.low = low
        self.high = high
        self.constants = constants
        self._fields = fields
        self._sequencer = RowSequencer(rows=rows, fields=fields)
        column_sums = data.ArrayLayout(signed(sum_width), columns)
        pairs = data.ArrayLayout(2 * word_bits, columns)
        super().__init__({
            "sums": In(data.ArrayLayout(column_sums, rows)),
            "load": In(1),
            "final": In(1),
            "restart": In(1),
            "write_next": Out(1),
            "write_enable": Out(1),
            "write_address": Out(address_width),
            "write_data": Out(data.ArrayLayout(lanes, columns)),
            "done": Out(1),
            "constant_address": Out(len(self._sequencer.constant_address)),
            "constant_enable": Out(1),
            "constant": In(constants.width),
            "read_word": Out(constants.source),
            "read_below": Out(1),
            "next_pixel": Out(1),
            "read_enable": Out(1),
            "read_phase": Out(range(max(2, columns))),
            "read_stride": Out(1),
            "read_pitch": Out(len(fields["around_pitch"])),
            "words": In(pairs),
            "word_write": Out(1),
            "word_address": Out(word_address_width),
            "word_data": Out(pairs),
        })

    def elaborate(self, platform):
        m = Module()
        fields = self._fields
        columns = range(self.columns)
        pipelines = [
            ValuePipeline(sum_width=self.sum_width, word_bits=self.word_bits, shift=self.shift, low=self.low,
                          high=self.high, constants=self.constants) for _ in columns]
        latency = pipelines[0].latency

        m.submodules.sequencer = sequencer = self._sequencer
        m.submodules.register = register = DrainRegister(
            rows=self.rows, columns=self.columns, sum_width=self.sum_width)
        m.submodules.constants = constants = ChannelConstants(constants=self.constants, delays={
            "gain": 0, "source": 0, "around": 0, "offset": 0, "before": 4, "positive": 4, "negative": 4, "after": 6,
            "threshold": latency + 1})
        m.d.comb += [
            sequencer.restart.eq(self.restart),
            sequencer.load.eq(self.load),
            self.constant_address.eq(sequencer.constant_address),
            self.constant_enable.eq(sequencer.constant_enable),
            register.sums.eq(self.sums),
            register.load.eq(self.load),
            register.step.eq(sequencer.step),
            constants.constant.eq(self.constant),
        ]

        shortcut = self._read(m, sequencer, constants)
        words = Signal(data.ArrayLayout(signed(self.word_bits), self.columns))
        for column, pipeline in enumerate(pipelines):
            m.submodules[f"pipeline_{column}"] = pipeline
            m.d.comb += [
                pipeline.sum.eq(register.row_sums[0][column]),
                pipeline.around.eq(fields["around"].any()),
                pipeline.shortcut.eq(shortcut.values[column]),
                words[column].eq(pipeline.word),
            ]
            for name in pipeline.fields:
                m.d.comb += getattr(pipeline, name).eq(getattr(constants, name))

        # What a row is, beside its value: in its last cycle as words, and one later as bits.
        final = Signal()
        with m.If(self.load):
            m.d.sync += final.eq(self.final)
        row = data.StructLayout({"used": 1, "odd": 1, "end": 1, "done": 1})
        stages = [Signal(row, name=f"row_{stage}") for stage in range(latency + 2)]
        m.d.comb += [
            stages[0].used.eq(sequencer.step & sequencer.used),
            stages[0].odd.eq(sequencer.odd),
            stages[0].end.eq(sequencer.end),
            stages[0].done.eq(sequencer.step & sequencer.pass_last & final),
        ]
        m.d.sync += [after.eq(before) for before, after in zip(stages, stages[1:], strict=False)]
        m.d.sync += self.done.eq(stages[-1].done)

        # A cell holds a register and the logic in front of it, unless something else takes what that gives. Inverted,
        # these have theirs apart from that of the pair's second words.
        inverted = Signal.like(words.as_value(), reset_less=True)
        before = data.View(words.shape(), ~inverted)
        m.d.sync += inverted.eq(~words.as_value())
        self._store(m, stages[latency], words, before)
        self._assemble(m, stages[latency:], before, constants.threshold)
        return m

    def _read(self, m, sequencer, constants):
        """Read the words of the shortcut; they are there when the products are."""
        fields = self._fields
        average = fields["average"]
        m.submodules.shortcut = shortcut = Shortcut(
            columns=self.columns, word_bits=self.word_bits, averages=len(average) > 0)
        m.d.comb += [
            self.read_word.eq(constants.source),
            self.read_below.eq(sequencer.read_index[1]),
            self.next_pixel.eq(sequencer.step & sequencer.pixel_last),
            self.read_enable.eq(sequencer.read),
            self.read_phase.eq(sequencer.read_index[0]),
            self.read_stride.eq(fields["around_stride"].any()),
            self.read_pitch.eq(fields["around_pitch"]),
        ]
        # The pair's last word is read in the cycle of the even row's step.
        arrived, last = sequencer.read & constants.around.any(), sequencer.step & ~sequencer.odd
        for stage in range(_READ):
            flags = [Signal(name=f"{name}_{stage}") for name in ("arrived", "last")]
            m.d.sync += [flag.eq(value) for flag, value in zip(flags, (arrived, last), strict=True)]
            arrived, last = flags
        m.d.comb += [
            shortcut.words.eq(self.words),
            shortcut.arrived.eq(arrived),
            shortcut.last.eq(last),
            shortcut.average.eq(average.any()),
        ]
        return shortcut

    def _store(self, m, row, words, before):
        """With its second word a pair is complete; it waits until no word is read."""
        fields = self._fields
        m.submodules.pair_address = address = ResultAddress(
            address_width=len(self.word_address), step_width=len(fields["word_step"]))
        complete, waiting, end = Signal(), Signal(), Signal()
        m.d.comb += [
            complete.eq(row.used & row.odd & fields["keep"].any()),
            address.restart.eq(self.restart),
            address.start.eq(fields["word_out"]),
            address.step.eq(fields["word_step"]),
            address.next_word.eq(self.word_write),
            address.last.eq(end),
            self.word_write.eq(waiting & ~self.read_enable),
            self.word_address.eq(address.address),
        ]
        with m.If(self.word_write):
            m.d.sync += waiting.eq(0)
        with m.If(complete):
            m.d.sync += [
                waiting.eq(1),
                end.eq(row.end),
                *(self.word_data[column].eq(Cat(before[column], words[column])) for column in range(self.columns)),
            ]

    def _assemble(self, m, rows, words, threshold):
        """Bits of the words of the second of two stages."""
        announced, row, *_ = rows
        fields = self._fields
        m.submodules.assembler = assembler = WordAssembler(columns=self.columns, lanes=self.lanes)
        m.submodules.bits_address = address = ResultAddress(
            address_width=len(self.write_address), step_width=len(fields["out_step"]))
        m.d.comb += [
            assembler.restart.eq(self.restart),
            assembler.push.eq(announced.used & fields["bits"].any()),
            assembler.end.eq(announced.end),
            *(assembler.bits[0][column].eq(word >= threshold) for column, word in enumerate(words)),
            address.restart.eq(self.restart),
            address.start.eq(fields["out_address"]),
            address.step.eq(fields["out_step"]),
            address.next_word.eq(assembler.write_next),
            address.last.eq(row.end),
            self.write_next.eq(assembler.write_next),
            self.write_enable.eq(assembler.write_enable),
            self.write_address.eq(address.address),
            self.write_data.eq(assembler.write_data),
        ]

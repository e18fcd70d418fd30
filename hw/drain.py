"""From accumulators to results: the drain register, threshold comparators, pooling and word assembly."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.drain_register import DrainRegister
from hw.memory import Rom
from hw.threshold import Threshold
from hw.word_assembler import WordAssembler

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Takes all sums of a pass at once, then works them off ``drain`` rows a cycle while the next pass runs.

    Each row's sums meet the row's threshold: ``value = 2 * sum - threshold``. In a hidden layer the bit is
    ``value >= 0``, and ``lanes`` channels of each column become a word. Before a 2 x 2 pool, four passes belong
    together: the left and right half of 2Q neighbouring columns, of two rows; the bits of two columns and both rows are
    ORed. In the last layer the values are scores, one a cycle.

    Latency: sums given with ``load`` are worked off in the ``rows / drain`` cycles after it (``rows`` for
    scores); the bits of step k (0 first) can complete a word that is written 3 + k cycles after ``load``.
    ``write_next`` announces a write one cycle before.

    Parameters
    ----------
    rows, columns, lanes, drain : int
    sum_width : int
    threshold_width, score_width : int
        Bits of a signed threshold, and of a signed score.
    thresholds : sequence of int
        Threshold rows in order of use, each ``drain`` thresholds, the first row in the lowest bits.
    address_width : int
        Of a feature address.
    pooling : bool
        Whether any layer has a pool.
    fields : dict of Signal
        ``LayerControl.fields``; the drain's stay from ``restart`` to ``done``.

    Members
    -------
    sums, load, final : In
        As ``hw.array.Array`` gives them.
    restart : In(1)
        A layer begins.
    write_next : Out(1)
        A word for each column is written in the next cycle, at ``write_address`` of this one.
    write_enable, write_address, write_data : Out
    score_valid, score : Out
        Scores of column 0, in order of class.
    done : Out(1)
        The layer's last result is written in this cycle.
    """

    def __init__(self, *, rows, columns, lanes, drain, sum_width, threshold_width, score_width, thresholds,
                 address_width, pooling, fields):
        self.rows = rows
        self.columns = columns
        self.lanes = lanes
        self.drain = drain
        self.sum_width = sum_width
        self.threshold_width = threshold_width
        self.score_width = score_width
        self.thresholds = list(thresholds)
        self.pooling = pooling
        self._fields = fields
        column_sums = data.ArrayLayout(signed(sum_width), columns)
        super().__init__({
            "sums": In(data.ArrayLayout(column_sums, rows)),
            "load": In(1),
            "final": In(1),
            "restart": In(1),
            "write_next": Out(1),
            "write_enable": Out(1),
            "write_address": Out(address_width),
            "write_data": Out(data.ArrayLayout(lanes, columns)),
            "score_valid": Out(1),
            "score": Out(signed(score_width)),
            "done": Out(1),
        })

    @property
    def steps(self):
        """Cycles in which a pass leaves the drain register."""
        return self.rows // self.drain

    def elaborate(self, platform):
        m = Module()
        # Without a layer of scores it is a constant.
        scores = self._fields["scores"] if len(self._fields["scores"]) else Const(0)

        # A pass is worked off in steps; a step is one cycle, or in the last layer one cycle a row.
        active = Signal()
        step = Signal(range(max(2, self.steps)))
        row = Signal(range(max(2, self.drain)))
        row_last = ~scores | (row == self.drain - 1)
        step_last = step == self.steps - 1
        advance = active & row_last
        final = Signal()
        with m.If(active & scores):
            m.d.sync += row.eq(Mux(row_last, 0, row + 1))
        with m.If(advance):
            m.d.sync += [step.eq(Mux(step_last, 0, step + 1)), active.eq(~step_last)]
        with m.If(self.load):
            m.d.sync += [active.eq(1), final.eq(self.final)]

        m.submodules.register = register = DrainRegister(
            rows=self.rows, columns=self.columns, sum_width=self.sum_width, front=self.drain)
        m.d.comb += [register.sums.eq(self.sums), register.load.eq(self.load), register.step.eq(advance)]

        group_last, pooled_pass, pool_last = self._progress(m, advance & step_last)
        rows_of_thresholds = self._thresholds(m, next_step=advance & ~step_last, hold=active & ~row_last)

        bits = Signal(data.ArrayLayout(self.columns, self.drain))
        values = []
        for offset in range(self.drain):
            for column in range(self.columns):
                m.submodules[f"threshold_{offset}_{column}"] = comparator = Threshold(
                    sum_width=self.sum_width, threshold_width=self.threshold_width)
                m.d.comb += [
                    comparator.sum.eq(register.row_sums[offset][column]),
                    comparator.threshold.eq(rows_of_thresholds[offset].as_signed()),
                ]
                m.d.sync += bits[offset][column].eq(comparator.bit)
                if column == 0:
                    values.append(comparator.value)

        # Results of a step, one cycle later. Steps past the last channel are dropped.
        wanted = ~group_last | (step <= self._fields["last_steps"])
        push, word_end = Signal(), Signal()
        m.d.comb += [
            push.eq(advance & wanted & ~scores & pool_last),
            word_end.eq(group_last & (step == self._fields["last_steps"])),
        ]
        m.d.sync += [
            self.score_valid.eq(active & wanted & scores),
        ]
        with m.Switch(row):
            for offset in range(self.drain):
                with m.Case(offset):
                    m.d.sync += self.score.eq(values[offset])
        pooled = self._pool(m, bits, advance, pooled_pass)
        self._assemble(m, pooled, push, word_end)

        finishing = Signal()
        m.d.sync += [finishing.eq(advance & step_last & final), self.done.eq(finishing)]
        return m

    def _progress(self, m, pass_done):
        """Count passes of a pool window and channel groups of a pixel."""
        group = Signal.like(self._fields["drain_groups"])
        pooled = Signal.like(self._fields["drain_pool"])
        pool_last = pooled == self._fields["drain_pool"]
        with m.If(pass_done):
            m.d.sync += pooled.eq(Mux(pool_last, 0, pooled + 1))
            with m.If(pool_last):
                m.d.sync += group.eq(Mux(group == self._fields["drain_groups"], 0, group + 1))
        with m.If(self.restart):
            m.d.sync += [group.eq(0), pooled.eq(0)]
        return group == self._fields["drain_groups"], pooled, pool_last

    def _thresholds(self, m, *, next_step, hold):
        """Read ahead, so that a step meets its thresholds: the address is that of the step after."""
        width = self.drain * self.threshold_width
        m.submodules.rom = rom = Rom(width=width, words=self.thresholds)
        address = Signal.like(rom.address)
        window_start = Signal.like(rom.address)
        step = Signal(range(max(2, self.steps)))
        pooled = Signal.like(self._fields["drain_pool"])
        group = Signal.like(self._fields["drain_groups"])
        m.d.comb += [rom.address.eq(address), rom.enable.eq(~hold)]
        with m.If(self.load | next_step):
            with m.If(step != self.steps - 1):
                m.d.sync += [step.eq(step + 1), address.eq(address + 1)]
            with m.Else():
                m.d.sync += step.eq(0)
                with m.If(pooled != self._fields["drain_pool"]):
                    m.d.sync += [pooled.eq(pooled + 1), address.eq(window_start)]
                with m.Else():
                    m.d.sync += pooled.eq(0)
                    following = Signal.like(address)
                    last = group == self._fields["drain_groups"]
                    m.d.comb += following.eq(Mux(last, self._fields["thresholds"], address + 1))
                    m.d.sync += [
                        group.eq(Mux(last, 0, group + 1)),
                        address.eq(following),
                        window_start.eq(following),
                    ]
        with m.If(self.restart):
            m.d.sync += [
                step.eq(0), pooled.eq(0), group.eq(0),
                address.eq(self._fields["thresholds"]), window_start.eq(self._fields["thresholds"]),
            ]
        return [rom.data.word_select(offset, self.threshold_width) for offset in range(self.drain)]

    def _pool(self, m, bits, advance, pooled_pass):
        """OR a step's bits with those of the window's earlier passes, which circulate once a pass."""
        if not self.pooling:
            return bits
        stepped, first, right = Signal(), Signal(), Signal()
        m.d.sync += [stepped.eq(advance), first.eq(pooled_pass == 0), right.eq(pooled_pass[0])]
        circulating = [Signal.like(bits, name=f"window_{index}", reset_less=True) for index in range(self.steps)]
        joined, pooled = Signal.like(bits), Signal.like(bits)
        empty = [Const(0, 1)] * self.columns
        for before, after in zip(bits, joined, strict=True):
            with m.If(self._fields["drain_pool"] == 0):
                m.d.comb += after.eq(before)
            with m.Elif(~right):
                m.d.comb += after.eq(self._pairs([*before, *empty]))
            with m.Else():
                m.d.comb += after.eq(self._pairs([*empty, *before]))
        m.d.comb += pooled.eq(joined.as_value() | Mux(first, 0, circulating[0].as_value()))
        with m.If(stepped):
            for here, after in zip(circulating, [*circulating[1:], pooled], strict=True):
                m.d.sync += here.eq(after)
        return pooled

    @staticmethod
    def _pairs(bits):
        """Each two neighbours' OR."""
        return Cat(left | right for left, right in zip(bits[::2], bits[1::2], strict=True))

    def _assemble(self, m, pooled, push, word_end):
        """Bits become words, which are written one behind the other."""
        m.submodules.assembler = assembler = WordAssembler(columns=self.columns, lanes=self.lanes, step=self.drain)
        m.d.comb += [
            assembler.restart.eq(self.restart),
            assembler.push.eq(push),
            assembler.bits.eq(pooled),
            assembler.end.eq(word_end),
            self.write_next.eq(assembler.write_next),
            self.write_enable.eq(assembler.write_enable),
            self.write_data.eq(assembler.write_data),
        ]
        with m.If(self.write_next):
            m.d.sync += self.write_address.eq(self.write_address + 1)
        with m.If(self.restart):
            m.d.sync += self.write_address.eq(self._fields["out_address"])

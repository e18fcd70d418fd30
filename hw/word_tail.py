"""Behind the array, for networks with words: post-processing, word memory, what is fetched ahead, and the head."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.pooled_head import PooledHead
from hw.post_process import PostProcess
from hw.prefetch import Prefetch
from hw.source_address import SourceAddress
from hw.tail import TailSignature
from hw.word_memory import WordMemory
from sw.word_unit import STORE_WIDTH

__all__ = ["WordTail", "load_members"]


class WordTail(wiring.Component):
    """Weights and constants of a block are fetched from the store while the block before it runs; sums become words
    and bits, and at last scores.

    Latency: those of ``hw.post_process.PostProcess``, ``hw.pooled_head.PooledHead`` and ``hw.prefetch.Prefetch``.

    Parameters
    ----------
    program : Program
        With words.
    fields : dict of Signal
        ``LayerControl.fields``.

    Members
    -------
    As ``hw.tail.TailSignature``, and:

    words_valid, words_address, words_data : Out
        A pair of words for each column is written, for benches.
    loaded : In(1)
        The store is filled; it and the load members are there if the store is shared.
    load_enable, load_address, load_part, load_data : In
        As ``hw.word_memory.WordMemory``.
    """

    def __init__(self, *, program, fields):
        self.program = program
        self._fields = fields
        unit, engine = program.words, program.engine
        store = {"loaded": In(1), **load_members(program)} if unit.shared else {}
        super().__init__({
            **dict(TailSignature(program).members),
            "words_valid": Out(1),
            "words_address": Out(range(unit.depth)),
            "words_data": Out(data.ArrayLayout(2 * unit.bits, engine.columns)),
            **store,
        })

    def elaborate(self, platform):
        m = Module()
        program, engine, unit = self.program, self.program.engine, self.program.words
        fields = self._fields
        weight_width, constant_width = engine.rows * engine.lanes, unit.constants.width

        m.submodules.post = post = PostProcess(
            rows=engine.rows, columns=engine.columns, lanes=engine.lanes, sum_width=program.sum_width,
            word_bits=unit.bits, shift=unit.shift, low=unit.low, high=unit.high, constants=unit.constants,
            address_width=len(self.write_address), word_address_width=len(self.words_address), fields=fields)
        m.submodules.head = head = PooledHead(
            columns=engine.columns, word_bits=unit.bits, classes=program.classes, weight_width=weight_width,
            weight_depth=unit.weight_depth, constant_width=constant_width, constant_depth=unit.constant_depth,
            pixels=unit.head_pixels, pairs=unit.head_pairs, last_columns=unit.head_columns, reduce=unit.head_reduce,
            score_width=program.score_width)
        m.submodules.source = source = SourceAddress(address_width=len(self.words_address), fields=fields)
        m.submodules.memory = memory = WordMemory(
            columns=engine.columns, word_bits=unit.bits, depth=unit.depth, pitch_width=len(post.read_pitch),
            strides=unit.strides, store_width=STORE_WIDTH, store_words=len(unit.store), shared=unit.shared,
            contents=() if unit.shared else unit.store_words())
        m.submodules.prefetch = prefetch = Prefetch(
            store_width=STORE_WIDTH, store_words=len(unit.store), weight_width=weight_width,
            weight_depth=unit.weight_depth, constant_width=constant_width, constant_depth=unit.constant_depth)

        # The head works while no sums come.
        pooled = fields["pooled"]
        m.d.comb += [
            post.sums.eq(self.sums),
            post.load.eq(self.load),
            post.final.eq(self.final),
            post.restart.eq(self.begin & ~pooled),
            head.begin.eq(self.begin & pooled),
            self.write_next.eq(post.write_next),
            self.write_enable.eq(post.write_enable),
            self.write_address.eq(post.write_address),
            self.write_data.eq(post.write_data),
            self.score_valid.eq(head.score_valid),
            self.score.eq(head.score),
            self.done.eq(post.done | head.done),
        ]

        # Words.
        m.d.comb += [
            source.restart.eq(self.begin | head.restart),
            source.next_pixel.eq(post.next_pixel | head.read_enable),
            source.word.eq(Mux(pooled, head.read_word, post.read_word)),
            source.below.eq(post.read_below),
            head.row_last.eq(source.row_last),
            memory.read_enable.eq(post.read_enable | head.read_enable),
            memory.address.eq(source.address),
            memory.phase.eq(post.read_phase),
            memory.stride.eq(post.read_stride),
            memory.pitch.eq(post.read_pitch),
            post.words.eq(memory.words),
            head.words.eq(memory.words),
            memory.write_enable.eq(post.word_write),
            memory.write_address.eq(post.word_address),
            memory.write_data.eq(post.word_data),
            self.words_valid.eq(post.word_write),
            self.words_address.eq(post.word_address),
            self.words_data.eq(post.word_data),
        ]

        # Weights and constants.
        running = Signal()
        m.d.sync += running.eq(self.begin | running & ~self.done)
        m.d.comb += [
            prefetch.start.eq((self.loaded if unit.shared else 1) & ~(running & fields["late"])),
            prefetch.begin.eq(self.begin),
            self.fetched.eq(prefetch.ready),
            memory.store_request.eq(prefetch.request),
            memory.store_address.eq(prefetch.address),
            prefetch.grant.eq(memory.store_grant),
            prefetch.data.eq(memory.store_data),
            prefetch.weight_address.eq(Mux(pooled, head.weight_address, self.weight_address)),
            self.weights.eq(prefetch.weight),
            head.weight.eq(prefetch.weight),
            prefetch.constant_address.eq(Mux(pooled, head.constant_address, post.constant_address)),
            prefetch.constant_enable.eq(pooled | post.constant_enable),
            post.constant.eq(prefetch.constant),
            head.constant.eq(prefetch.constant),
        ]
        if unit.shared:
            m.d.comb += [getattr(memory, name).eq(getattr(self, name)) for name in load_members(program)]
        return m


def load_members(program):
    """The members through which a shared store is filled."""
    return {
        "load_enable": In(1),
        "load_address": In(range(max(2, len(program.words.store)))),
        "load_part": In(range(STORE_WIDTH // 16)),
        "load_data": In(16),
    }

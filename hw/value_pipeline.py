"""Value pipeline: one column's arithmetic from a sum to a word."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.saturation import clip, fits, limit, saturate

__all__ = ["SLOPE_SHIFT", "ValuePipeline"]

#: Bits behind the point of a slope.
SLOPE_SHIFT = 10


class ValuePipeline(wiring.Component):
    """Gain and offset, the shortcut, and a PReLU between two shifts, where there are slopes; a value every cycle.

    ``y = (gain * sum + offset) >> shift``, saturated to two bits more than a word; behind a shortcut
    ``v = saturate(y + shortcut)``, else ``v = y``. Without slopes the word is ``v``, clipped. With slopes
    ``w = v + before``, again saturated to two bits more; ``q = saturate((slope * w + half) >> 10)``, the slope being
    ``positive`` for ``w >= 0``, else ``negative``; the word is ``q + after``, clipped.

    Latency: counted from ``sum`` and ``gain``, ``offset`` is given 1 cycle later, ``shortcut`` 3 cycles,
    ``before``, ``positive`` and ``negative`` 4 cycles, ``after`` 6 cycles; ``word`` shows, combinational,
    ``latency`` = 3 cycles later, or 6 with slopes.

    Parameters
    ----------
    sum_width, word_bits, shift : int
    low, high : int
        Limits of a word, within its bits.
    constants : ConstantFormat

    Members
    -------
    sum : In(signed(sum_width))
    gain, offset : In
    around : In(1)
        There is a shortcut; stays while values are on their way.
    shortcut : In(signed(word_bits))
    before, positive, negative, after : In
        If the constants have slopes.
    word : Out(signed(word_bits))
    """

    def __init__(self, *, sum_width, word_bits, shift, low, high, constants):
        self.sum_width = sum_width
        self.word_bits = word_bits
        self.shift = shift
        self.low = low
        self.high = high
        self.constants = constants
        self.fields = ("gain", "offset", *(("before", "positive", "negative", "after") if constants.bends else ()))
        super().__init__({
            "sum": In(signed(sum_width)),
            "around": In(1),
            "shortcut": In(signed(word_bits)),
            "word": Out(signed(word_bits)),
            **{name: In(signed(getattr(constants, name))) for name in self.fields},
        })

    @property
    def latency(self):
        """Cycles from the sum to the word."""
        return 6 if self.constants.bends else 3

    def elaborate(self, platform):
        m = Module()
        # Operands, product, total: the registers of a multiplier block with its adder.
        sum_operand = Signal.like(self.sum, reset_less=True)
        gain_operand = Signal.like(self.gain, reset_less=True)
        offset_operand = Signal.like(self.offset, reset_less=True)
        product = Signal(signed(len(self.gain) + self.sum_width), reset_less=True)
        total = Signal(signed(max(len(product), len(self.offset)) + 1), reset_less=True)
        m.d.sync += [
            sum_operand.eq(self.sum),
            gain_operand.eq(self.gain),
            product.eq(gain_operand * sum_operand),
            offset_operand.eq(self.offset),
            total.eq(product + offset_operand),
        ]
        # What the saturation of y cuts off, that of a word behind the shortcut would cut off too.
        value = Signal(signed(max(len(total) - self.shift, self.word_bits) + 1))
        m.d.comb += value.eq((total >> self.shift) + self.shortcut)
        if not self.constants.bends:
            m.d.comb += self.word.eq(clip(value, self.low, self.high))
            return m

        wide = self.word_bits + 2
        kept = Signal(signed(wide), reset_less=True)
        inside = fits(value, wide) & (~self.around | fits(value, self.word_bits))
        limits = [limit(value[-1], bits) for bits in (self.word_bits, wide)]
        m.d.sync += kept.eq(Mux(inside, value, Mux(self.around, *limits)))
        shifted = Signal(signed(max(wide, len(self.before)) + 1))
        m.d.comb += shifted.eq(kept + self.before)

        bent_operand = Signal(signed(wide), reset_less=True)
        slope_operand = Signal(signed(max(len(self.positive), len(self.negative))), reset_less=True)
        bent = Signal(signed(len(bent_operand) + len(slope_operand) + 1), reset_less=True)
        m.d.sync += [
            bent_operand.eq(saturate(shifted, wide)),
            slope_operand.eq(Mux(shifted[-1], self.negative, self.positive)),
            bent.eq(slope_operand * bent_operand + (1 << SLOPE_SHIFT >> 1)),
        ]
        m.d.comb += self.word.eq(clip(
            saturate(bent >> SLOPE_SHIFT, self.word_bits) + self.after, self.low, self.high))
        return m

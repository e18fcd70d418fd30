"""Banks by column: which bank holds each column's pixel, at which address, and the way back to the columns."""

from functools import reduce
from math import gcd
from operator import or_

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["BankPermutation", "check_strides"]


def check_strides(owner, columns, strides):
    """Return the strides as a tuple; ``ValueError`` unless there are one or two, each coprime with ``columns``."""
    strides = tuple(strides)
    if not 1 <= len(strides) <= 2:
        raise ValueError(f"{owner} strides must be one or two, not {strides!r}")
    for stride in strides:
        if gcd(stride, columns) != 1:
            raise ValueError(f"{owner} columns must be coprime with stride {stride}, not {columns!r}")
    return strides


class BankPermutation(wiring.Component):
    """What stands around Q banks in which pixel x of a row lies in bank x mod Q.

    A read names the word of the column group's first pixel. With ``phase`` = that pixel's x mod Q and ``stride``
    t, column q gets the pixel t*q further right, from bank (t*q + phase) mod Q; the banks differ whenever
    gcd(t, Q) = 1. Any other access is at one address in all banks.

    Latency: none from the controls to ``addresses``; ``words`` are in the order of the controls of 2 cycles before.

    Parameters
    ----------
    columns : int
    width : int
        Bits of a word.
    depth : int
        Words of a bank.
    pitch_width : int
        Bits of ``pitch``.
    strides : sequence of int
        Values of t that occur, as ``check_strides`` gives them.

    Members
    -------
    read : In(1)
        The access is a read of ``phase``, ``stride`` and ``pitch``.
    address : In(range(depth))
    offset : In(range(depth))
        Added to the address in a cycle without ``read``.
    phase : In(range(columns))
    stride : In(1)
        Index into ``strides`` of the read's t.
    pitch : In(pitch_width)
        Words of a pixel: the address step to the next Q pixels.
    addresses : Out(ArrayLayout(range(depth), columns))
        Of each bank.
    bank_data : In(ArrayLayout(width, columns))
        What each bank gives.
    bypass : In(1)
        No bank gives ``words``, 2 cycles later.
    bypass_data : In(ArrayLayout(width, columns))
        ORed to ``words``.
    words : Out(ArrayLayout(width, columns))
        Of each column.
    """

    def __init__(self, *, columns, width, depth, pitch_width, strides):
        self.columns = columns
        self.strides = strides
        words = data.ArrayLayout(width, columns)
        super().__init__({
            "read": In(1),
            "address": In(range(depth)),
            "offset": In(range(depth)),
            "phase": In(range(max(2, columns))),
            "stride": In(1),
            "pitch": In(pitch_width),
            "addresses": Out(data.ArrayLayout(range(depth), columns)),
            "bank_data": In(words),
            "bypass": In(1),
            "bypass_data": In(words),
            "words": Out(words),
        })

    def elaborate(self, platform):
        m = Module()
        cases = [(index, phase) for index in range(len(self.strides)) for phase in range(self.columns)]
        controls = Cat(self.stride, self.phase)

        for bank in range(self.columns):
            farther = Signal.like(self.offset, name=f"farther_{bank}")
            with m.If(~self.read):
                m.d.comb += farther.eq(self.offset)
            with m.Else(), m.Switch(controls):
                for index, phase in cases:
                    with m.Case(index | phase << 1):
                        m.d.comb += farther.eq(self._groups(index, phase, bank) * self.pitch)
            m.d.comb += self.addresses[bank].eq(self.address + farther)

        # The controls are narrower than the choices made of them, so they wait the first of the two cycles.
        before, bypass = Signal.like(controls, reset_less=True), Signal(reset_less=True)
        m.d.sync += [before.eq(controls), bypass.eq(self.bypass)]
        # The bank that each column takes, as a bit for each: a LUT of four inputs gates and joins two banks, one more
        # adds a bank and the bypass.
        for column in range(self.columns):
            chosen = Signal(self.columns, name=f"chosen_{column}")
            choice = Signal(self.columns, name=f"choice_{column}", reset_less=True)
            m.d.sync += choice.eq(Mux(bypass, 0, chosen))
            with m.Switch(before):
                for index, phase in cases:
                    with m.Case(index | phase << 1):
                        m.d.comb += chosen.eq(1 << (self.strides[index] * column + phase) % self.columns)
            taken = [Mux(choice[bank], self.bank_data[bank], 0) for bank in range(self.columns)]
            m.d.comb += self.words[column].eq(reduce(or_, taken, self.bypass_data[column]))
        return m

    def _groups(self, index, phase, bank):
        """Groups by which this bank's pixel lies behind the group of the read's first pixel."""
        places = [self.strides[index] * column + phase for column in range(self.columns)]
        return next(place // self.columns for place in places if place % self.columns == bank)

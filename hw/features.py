"""Feature memory: binary maps between layers, banked by column so that a beat reads one pixel for every PE column."""

from math import gcd

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.memory import SinglePortMemory

__all__ = ["FeatureMemory"]


class FeatureMemory(wiring.Component):
    """Q single-port banks of S-bit words; pixel x of a row lies in bank x mod Q.

    A read names the word of the column group's first pixel. With ``phase`` = that pixel's x mod Q and ``stride``
    t, column q gets the pixel t*q further right, from bank (t*q + phase) mod Q; the banks differ whenever
    gcd(t, Q) = 1. A write stores one word for each of Q neighbouring pixels, at one address.

    Latency: 2 cycles from a read's controls to ``activations``. A write takes the banks in its own cycle, and is
    announced in the cycle before it (``write_next``), in which no read may be given.

    Parameters
    ----------
    columns, lanes : int
    depth : int
        Words of a bank.
    pitch_width : int
        Bits of ``pitch``.
    strides : sequence of int
        Values of t that occur, each coprime with ``columns``, ascending.
    style : str
        ``SinglePortMemory``'s.

    Members
    -------
    address : In(range(depth))
    phase : In(range(columns))
    stride : In(1)
        Index into ``strides`` of the read's t, at most two.
    pitch : In(pitch_width)
        Words of a pixel: the address step to the next Q pixels.
    bypass : In(1)
        ``activations`` come from ``bypass_data`` of that cycle instead.
    bypass_data : In(ArrayLayout(lanes, columns))
    activations : Out(ArrayLayout(lanes, columns))
    write_next : In(1)
    write_enable : In(1)
    write_address : In(range(depth))
        With ``write_next``.
    write_data : In(ArrayLayout(lanes, columns))

    Raises
    ------
    ValueError
        If a stride shares a factor with the columns, or there are more than two strides.
    """

    def __init__(self, *, columns, lanes, depth, pitch_width, strides=(1,), style="block"):
        strides = tuple(strides)
        if not 1 <= len(strides) <= 2:
            raise ValueError(f"FeatureMemory strides must be one or two, not {strides!r}")
        for stride in strides:
            if gcd(stride, columns) != 1:
                raise ValueError(f"FeatureMemory columns must be coprime with stride {stride}, not {columns!r}")
        self.columns = columns
        self.lanes = lanes
        self.depth = depth
        self.strides = strides
        self.style = style
        words = data.ArrayLayout(lanes, columns)
        super().__init__({
            "address": In(range(depth)),
            "phase": In(range(max(2, columns))),
            "stride": In(1),
            "pitch": In(pitch_width),
            "bypass": In(1),
            "bypass_data": In(words),
            "activations": Out(words),
            "write_next": In(1),
            "write_enable": In(1),
            "write_address": In(range(depth)),
            "write_data": In(words),
        })

    def elaborate(self, platform):
        m = Module()
        cases = [(index, phase) for index in range(len(self.strides)) for phase in range(self.columns)]
        controls = Cat(self.stride, self.phase)

        # A write goes through the same address registers, with no bank reading farther right.
        start = Signal.like(self.address)
        m.d.comb += start.eq(Mux(self.write_next, self.write_address, self.address))
        banks = []
        for number in range(self.columns):
            bank = SinglePortMemory(width=self.lanes, depth=self.depth, style=self.style)
            m.submodules[f"bank_{number}"] = bank
            banks.append(bank)
            farther = Signal(len(self.pitch) + 1, name=f"farther_{number}")
            with m.If(~self.write_next):
                with m.Switch(controls):
                    for index, phase in cases:
                        groups = self._position(index, phase, number) // self.columns
                        with m.Case(index | phase << 1):
                            m.d.comb += farther.eq(groups * self.pitch)
            m.d.sync += bank.address.eq(start + farther)
            m.d.comb += [bank.write_enable.eq(self.write_enable), bank.write_data.eq(self.write_data[number])]

        # Which source each column takes: bank 0 to Q-1, or Q for the bypass.
        for column in range(self.columns):
            choice = Signal(range(self.columns + 1), name=f"choice_{column}")
            with m.If(self.bypass):
                m.d.comb += choice.eq(self.columns)
            with m.Else():
                with m.Switch(controls):
                    for index, phase in cases:
                        with m.Case(index | phase << 1):
                            m.d.comb += choice.eq((self.strides[index] * column + phase) % self.columns)
            for stage in range(2):
                delayed = Signal.like(choice, name=f"choice_{column}_{stage}")
                m.d.sync += delayed.eq(choice)
                choice = delayed
            with m.Switch(choice):
                for number, bank in enumerate(banks):
                    with m.Case(number):
                        m.d.comb += self.activations[column].eq(bank.read_data)
                with m.Default():
                    m.d.comb += self.activations[column].eq(self.bypass_data[column])
        return m

    def _position(self, index, phase, bank):
        """Offset in pixels from the group's first pixel, rounded down to a multiple of Q, to this bank's pixel."""
        stride = self.strides[index]
        for column in range(self.columns):
            position = stride * column + phase
            if position % self.columns == bank:
                return position
        raise ValueError(f"no column reads bank {bank}")

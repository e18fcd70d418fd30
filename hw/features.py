"""Feature memory: binary maps between layers, banked by column so that a beat reads one pixel for every PE column."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.banks import BankPermutation, check_strides
from hw.memory import SimpleDualPortMemory, SinglePortMemory

__all__ = ["FeatureMemory"]


class FeatureMemory(wiring.Component):
    """Q banks of S-bit words; pixel x of a row lies in bank x mod Q.

    A read names the word of the column group's first pixel. With ``phase`` = that pixel's x mod Q and ``stride``
    t, column q gets the pixel t*q further right, from bank (t*q + phase) mod Q; the banks differ whenever
    gcd(t, Q) = 1. A write stores one word for each of Q neighbouring pixels, at one address.

    Latency: 2 cycles from a read's controls to ``activations``. A write is announced in the cycle before it
    (``write_next``), in which no read may be given if the banks have a single port.

    Parameters
    ----------
    columns, lanes : int
    depth : int
        Words of a bank.
    pitch_width : int
        Bits of ``pitch``.
    strides : sequence of int
        Values of t that occur, each coprime with ``columns``, ascending.
    large_banks : int, optional
        With a number, the banks have one port for reads and writes, and so many of them lie in the part's large RAM;
        without, all lie in block RAM with a port for each.

    Members
    -------
    address : In(range(depth))
    phase : In(range(columns))
    stride : In(1)
        Index into ``strides`` of the read's t, at most two.
    pitch : In(pitch_width)
        Words of a pixel: the address step to the next Q pixels.
    bypass : In(1)
        The read is none of this memory.
    bypass_data : In(ArrayLayout(lanes, columns))
        ORed to ``activations``, in their cycle.
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

    def __init__(self, *, columns, lanes, depth, pitch_width, strides=(1,), large_banks=None):
        self.columns = columns
        self.lanes = lanes
        self.depth = depth
        self.strides = check_strides("FeatureMemory", columns, strides)
        self.large_banks = large_banks
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
        m.submodules.permutation = permutation = BankPermutation(
            columns=self.columns, width=self.lanes, depth=self.depth, pitch_width=len(self.pitch),
            strides=self.strides)
        m.d.comb += [
            permutation.phase.eq(self.phase),
            permutation.stride.eq(self.stride),
            permutation.pitch.eq(self.pitch),
            permutation.bypass.eq(self.bypass),
            permutation.bypass_data.eq(self.bypass_data),
            self.activations.eq(permutation.words),
        ]
        if self.large_banks is None:
            self._separate_ports(m, permutation)
        else:
            self._share_ports(m, permutation)
        return m

    def _share_ports(self, m, permutation):
        """A write goes through the same address registers, with no bank reading farther right."""
        m.d.comb += [
            permutation.read.eq(~self.write_next),
            permutation.address.eq(Mux(self.write_next, self.write_address, self.address)),
        ]
        for number in range(self.columns):
            m.submodules[f"bank_{number}"] = bank = SinglePortMemory(
                width=self.lanes, depth=self.depth, style="huge" if number < self.large_banks else "block")
            m.d.sync += bank.address.eq(permutation.addresses[number])
            m.d.comb += [
                bank.write_enable.eq(self.write_enable),
                bank.write_data.eq(self.write_data[number]),
                permutation.bank_data[number].eq(bank.read_data),
            ]

    def _separate_ports(self, m, permutation):
        m.d.comb += [permutation.read.eq(1), permutation.address.eq(self.address)]
        write_address = Signal.like(self.write_address)
        m.d.sync += write_address.eq(self.write_address)
        for number in range(self.columns):
            m.submodules[f"bank_{number}"] = bank = SimpleDualPortMemory(width=self.lanes, depth=self.depth)
            m.d.sync += bank.read_address.eq(permutation.addresses[number])
            m.d.comb += [
                bank.write_address.eq(write_address),
                bank.write_enable.eq(self.write_enable),
                bank.write_data.eq(self.write_data[number]),
                permutation.bank_data[number].eq(bank.read_data),
            ]

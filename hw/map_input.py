"""Input unit for maps from another engine: two of them, one that comes in while the other is read."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.banks import BankPermutation
from hw.map_order import MapOrder, map_stream
from hw.memory import SimpleDualPortMemory

__all__ = ["MapInput"]


class MapInput(wiring.Component):
    """Q banks of S-bit words in block RAM for each of two maps; pixel x of a row lies in bank x mod Q.

    It is read as ``hw.features.FeatureMemory`` is, from address 0 on, and written by a stream whose beats are parts of
    a pixel's word. Each part of a bank's word is a memory of its own.

    Latency: 2 cycles from ``address`` to ``activations``; ``available`` shows one cycle after a map's last transfer.

    Parameters
    ----------
    link : sw.map_link.MapLink
    pitch_width : int
        Bits of ``pitch``.
    strides : sequence of int
        As those of ``hw.features.FeatureMemory``.

    Members
    -------
    i : In(map_stream(link))
        ``ready`` stays for a whole map.
    available : Out(1)
        A whole map waits to be computed.
    begin : In(1)
        The engine starts on the oldest map.
    release : In(1)
        The engine has read that map for the last time.
    select : In(1)
        The read is one of these maps; if not, ``activations`` are 0.
    address, phase, stride, pitch : In
    activations : Out(ArrayLayout(lanes, columns))
    """

    def __init__(self, link, *, pitch_width, strides=(1,)):
        self.link = link
        self.strides = strides
        super().__init__({
            "i": In(map_stream(link)),
            "available": Out(1),
            "begin": In(1),
            "release": In(1),
            "select": In(1, init=1),
            "address": In(range(max(2, link.depth))),
            "phase": In(range(max(2, link.to_columns))),
            "stride": In(1),
            "pitch": In(pitch_width),
            "activations": Out(data.ArrayLayout(link.to_lanes, link.to_columns)),
        })

    def elaborate(self, platform):
        m = Module()
        link = self.link
        filling, reading = Signal(), Signal()
        place = self._place(m)
        m.submodules.permutation = permutation = BankPermutation(
            columns=link.to_columns, width=link.to_lanes, depth=max(2, link.depth), pitch_width=len(self.pitch),
            strides=self.strides)
        m.d.comb += [
            permutation.read.eq(1),
            permutation.bypass.eq(~self.select),
            permutation.address.eq(self.address),
            permutation.phase.eq(self.phase),
            permutation.stride.eq(self.stride),
            permutation.pitch.eq(self.pitch),
            self.activations.eq(permutation.words),
        ]
        write_address = Signal(range(2 * link.depth))
        m.d.comb += write_address.eq(place.pixel + place.word + Mux(filling, link.depth, 0))
        transfer = self.i.valid & self.i.ready
        for bank in range(link.to_columns):
            address = Signal.like(permutation.addresses[bank], name=f"address_{bank}")
            m.d.sync += address.eq(permutation.addresses[bank])
            for part in range(link.to_word_parts):
                m.submodules[f"bank_{bank}_{part}"] = memory = SimpleDualPortMemory(
                    width=link.width, depth=2 * link.depth)
                # What no beat fills is 0, written with the part above it.
                empty = place.word_last if part < link.empty_parts else 0
                m.d.comb += [
                    memory.read_address.eq(address + Mux(reading, link.depth, 0)),
                    permutation.bank_data[bank].word_select(part, link.width).eq(memory.read_data),
                    memory.write_address.eq(write_address),
                    memory.write_enable.eq(transfer & (place.bank == bank) & ((place.part == part) | empty)),
                    memory.write_data.eq(Mux(empty, 0, self.i.payload.part)),
                ]

        # Maps are filled, computed and released in turn; ``held`` maps occupy a buffer, ``waiting`` are whole and not
        # begun.
        held, waiting = Signal(2), Signal(2)
        commit = Signal()
        m.d.comb += [
            commit.eq(transfer & self.i.payload.last),
            self.i.ready.eq(held != 2),
            self.available.eq(waiting != 0),
        ]
        m.d.sync += [
            held.eq(held + commit - self.release),
            waiting.eq(waiting + commit - self.begin),
            filling.eq(filling ^ commit),
            reading.eq(reading ^ self.release),
        ]
        return m

    def _place(self, m):
        """Where the next beat goes: the bank, the address of its pixel's first word, the word, and the part of that."""
        link = self.link
        m.submodules.order = order = MapOrder(link)
        pixel_layout = data.StructLayout({"bank": range(max(2, link.to_columns)), "pixel": range(max(2, link.depth))})
        here, following, group = (
            Signal(pixel_layout, name=name) for name in ("here", "following", "group"))  # group: its first pixel
        first_part = link.empty_parts if link.to_words == 1 else 0
        word = Signal(range(max(2, link.to_words)))
        part = Signal(range(max(2, link.to_word_parts)), init=first_part)
        place = Signal(data.StructLayout({
            "bank": here.bank.shape(), "pixel": here.pixel.shape(), "word": len(word), "part": len(part),
            "word_last": 1}))
        m.d.comb += [
            place.bank.eq(here.bank), place.pixel.eq(here.pixel), place.word.eq(word), place.part.eq(part),
            place.word_last.eq(word == link.to_words - 1),
            order.step.eq(self.i.valid & self.i.ready),
        ]
        wrap = Signal()
        m.d.comb += [
            wrap.eq((here.bank == link.to_columns - 1) | (order.columns_end & order.pixels_end & order.row_end)),
            following.bank.eq(Mux(wrap, 0, here.bank + 1)),
            following.pixel.eq(here.pixel + Mux(wrap, link.to_words, 0)),
        ]
        with m.If(order.step):
            m.d.sync += here.eq(following)
            with m.If(order.columns_end):
                with m.If(order.pixels_end):
                    m.d.sync += [group.eq(following), word.eq(0), part.eq(first_part)]
                with m.Else():
                    m.d.sync += here.eq(group)
                    with m.If(part == link.to_word_parts - 1):
                        m.d.sync += [
                            word.eq(word + 1),
                            part.eq(Mux(word + 2 == link.to_words, link.empty_parts, 0)),
                        ]
                    with m.Else():
                        m.d.sync += part.eq(part + 1)
            with m.If(order.end):
                m.d.sync += [here.eq(0), group.eq(0)]
        return place

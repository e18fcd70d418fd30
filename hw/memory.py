"""Memories in the forms that the parts have, inferred by synthesis: what is simulated is what is synthesised."""

from amaranth import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory, MemoryData
from amaranth.lib.wiring import In, Out

__all__ = ["PREPARE", "REPLACEABLE", "Rom", "SimpleDualPortMemory", "SinglePortMemory"]

#: Yosys commands to run right after ``read_rtlil``, for two things that Amaranth cannot say of a memory. No bitstream
#: can initialise large single-port RAM, so the zeros that Amaranth gives every memory must go before such RAM can be
#: inferred; no design here reads a word of it that it has not written. And what a block RAM reads at the address
#: that is being written does not matter here, so no logic need bypass it.
PREPARE = (
    "select -set huge_init a:ram_style=huge %m t:$meminit_v2 %i; delete @huge_init; "
    "select -set buffers t:$memwr_v2 %m a:ram_style=block %m %i t:$memrd_v2 %i; "
    "setparam -set COLLISION_X_MASK 1'1 @buffers"
)

#: Attribute of a ROM whose contents nothing else in the design depends on: ``hw.rom_mapping``.
REPLACEABLE = {"replaceable": 1}


class Rom(wiring.Component):
    """A block RAM with contents, read every cycle.

    Latency: 1 cycle from ``address`` to ``data``.

    Parameters
    ----------
    width : int
        Bits of a word, at least 1.
    words : sequence of int
        Contents, in order of address; at least one word.
    fixed : bool
        Whether synthesis may simplify the design for these contents. If not, others can be put into the bitstream.

    Members
    -------
    address : In(range(depth))
    enable : In(1)
        While 0, ``data`` keeps its value.
    data : Out(width)

    Raises
    ------
    ValueError
        If there are no words, or one does not fit the width.
    """

    def __init__(self, *, width, words, fixed=False):
        words = list(words)
        if not words:
            raise ValueError("Rom words must not be empty")
        for index, word in enumerate(words):
            if not 0 <= word < 1 << width:
                raise ValueError(f"Rom word {index} must be an unsigned {width}-bit integer, not {word!r}")
        self.width = width
        self.words = words
        self.fixed = fixed
        super().__init__({
            "address": In(range(max(2, len(words)))),
            "enable": In(1, init=1),
            "data": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        data = MemoryData(shape=unsigned(self.width), depth=max(2, len(self.words)), init=self.words)
        m.submodules.memory = memory = Memory(
            data, attrs={"ram_style": "block"} | ({} if self.fixed else REPLACEABLE))
        port = memory.read_port()
        m.d.comb += [port.addr.eq(self.address), port.en.eq(self.enable), self.data.eq(port.data)]
        return m


class SinglePortMemory(wiring.Component):
    """A memory that reads or writes one word in a cycle, as large single-port RAM does.

    Latency: 1 cycle from ``address`` to ``read_data``; in a cycle with ``write_enable`` nothing is read and
    ``read_data`` keeps its value.

    Parameters
    ----------
    width : int
        Bits of a word, at least 1.
    depth : int
        Words, at least 2.
    style : str
        ``"huge"`` for the part's large single-port RAM, ``"block"`` for block RAM.

    Members
    -------
    address : In(range(depth))
    write_enable : In(1)
    write_data : In(width)
    read_data : Out(width)

    Raises
    ------
    ValueError
        If the style is unknown or the depth is below 2.
    """

    def __init__(self, *, width, depth, style="block"):
        if style not in ("huge", "block"):
            raise ValueError(f"SinglePortMemory style must be 'huge' or 'block', not {style!r}")
        if depth < 2:
            raise ValueError(f"SinglePortMemory depth must be at least 2, not {depth!r}")
        self.width = width
        self.depth = depth
        self.style = style
        super().__init__({
            "address": In(range(depth)),
            "write_enable": In(1),
            "write_data": In(width),
            "read_data": Out(width),
        })

    def elaborate(self, platform):
        m = Module()
        data = MemoryData(shape=unsigned(self.width), depth=self.depth, init=[])
        m.submodules.memory = memory = Memory(data, attrs={"ram_style": self.style})
        read = memory.read_port()
        write = memory.write_port()
        m.d.comb += [
            read.addr.eq(self.address),
            read.en.eq(~self.write_enable),
            write.addr.eq(self.address),
            write.data.eq(self.write_data),
            write.en.eq(self.write_enable),
            self.read_data.eq(read.data),
        ]
        return m


class SimpleDualPortMemory(wiring.Component):
    """A block RAM that writes one word and reads another in the same cycle.

    Latency: 1 cycle from ``read_address`` to ``read_data``. Reading the address that is written in the same cycle
    gives the old or the new word: callers must not depend on it.

    Parameters
    ----------
    width : int
        Bits of a word, at least 1.
    depth : int
        Words, at least 2.

    Members
    -------
    read_address : In(range(depth))
    read_enable : In(1)
        While 0, ``read_data`` keeps its value.
    read_data : Out(width)
    write_address : In(range(depth))
    write_enable : In(1)
    write_data : In(width)

    Raises
    ------
    ValueError
        If the depth is below 2.
    """

    def __init__(self, *, width, depth):
        if depth < 2:
            raise ValueError(f"SimpleDualPortMemory depth must be at least 2, not {depth!r}")
        self.width = width
        self.depth = depth
        super().__init__({
            "read_address": In(range(depth)),
            "read_enable": In(1, init=1),
            "read_data": Out(width),
            "write_address": In(range(depth)),
            "write_enable": In(1),
            "write_data": In(width),
        })

    def elaborate(self, platform):
        m = Module()
        data = MemoryData(shape=unsigned(self.width), depth=self.depth, init=[])
        m.submodules.memory = memory = Memory(data, attrs={"ram_style": "block"})
        read = memory.read_port()
        write = memory.write_port()
        m.d.comb += [
            read.addr.eq(self.read_address),
            read.en.eq(self.read_enable),
            self.read_data.eq(read.data),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            write.en.eq(self.write_enable),
        ]
        return m

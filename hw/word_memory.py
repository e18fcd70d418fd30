"""Word memory: the fixed-point maps on shortcuts, banked like the features, and the store of what blocks fetch."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.banks import BankPermutation, check_strides
from hw.memory import Rom, SinglePortMemory

__all__ = ["WordMemory"]

#: Bits and words of a large RAM.
_RAM_WIDTH, _RAM_DEPTH = 16, 16384


class WordMemory(wiring.Component):
    """Q single-port banks of pairs of words; pixel x of a row lies in bank x mod Q. Beside them lies the store.

    A read gives each column a pair as ``hw.features.FeatureMemory`` gives it a word of features; a write stores a
    pair for each of Q neighbouring pixels, at one address. All accesses take effect in the order of their cycles.

    A shared store lies in the same large RAMs, behind the pairs: its words are spread over all RAMs, 16 bits each,
    those of the banks first, and are read while the banks have nothing else to do. Before it is read it is loaded,
    16 bits a cycle. A store that is not shared is a ROM.

    Latency: 2 cycles from a read's controls to ``words``, and from a cycle with ``store_request`` and ``store_grant``
    to ``store_data``. A write takes effect one cycle after it was given.

    Parameters
    ----------
    columns, word_bits : int
    depth : int
        Words of a bank.
    pitch_width : int
        Bits of ``pitch``.
    strides : sequence of int
        Values of t that occur, each coprime with ``columns``, ascending.
    store_width, store_words : int
        Bits and number of the store's words.
    shared : bool
    contents : sequence of int
        The store's words, if it is not shared.

    Members
    -------
    read_enable : In(1)
    address : In(range(depth))
    phase : In(range(columns))
    stride : In(1)
        Index into ``strides`` of the read's t, at most two.
    pitch : In(pitch_width)
        Pairs of a pixel: the address step to the next Q pixels.
    words : Out(ArrayLayout(2 * word_bits, columns))
    write_enable : In(1)
        Never together with ``read_enable``.
    write_address : In(range(depth))
    write_data : In(ArrayLayout(2 * word_bits, columns))
    store_request : In(1)
    store_address : In(range(store_words))
    store_grant : Out(1)
        Combinational: no other access is given in this cycle.
    store_data : Out(store_width)
    load_enable : In(1)
        Never together with a read or a write. This and the next three only where the store is shared.
    load_address : In(range(store_words))
    load_part : In(range(store_width // 16))
        Which 16 bits of the word, 0 for the lowest.
    load_data : In(16)

    Raises
    ------
    ValueError
        If a stride shares a factor with the columns, or there are more than two strides; if a shared store's words
        are not a whole number of RAMs, at least ``columns``, a pair is wider than a RAM, or pairs and store are
        together deeper than one, or there are contents; or if a ROM's contents are not ``store_words``.
    """

    def __init__(self, *, columns, word_bits, depth, pitch_width, strides=(1,), store_width, store_words, shared,
                 contents=()):
        contents = list(contents)
        if shared:
            _check_shared(columns, word_bits, depth, store_width, store_words, contents)
        elif len(contents) != store_words:
            raise ValueError(f"WordMemory contents must be {store_words!r} words, not {len(contents)}")
        self.columns = columns
        self.word_bits = word_bits
        self.depth = depth
        self.strides = check_strides("WordMemory", columns, strides)
        self.store_width = store_width
        self.store_words = store_words
        self.shared = shared
        self.contents = contents
        pairs = data.ArrayLayout(2 * word_bits, columns)
        load = {
            "load_enable": In(1),
            "load_address": In(range(max(2, store_words))),
            "load_part": In(range(max(2, store_width // _RAM_WIDTH))),
            "load_data": In(_RAM_WIDTH),
        }
        super().__init__({
            "read_enable": In(1),
            "address": In(range(depth)),
            "phase": In(range(max(2, columns))),
            "stride": In(1),
            "pitch": In(pitch_width),
            "words": Out(pairs),
            "write_enable": In(1),
            "write_address": In(range(depth)),
            "write_data": In(pairs),
            "store_request": In(1),
            "store_address": In(range(max(2, store_words))),
            "store_grant": Out(1),
            "store_data": Out(store_width),
            **(load if shared else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.permutation = permutation = BankPermutation(
            columns=self.columns, width=2 * self.word_bits, strides=self.strides, pitch_width=len(self.pitch),
            depth=self.depth + (self.store_words if self.shared else 0))
        m.d.comb += [
            permutation.read.eq(self.read_enable),
            permutation.phase.eq(self.phase),
            permutation.stride.eq(self.stride),
            permutation.pitch.eq(self.pitch),
            self.words.eq(permutation.words),
        ]
        if self.shared:
            self._share(m, permutation)
        else:
            self._separate(m, permutation)
        return m

    def _share(self, m, permutation):
        """All RAMs take reads, writes, loads and the store's reads through the same registers."""
        m.d.comb += [
            self.store_grant.eq(~(self.read_enable | self.write_enable | self.load_enable)),
            permutation.address.eq(Mux(
                self.read_enable | self.write_enable,
                Mux(self.read_enable, self.address, self.write_address),
                Mux(self.load_enable, self.load_address, self.store_address))),
            permutation.offset.eq(Mux(self.write_enable, 0, self.depth)),
        ]
        addresses = Signal.like(permutation.addresses, reset_less=True)
        write_data = Signal(data.ArrayLayout(_RAM_WIDTH, self.columns), reset_less=True)
        m.d.sync += addresses.eq(permutation.addresses)
        for bank in range(self.columns):
            m.d.sync += write_data[bank].eq(Mux(self.load_enable, self.load_data, self.write_data[bank]))
        rams = []
        for number in range(self.store_width // _RAM_WIDTH):
            m.submodules[f"ram_{number}"] = ram = SinglePortMemory(
                width=_RAM_WIDTH, depth=self.depth + self.store_words, style="huge")
            rams.append(ram)
            # A RAM that is no bank follows the first one; nobody reads its pairs.
            bank = number if number < self.columns else 0
            m.d.sync += ram.write_enable.eq(self.write_enable | (self.load_enable & (self.load_part == number)))
            m.d.comb += [ram.address.eq(addresses[bank]), ram.write_data.eq(write_data[bank])]
        m.d.comb += [
            self.store_data.eq(Cat(ram.read_data for ram in rams)),
            *(bank.eq(ram.read_data) for bank, ram in zip(permutation.bank_data, rams)),
        ]

    def _separate(self, m, permutation):
        """Banks as wide as a pair, and a ROM for the store."""
        m.d.comb += [
            self.store_grant.eq(1),
            permutation.address.eq(Mux(self.read_enable, self.address, self.write_address)),
        ]
        write_enable = Signal()
        addresses = Signal.like(permutation.addresses, reset_less=True)
        write_data = Signal.like(self.write_data, reset_less=True)
        m.d.sync += [
            write_enable.eq(self.write_enable),
            addresses.eq(permutation.addresses),
            write_data.eq(self.write_data),
        ]
        for number in range(self.columns):
            m.submodules[f"bank_{number}"] = bank = SinglePortMemory(width=2 * self.word_bits, depth=self.depth)
            m.d.comb += [
                bank.address.eq(addresses[number]),
                bank.write_enable.eq(write_enable),
                bank.write_data.eq(write_data[number]),
                permutation.bank_data[number].eq(bank.read_data),
            ]
        m.submodules.rom = rom = Rom(width=self.store_width, words=self.contents)
        address = Signal.like(rom.address, reset_less=True)
        m.d.sync += address.eq(self.store_address)
        m.d.comb += [rom.address.eq(address), self.store_data.eq(rom.data)]


def _check_shared(columns, word_bits, depth, store_width, store_words, contents):
    if 2 * word_bits > _RAM_WIDTH:
        raise ValueError(f"WordMemory word_bits must be at most {_RAM_WIDTH // 2} to be shared, not {word_bits!r}")
    if store_width % _RAM_WIDTH or store_width < columns * _RAM_WIDTH:
        raise ValueError(
            f"WordMemory store_width must be a multiple of {_RAM_WIDTH}, at least {columns * _RAM_WIDTH}, not "
            f"{store_width!r}")
    if depth + store_words > _RAM_DEPTH:
        raise ValueError(
            f"WordMemory depth and store_words must be at most {_RAM_DEPTH} together, not {depth!r} + {store_words!r}")
    if contents:
        raise ValueError("WordMemory contents must not be given with a shared store, which is loaded")

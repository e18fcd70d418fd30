"""Input unit for images of n-bit pixels: forms the first convolution's windows, a bit plane after the other."""

from itertools import product

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from hw.axi_stream import AxiStreamSignature
from hw.memory import SimpleDualPortMemory, SinglePortMemory
from hw.receiver import FrameError, FrameReceiver
from sw.folding import window_patch

__all__ = ["WindowInput"]


class WindowInput(wiring.Component):
    """Stores an image, and for each group of output pixels fetches the pixels that its windows touch.

    A whole window (kernel x kernel x channels) is packed into the lanes, so that the first layer is a 1 x 1
    convolution over windows. Pixels come column by column: the first group of a row of windows fetches all columns
    that it touches, each further one only those that its predecessor did not. The padding is black (0); it is not
    stored, but made on the way. The image is released once its last pixel has been fetched.

    With two ``buffers`` a group's pixels are fetched while those of the group before it rotate through their bit
    planes; with one, which is half the registers, a group waits for its fetch.

    Latency: 2 cycles from a beat's controls to ``activations``. A fetch of n pixels (``first_fetch`` or
    ``next_fetch``) has its group ``ready`` n + 1 cycles after its start, which is ``begin`` for the first group. For
    any other it is the first beat of the group before it or, with one buffer, the first cycle with ``group_first``
    after that group's last beat.

    Parameters
    ----------
    height, width, channels, bits : int
        Of the image; each beat of the stream is one channel value, row by row, channels innermost.
    code_width : int
        Integers of ``bits`` bits that a channel value holds, the first in its lowest bits: each is a channel of the
        windows.
    kernel, stride, padding, pool : int
        Of the first layer.
    out_height, out_width : int
        Of the first layer's map after its pool.
    columns, lanes : int
    buffers : int
        2 or 1, sets of registers for a group's pixels.
    large_image : bool
        The image lies in the part's large RAM, which has one port: no frame is taken in before all of the last one is
        fetched, so both uses never meet.

    Members
    -------
    i : In(AxiStreamSignature(8, user_width=1))
    error : Out(FrameError)
    available : Out(1)
        A whole frame waits to be computed.
    begin : In(1)
        The engine starts on it.
    ready : Out(1)
        The first beat of the next group may be issued.
    beat : In(1)
        A beat is issued, with the following controls.
    group_first : In(1)
        It is the first of its group; it waits for ``ready`` with this control.
    plane_last : In(1)
        The next beat takes the next bit plane.
    word : In(range(words))
        Part of the window.
    dy, dx : In(1)
        Position in the pool window.
    selected : In(1)
        The layer takes its activations from here. While 0, they are 0 from the next cycle on, and no group is held.
    activations : Out(ArrayLayout(lanes, columns))

    Raises
    ------
    ValueError
        If ``buffers`` is neither 1 nor 2.
    """

    def __init__(self, *, height, width, channels, bits, kernel, stride, padding, pool, out_height, out_width,
                 columns, lanes, code_width=1, buffers=2, large_image=False):
        if buffers not in (1, 2):
            raise ValueError(f"WindowInput buffers must be 1 or 2, not {buffers!r}")
        self.height = height
        self.width = width
        self.channels = channels
        self.bits = bits
        self.code_width = code_width
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
        self.pool = pool
        self.out_height = out_height
        self.out_width = out_width
        self.columns = columns
        self.lanes = lanes
        self.buffers = buffers
        self.large_image = large_image
        super().__init__({
            "i": In(AxiStreamSignature(8, user_width=1)),
            "error": Out(FrameError),
            "available": Out(1),
            "begin": In(1),
            "ready": Out(1),
            "beat": In(1),
            "group_first": In(1),
            "plane_last": In(1),
            "word": In(range(max(2, self.words))),
            "dy": In(1),
            "dx": In(1),
            "selected": In(1, init=1),
            "activations": Out(data.ArrayLayout(lanes, columns)),
        })

    @property
    def _pixel_bits(self):
        return self.channels * self.code_width * self.bits

    @property
    def words(self):
        """Words that a window fills."""
        return -(-self.kernel * self.kernel * self.channels * self.code_width // self.lanes)

    @property
    def patch(self):
        """Rows and columns of pixels that a group's windows touch."""
        return window_patch(self.kernel, self.stride, self.pool, self.columns)

    @property
    def first_fetch(self):
        """Pixels that are fetched for the first group of a row of windows, one a cycle."""
        rows, columns = self.patch
        return rows * columns

    @property
    def next_fetch(self):
        """Pixels that are fetched for each further group."""
        return self.patch[0] * self.columns * self.stride * self.pool

    def elaborate(self, platform):
        m = Module()
        loaded = Signal()
        waiting = Signal()
        released = Signal()
        address, read_data, commit = self._store(m, room=~loaded)
        m.d.comb += self.available.eq(waiting)
        m.d.sync += [loaded.eq((loaded | commit) & ~released), waiting.eq((waiting | commit) & ~self.begin)]

        arriving, pixel = self._fetch(m, address, read_data, released)
        planes = self._hold(m, arriving, pixel)
        self._hand_out(m, planes)
        return m

    def _store(self, m, *, room):
        """Receive frames into the image memory, a pixel of all channels in a word. Return the address that is read,
        the word that it had a cycle before, and when a frame is whole.
        """
        m.submodules.receiver = receiver = FrameReceiver(
            beats=self.height * self.width * self.channels, word_beats=self.channels)
        width, depth = self._pixel_bits, max(2, self.height * self.width)
        m.submodules.memory = memory = SinglePortMemory(
            width=width, depth=depth, style="huge") if self.large_image else SimpleDualPortMemory(
            width=width, depth=depth)
        wiring.connect(m, wiring.flipped(self.i), receiver.i)
        m.d.comb += [self.error.eq(receiver.error), receiver.room.eq(room)]

        value = self.code_width * self.bits
        earlier = Signal((self.channels - 1) * value)
        pixel = Cat(earlier, receiver.byte[:value])
        with m.If(receiver.write):
            m.d.sync += earlier.eq(pixel[value:])
        write, address = receiver.write & receiver.word_full, Signal(range(depth))
        m.d.comb += [memory.write_enable.eq(write), memory.write_data.eq(pixel)]
        if self.large_image:
            m.d.comb += memory.address.eq(Mux(write, receiver.word, address))
        else:
            m.d.comb += [memory.write_address.eq(receiver.word), memory.read_address.eq(address)]
        return address, memory.read_data, receiver.commit

    def _fetch(self, m, read_address, read_data, released):
        """Read each group's pixels; return when one arrives, and the pixel.

        Where a row of groups ends beyond the map, what is fetched for output columns that it does not have is not used.
        """
        rows, columns = self.patch
        step = self.stride * self.pool
        further = self.columns * step
        across = columns + (-(-self.out_width // self.columns) - 1) * further  # columns of a row of groups
        final = ((self.out_height - 1) * step + rows - 1 - self.padding) * self.width + across - 1 - self.padding

        # Pixel (y, x) has the address y * width + x, wherever it lies; what comes before the image wraps around.
        before = self.padding * (self.width + 1)
        x_bits = bits_for(self.padding + max(across - self.padding, self.width) - 1)
        address_bits = bits_for(before + max(final, self.height * self.width - 1))
        first_x, first_address = -self.padding % (1 << x_bits), -before % (1 << address_bits)
        x = Signal(x_bits, init=first_x)
        address = Signal(address_bits, init=first_address)
        row = Signal(range(max(2, rows)))
        left = Signal(range(max(2, columns, further)), init=columns - 1)  # columns to come for the group
        last_row = row == rows - 1
        last = last_row & (left == 0)
        band_end = x == (across - 1 - self.padding) % (1 << x_bits)

        running, more, full = Signal(), Signal(), Signal()
        taken = self.beat & self.group_first
        start = taken if self.buffers == 2 else self.group_first & ~full & ~running
        m.d.comb += [
            read_address.eq(address),
            released.eq(running & last & (address == final)),
            self.ready.eq(full),
        ]
        m.d.sync += [
            more.eq(self.begin | (more & ~released)),
            running.eq(self.begin | (start & more) | (running & ~last)),
            full.eq((running & last) | (full & ~taken)),
        ]
        up = (rows - 1) * self.width
        with m.If(running):
            m.d.sync += [
                row.eq(Mux(last_row, 0, row + 1)),
                address.eq(address + Mux(
                    ~last_row, self.width, Mux(band_end, step * self.width - (across - 1) - up, 1 - up))),
            ]
            with m.If(last_row):
                m.d.sync += [
                    x.eq(Mux(band_end, first_x, x + 1)),
                    left.eq(Mux(left != 0, left - 1, Mux(band_end, columns, further) - 1)),
                ]
            with m.If(released):
                m.d.sync += address.eq(first_address)

        arriving = Signal()
        m.d.sync += arriving.eq(running)
        pixel = Signal(self._pixel_bits)
        if not self.padding:
            m.d.comb += pixel.eq(read_data)
        else:
            inside = Signal()
            m.d.sync += inside.eq((x < self.width) & (address < self.height * self.width))
            m.d.comb += pixel.eq(Mux(inside, read_data, 0))
        return arriving, pixel

    def _hold(self, m, arriving, pixel):
        """Hold a group's pixels, column by column; each plane's end rotates them by a bit. Return their top bits:
        those of the current plane, by row, column and channel.
        """
        rows, columns = self.patch
        held = self._pixels("held")
        if self.buffers == 2:
            fetched = self._pixels("fetched")
            with m.If(arriving):
                m.d.sync += Cat(fetched).eq(Cat(fetched[1:], pixel))
            load = Signal()
            m.d.sync += load.eq(self.beat & self.group_first)
            following = fetched
        else:
            load, following = arriving, [*held[1:], pixel]
        rotate = self._delay(m, self.beat & self.plane_last)
        channels = range(self.channels * self.code_width)
        values = [word.word_select(channel, self.bits) for word in held for channel in channels]
        with m.If(load):
            m.d.sync += Cat(held).eq(Cat(following))
        with m.Elif(~self.selected):
            m.d.sync += Cat(held).eq(0)
        with m.Elif(rotate):
            m.d.sync += Cat(held).eq(Cat(value.rotate_left(1) for value in values))
        places = product(range(columns), range(rows), channels)
        return {(row, column, channel): value[-1]
                for (column, row, channel), value in zip(places, values, strict=True)}

    def _pixels(self, name):
        rows, columns = self.patch
        return [Signal(self._pixel_bits, name=f"{name}_{index}", reset_less=True)
                for index in range(rows * columns)]

    def _hand_out(self, m, planes):
        """Pack the windows' bits into the lanes: a word of them, at a position in the pool window."""
        taps = list(product(range(self.kernel), range(self.kernel), range(self.channels * self.code_width)))
        places = list(product(range(self.words), range(self.pool), range(self.pool)))
        choice = self._delay(m, Cat(*(control for control, values in (
            (self.dx, self.pool), (self.dy, self.pool), (self.word, self.words)) if values > 1)))
        for column in range(self.columns):
            with m.Switch(choice):
                for number, (part, py, px) in enumerate(places):
                    lanes = [
                        planes[py * self.stride + ky, (px * self.columns + column) * self.stride + kx, channel]
                        for ky, kx, channel in taps[part * self.lanes:(part + 1) * self.lanes]
                    ]
                    with m.Case(number):
                        m.d.comb += self.activations[column].eq(Cat(lanes))

    @staticmethod
    def _delay(m, value):
        """A beat's control, two cycles later."""
        for _ in range(2):
            delayed = Signal(len(value))
            m.d.sync += delayed.eq(value)
            value = delayed
        return value

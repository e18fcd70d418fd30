"""Input unit for images of n-bit pixels: forms the first convolution's windows, a bit plane after the other."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.axi_stream import AxiStreamSignature
from hw.memory import SimpleDualPortMemory
from hw.receiver import FrameError, FrameReceiver

__all__ = ["WindowInput"]


class WindowInput(wiring.Component):
    """Stores an image, and for each group of output pixels fetches the pixels that its windows touch.

    A whole window (kernel x kernel x channels) is packed into the lanes, so that the first layer is a 1 x 1
    convolution over windows. While one group's pixels rotate through their bit planes, the next group's are fetched.
    The padding is black (0). The image is released once its last pixel has been fetched.

    Latency: 2 cycles from a beat's controls to ``activations``. The first group is ready ``fetch_cycles`` + 2 cycles
    after ``begin``, each further one ``fetch_cycles`` + 3 after the first beat of the group before it.

    Parameters
    ----------
    height, width, channels, bits : int
        Of the image; each beat of the stream is one channel value, row by row, channels innermost.
    kernel, stride, padding, pool : int
        Of the first layer.
    out_height, out_width : int
        Of the first layer's map after its pool.
    columns, lanes : int

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
        It is the first of its group.
    plane_last : In(1)
        The next beat takes the next bit plane.
    word : In(range(words))
        Part of the window.
    dy, dx : In(1)
        Position in the pool window.
    activations : Out(ArrayLayout(lanes, columns))
    """

    def __init__(self, *, height, width, channels, bits, kernel, stride, padding, pool, out_height, out_width,
                 columns, lanes):
        self.height = height
        self.width = width
        self.channels = channels
        self.bits = bits
        self.kernel = kernel
        self.stride = stride
        self.padding = padding
        self.pool = pool
        self.out_height = out_height
        self.out_width = out_width
        self.columns = columns
        self.lanes = lanes
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
            "activations": Out(data.ArrayLayout(lanes, columns)),
        })

    @property
    def words(self):
        """Words that a window fills."""
        return -(-self.kernel * self.kernel * self.channels // self.lanes)

    @property
    def patch(self):
        """Rows and columns of pixels that a group's windows touch."""
        beyond = (self.pool - 1) * self.stride + self.kernel
        return beyond, (self.columns - 1) * self.stride * self.pool + beyond

    @property
    def pitch(self):
        """Pixels of a row in the image memory, padding included."""
        return self.width + 2 * self.padding

    @property
    def depth(self):
        """Pixels in the image memory, padding included."""
        return self.pitch * (self.height + 2 * self.padding)

    @property
    def fetch_cycles(self):
        """Pixels of a patch, one a cycle."""
        rows, columns = self.patch
        return rows * columns

    def elaborate(self, platform):
        m = Module()
        loaded = Signal()
        waiting = Signal()
        released = Signal()
        memory, commit = self._store(m, room=~loaded)
        m.d.comb += self.available.eq(waiting)
        m.d.sync += [loaded.eq((loaded | commit) & ~released), waiting.eq((waiting | commit) & ~self.begin)]

        take = Signal()
        m.d.sync += take.eq(self.beat & self.group_first)
        patch, full = self._fetch(m, memory, take, released)
        m.d.comb += self.ready.eq(full & ~take)
        self._hand_out(m, patch, take)
        return m

    def _store(self, m, *, room):
        """Receive frames into the image memory, a pixel of all channels in a word.

        The memory holds the padding too: its black pixels come with the bitstream and are never written.
        """
        m.submodules.receiver = receiver = FrameReceiver(beats=self.height * self.width * self.channels)
        m.submodules.memory = memory = SimpleDualPortMemory(width=self.channels * self.bits, depth=self.depth)
        wiring.connect(m, wiring.flipped(self.i), receiver.i)
        m.d.comb += [self.error.eq(receiver.error), receiver.room.eq(room)]

        start = self.padding * self.pitch + self.padding
        channel = Signal(range(max(2, self.channels)))
        column = Signal(range(max(2, self.width)))
        address = Signal.like(memory.write_address, init=start)
        earlier = Signal((self.channels - 1) * self.bits)
        pixel = Cat(earlier, receiver.byte[:self.bits])
        last_channel = channel == self.channels - 1
        last_column = column == self.width - 1
        with m.If(receiver.write):
            m.d.sync += channel.eq(Mux(last_channel, 0, channel + 1))
            if self.channels > 1:
                m.d.sync += earlier.eq(pixel[self.bits:])
            with m.If(last_channel):
                m.d.sync += [
                    column.eq(Mux(last_column, 0, column + 1)),
                    address.eq(address + Mux(last_column, 1 + 2 * self.padding, 1)),
                ]
            with m.If(receiver.commit | (receiver.error != FrameError.NONE)):
                m.d.sync += [channel.eq(0), column.eq(0), address.eq(start)]
        m.d.comb += [
            memory.write_enable.eq(receiver.write & last_channel),
            memory.write_address.eq(address),
            memory.write_data.eq(pixel),
        ]
        return memory, receiver.commit

    def _fetch(self, m, memory, take, released):
        """Read each group's patch of pixels into a shift register.

        Pixels beyond the memory's rows are read for output columns that the map does not have; they are not used.
        """
        rows, columns = self.patch
        step = self.stride * self.pool
        groups_x = -(-self.out_width // self.columns)

        running = Signal()
        more = Signal()
        row = Signal(range(max(2, rows)))
        column = Signal(range(max(2, columns)))
        group_x = Signal(range(max(2, groups_x)))
        group_y = Signal(range(max(2, self.out_height)))
        address = Signal.like(memory.read_address)
        last_column = column == columns - 1
        last_row = row == rows - 1
        last_x = group_x == groups_x - 1

        # From the last pixel of a patch row to the next row, of a patch to the next patch, of a band to the next band.
        to_row = self.pitch - (columns - 1)
        to_patch = step * self.columns - (rows - 1) * self.pitch - (columns - 1)
        to_band = step * self.pitch - (groups_x - 1) * step * self.columns - (rows - 1) * self.pitch - (columns - 1)
        move = Mux(~last_column, 1, Mux(~last_row, to_row, Mux(~last_x, to_patch, to_band)))
        m.d.comb += memory.read_address.eq(address)
        with m.If(running):
            m.d.sync += [address.eq(address + move), column.eq(Mux(last_column, 0, column + 1))]
            with m.If(last_column):
                m.d.sync += row.eq(Mux(last_row, 0, row + 1))
            with m.If(last_column & last_row):
                m.d.sync += [running.eq(0), group_x.eq(Mux(last_x, 0, group_x + 1))]
                with m.If(last_x):
                    m.d.sync += group_y.eq(group_y + 1)
                    with m.If(group_y == self.out_height - 1):
                        m.d.sync += more.eq(0)
                        m.d.comb += released.eq(1)
        with m.If(self.begin):
            m.d.sync += [running.eq(1), more.eq(1), group_x.eq(0), group_y.eq(0), address.eq(0)]
        with m.Elif(take & more):
            m.d.sync += running.eq(1)

        arriving = Signal()
        complete = Signal()
        full = Signal()
        m.d.sync += [
            arriving.eq(running),
            complete.eq(running & last_row & last_column),
            full.eq((full & ~take) | complete),
        ]
        pixels = [
            [Signal(self.channels * self.bits, name=f"fetched_{r}_{c}", reset_less=True) for c in range(columns)]
            for r in range(rows)
        ]
        ordered = [pixel for line in pixels for pixel in line]
        with m.If(arriving):
            for here, after in zip(ordered, [*ordered[1:], memory.read_data], strict=True):
                m.d.sync += here.eq(after)
        return pixels, full

    def _hand_out(self, m, fetched, take):
        """Hold a group's pixels; their top bits are the current plane, and each plane's end rotates them by one."""
        rows, columns = self.patch
        controls = (self.plane_last & self.beat, self.word, self.dy, self.dx)
        for _ in range(2):
            delayed = [Signal(len(control)) for control in controls]
            m.d.sync += [late.eq(control) for late, control in zip(delayed, controls, strict=True)]
            controls = delayed
        rotate, word, dy, dx = controls

        plane = {}
        for r in range(rows):
            for c in range(columns):
                for channel in range(self.channels):
                    held = Signal(self.bits, name=f"pixel_{r}_{c}_{channel}", reset_less=True)
                    with m.If(take):
                        m.d.sync += held.eq(fetched[r][c].word_select(channel, self.bits))
                    with m.Elif(rotate):
                        m.d.sync += held.eq(held.rotate_left(1))
                    plane[r, c, channel] = held[-1]

        step = self.stride * self.pool
        taps = [
            (ky, kx, channel)
            for ky in range(self.kernel) for kx in range(self.kernel) for channel in range(self.channels)
        ]
        for column in range(self.columns):
            with m.Switch(Cat(dy, dx, word)):
                for part in range(self.words):
                    for py in range(self.pool):
                        for px in range(self.pool):
                            lanes = [
                                plane[py * self.stride + ky, column * step + px * self.stride + kx, channel]
                                for ky, kx, channel in taps[part * self.lanes:(part + 1) * self.lanes]
                            ]
                            with m.Case(py | px << 1 | part << 2):
                                m.d.comb += self.activations[column].eq(Cat(lanes))

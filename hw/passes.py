"""Outer loops of a layer: pooled rows, column groups, channel groups, and the positions in a pool window."""

from amaranth import Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Pass", "PassSequencer", "coordinate"]


def coordinate(columns, fields):
    """Shape of an input column, from the padding before the map to the last group's columns behind it."""
    beyond = 2 * columns + (1 << len(fields["padding"])) + (1 << len(fields["kernel_w"]))
    return signed(((1 << len(fields["in_width"])) + 2 * beyond).bit_length() + 1)


class Pass(data.StructLayout):
    """Where a pass begins: its first valid tap.

    ``address`` and ``phase`` name the feature word (``hw.features``), ``weights`` the weight word; ``ky``, ``kx`` the
    tap, ``y`` and ``x`` the input pixel that column 0 reads there (``x`` may lie outside the map); ``ky_last`` and
    ``kx_last`` say that no tap row or column follows. If all columns lie behind the map's right edge, each tap row has
    one tap, that no column takes.
    """

    def __init__(self, *, columns, address_width, weight_width, fields):
        super().__init__({
            "address": address_width,
            "phase": range(max(2, columns)),
            "weights": weight_width,
            "ky": len(fields["padding"]),
            "kx": len(fields["padding"]),
            "y": len(fields["in_height"]),
            "x": coordinate(columns, fields),
            "ky_last": 1,
            "kx_last": 1,
            "dy": 1,
            "dx": 1,
            "group_first": 1,
            "final": 1,
        })


class PassSequencer(wiring.Component):
    """Counts through the passes of a layer and works out where each begins; padded taps before it are skipped.

    Before a 2 x 2 pool, two passes side by side (``dx``) give twice as many neighbouring columns as the array has.

    Channel groups of a grouped convolution take their taps from windows of a pixel's words: ``turn`` of them from the
    first, as many from the one behind it, and after ``windows`` from the first again.

    Latency: the first pass is offered 3 cycles after ``begin``, each further one 2 cycles after the one before it is
    taken.

    Parameters
    ----------
    columns : int
    address_width : int
        Of a feature address.
    weight_width : int
        Of a weight address.
    fields : dict of Signal
        ``LayerControl.fields``.

    Members
    -------
    begin : In(1)
        A layer starts.
    o : Out(stream of Pass)
    """

    def __init__(self, *, columns, address_width, weight_width, fields):
        self.columns = columns
        self.address_width = address_width
        self.weight_width = weight_width
        self._fields = fields
        layout = Pass(columns=columns, address_width=address_width, weight_width=weight_width, fields=fields)
        super().__init__({"begin": In(1), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform):
        m = Module()
        field = self._fields
        stride = field["stride"] + 1
        strided, wide = Signal(), Signal()  # the stride, or stride x pool, is 2
        m.d.comb += [strided.eq(field["stride"] != 0), wide.eq(strided | (field["pool"] != 0))]
        words = Signal(len(field["words"]) + 1)
        pitch = Signal(range((1 << len(field["words"])) + (1 << len(field["skip"]))))
        m.d.comb += [words.eq(field["words"] + 1), pitch.eq(words + field["skip"])]

        running = Signal()
        # What a layer's begin sets, or is valid beside something else, needs no reset.
        dy, dx = Signal(reset_less=True), Signal(reset_less=True)
        group_c, group_x, row = (
            Signal.like(field[name], reset_less=True) for name in ("groups_c", "groups_x", "rows_out"))
        across_shape = coordinate(self.columns, field)
        down_shape = signed(len(field["in_height"]) + 3)
        skip_shape = len(field["padding"])
        top, left = Signal(down_shape, reset_less=True), Signal(across_shape, reset_less=True)
        band = Signal(self.address_width, reset_less=True)  # feature address of the row that ``top`` names
        across = Signal(self.address_width, reset_less=True)
        weights = Signal(self.weight_width, reset_less=True)

        # Stage 1: the loops. Stage 2: small offsets. Stage 3: addresses.
        position = Signal(data.StructLayout({
            "y": down_shape, "x": across_shape, "row": skip_shape + 2, "ky": skip_shape, "kx": skip_shape, "shift": 4,
            "address": self.address_width, "weights": self.weight_width, "beyond": 1, "dy": 1, "dx": 1,
            "group_first": 1, "final": 1,
        }), reset_less=True)
        # Two cycles a pass: one in which it moves to stage 2, and one in which the loops move on. Nothing here waits
        # for ``ready``, which comes late in a cycle, and the loops wait only for a register.
        position_valid, take, moving = Signal(), Signal(), Signal()
        m.d.comb += take.eq(running & ~moving & ~(position_valid & self.o.valid))
        m.d.sync += moving.eq(take)

        # That a loop is at its end is a register beside its counter, as in the tap sequencer.
        channels_flag, row_flag, rows_flag = (
            Signal(name=name, reset_less=True) for name in ("channels_end", "row_end", "rows_end"))
        channels_end, row_end, rows_end = (
            flag if len(field[name]) else Const(1)
            for flag, name in ((channels_flag, "groups_c"), (row_flag, "groups_x"), (rows_flag, "rows_out")))
        # Without any pool these are constants, as synthesis sees by their first value.
        dx_last, dy_last = (
            Signal(name=name, init=len(field["pool"]) == 0, reset_less=True) for name in ("dx_last", "dy_last"))
        pool_end = dx_last & dy_last
        final = pool_end & channels_end & row_end & rows_end
        advance = moving & pool_end
        window = self._window(m, words=words, advance=advance, restart=self.begin | (advance & channels_end))
        with m.If(moving):
            m.d.sync += [dx.eq(~dx_last), dx_last.eq(~dx_last | (field["pool"] == 0))]
            with m.If(dx_last):
                m.d.sync += [dy.eq(~dy_last), dy_last.eq(~dy_last | (field["pool"] == 0))]
            with m.If(pool_end):
                m.d.sync += [
                    group_c.eq(group_c + 1), channels_flag.eq(group_c + 1 == field["groups_c"]),
                    weights.eq(weights + field["group_taps"]),
                ]
                with m.If(channels_end):
                    m.d.sync += [
                        group_c.eq(0), channels_flag.eq(field["groups_c"] == 0), weights.eq(field["weights"]),
                        group_x.eq(group_x + 1), row_flag.eq(group_x + 1 == field["groups_x"]),
                        left.eq(left + (self.columns << wide)), across.eq(across + (pitch << wide)),
                    ]
                    with m.If(row_end):
                        m.d.sync += [
                            group_x.eq(0), row_flag.eq(field["groups_x"] == 0),
                            row.eq(row + 1), rows_flag.eq(row + 1 == field["rows_out"]),
                            left.eq(-field["padding"]), across.eq(0),
                            top.eq(top + (1 << wide)), band.eq(band + (field["row_pitch"] << wide)),
                        ]
            with m.If(final):
                m.d.sync += running.eq(0)
        with m.If(self.begin):
            m.d.sync += [
                running.eq(1), dy.eq(0), dx.eq(0), group_c.eq(0), group_x.eq(0), row.eq(0),
                dy_last.eq(field["pool"] == 0), dx_last.eq(field["pool"] == 0),
                channels_flag.eq(field["groups_c"] == 0), row_flag.eq(field["groups_x"] == 0),
                rows_flag.eq(field["rows_out"] == 0),
                top.eq(-field["padding"]), left.eq(-field["padding"]), band.eq(field["address"]), across.eq(0),
                weights.eq(field["weights"]),
            ]

        y, x, right = Signal(down_shape), Signal(across_shape), Signal(across_shape)
        down, skip_y, skip_x = Signal(2), Signal(skip_shape), Signal(skip_shape)
        m.d.comb += [
            down.eq(Mux(dy, stride, 0)),
            y.eq(top + down),
            x.eq(left + Mux(dx, self.columns, 0)),
            right.eq(x + ((self.columns - 1) << strided)),
            skip_y.eq(Mux(y < 0, -y, 0)),
        ]
        # Where there are more columns than the widest padding, one of them always has a pixel.
        if self.columns < 1 << len(field["padding"]):
            m.d.comb += skip_x.eq(Mux(right < 0, -right, 0))
        with m.If(~self.o.valid):
            m.d.sync += position_valid.eq(0)
        with m.If(take):
            m.d.sync += [
                position_valid.eq(1),
                position.y.eq(y + skip_y), position.x.eq(x + skip_x), position.row.eq(down + skip_y),
                position.ky.eq(skip_y), position.kx.eq(skip_x), position.shift.eq(field["phase"] + skip_x),
                position.address.eq(band + across + window), position.weights.eq(weights),
                position.beyond.eq(dx & (x > field["in_width"])), position.dy.eq(dy), position.dx.eq(dx),
                position.group_first.eq((dy == 0) & (dx == 0) & (group_c == 0)), position.final.eq(final),
            ]

        # Taps are skipped only where the padding holds all columns.
        furthest = max(self.columns, 1 << len(field["padding"])) - 1
        groups, phase = Signal(range(furthest // self.columns + 2)), Signal(range(max(2, self.columns)))
        with m.Switch(position.shift):
            for shift in range(furthest + 1):
                with m.Case(shift):
                    m.d.comb += [groups.eq(shift // self.columns + position.dx), phase.eq(shift % self.columns)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        p = Signal.like(self.o.payload, reset_less=True)
        m.d.comb += self.o.payload.eq(p)
        with m.If(~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(position_valid),
                p.address.eq(position.address + position.row * field["row_pitch"] + groups * pitch),
                p.phase.eq(phase),
                p.weights.eq(position.weights + position.ky * field["row_taps"] + position.kx * words),
                p.ky.eq(position.ky), p.kx.eq(position.kx), p.y.eq(position.y), p.x.eq(position.x),
                p.ky_last.eq((position.ky == field["kernel_h"]) | (position.y == field["in_height"])),
                p.kx_last.eq((position.kx == field["kernel_w"]) | (position.x == field["in_width"]) | position.beyond),
                p.dy.eq(position.dy), p.dx.eq(position.dx),
                p.group_first.eq(position.group_first), p.final.eq(position.final),
            ]
        return m

    def _window(self, m, *, words, advance, restart):
        """Words of a pixel before those that the channel group takes; it changes with ``advance``."""
        field = self._fields
        if not len(field["windows"]):
            return 0
        window = Signal.like(field["skip"], name="window")
        turn, number = Signal.like(field["turn"], name="turn"), Signal.like(field["windows"], name="window_number")
        turn_last, window_last = turn == field["turn"], number == field["windows"]
        with m.If(restart):
            m.d.sync += [turn.eq(0), number.eq(0), window.eq(0)]
        with m.Elif(advance):
            m.d.sync += turn.eq(Mux(turn_last, 0, turn + 1))
            with m.If(turn_last):
                m.d.sync += [number.eq(Mux(window_last, 0, number + 1)), window.eq(Mux(window_last, 0, window + words))]
        return window

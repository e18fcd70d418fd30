"""Inner loops of a layer: bit planes, kernel rows, kernel columns and channel words of a pass, a beat a cycle."""

from amaranth import Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.array import BeatControl
from hw.passes import Pass

__all__ = ["TapSequencer"]


class TapSequencer(wiring.Component):
    """Issues the beats of each pass that it is given.

    A tap row or column that lies outside the map for every PE column ends early; a column whose pixel lies outside is
    not enabled. Beats wait (``issue`` = 0) while the feature memory writes, while the input unit has no window, and a
    pass's last beat while the pass before it drains.

    Latency: a pass's first beat is issued at the earliest one cycle after the pass is taken; a pass is taken with the
    last beat of the pass before it, if it is offered.

    Parameters
    ----------
    columns : int
    address_width, weight_width : int
    fields : dict of Signal
        ``LayerControl.fields``.

    Members
    -------
    i : In(stream of Pass)
    write_next : In(1)
        The feature memory writes in the next cycle.
    image_ready : In(1)
        The input unit has the window of the next group.
    issue : Out(1)
        A beat is issued; the other outputs belong to it, but for ``control``.
    image : Out(1)
        It takes its activations from the input unit.
    address, phase, stride, pitch : Out
        Feature word, as ``hw.features.FeatureMemory`` wants it.
    weights : Out(weight_width)
    group_first, plane_last, word, dy, dx : Out
        As ``hw.window_input.WindowInput`` wants it.
    final : Out(1)
        The layer's last beat is issued.
    control : Out(BeatControl)
        Of the beat of the cycle before; zero if there was none.
    """

    def __init__(self, *, columns, address_width, weight_width, fields):
        self.columns = columns
        self._fields = fields
        layout = Pass(columns=columns, address_width=address_width, weight_width=weight_width, fields=fields)
        super().__init__({
            "i": In(stream.Signature(layout)),
            "write_next": In(1),
            "image_ready": In(1),
            "issue": Out(1),
            "image": Out(1),
            "address": Out(address_width),
            "phase": Out(range(max(2, columns))),
            "stride": Out(1),
            "pitch": Out(range((1 << len(fields["words"])) + (1 << len(fields["skip"])))),
            "weights": Out(weight_width),
            "group_first": Out(1),
            "plane_last": Out(1),
            "word": Out(len(fields["words"])),
            "dy": Out(1),
            "dx": Out(1),
            "final": Out(1),
            "control": Out(BeatControl(columns=columns)),
        })

    def elaborate(self, platform):
        m = Module()
        field = self._fields
        active, fresh = Signal(), Signal()  # a pass is under way, at the first beat of a group
        # What a pass brings needs no reset, which would stand before all these registers' enables.
        start = Signal.like(self.i.payload, reset_less=True)  # its address and weights move on with the rows
        ky, kx, plane, word = (Signal.like(field[name], name=name, reset_less=True)
                               for name in ("kernel_h", "kernel_w", "planes", "words"))
        y, x = Signal.like(start.y, reset_less=True), Signal.like(start.x, reset_less=True)
        address, phase, weights = (Signal.like(port, reset_less=True)
                                   for port in (self.address, self.phase, self.weights))

        # That a counter is at its end is a register beside it: what is issued then waits for no comparison.
        word_flag, kx_flag, ky_flag, plane_flag = (
            Signal(name=name, reset_less=True) for name in ("word_last", "kx_last", "ky_last", "plane_last"))
        # A loop that no layer has is always at its end.
        word_last, kx_last, ky_last, plane_last = (
            flag if len(field[name]) else Const(1) for flag, name in (
                (word_flag, "words"), (kx_flag, "kernel_w"), (ky_flag, "kernel_h"), (plane_flag, "planes")))
        cold = Signal(init=1)
        last = word_last & kx_last & ky_last & plane_last

        cooling = Signal.like(field["cooling"], name="cooling")
        waits = Mux(self.image, fresh & ~self.image_ready, self.write_next)
        # What comes late decides only whether the registers move on, not which way.
        moves, loads = Signal(), Signal()
        m.d.comb += [
            loads.eq(~active | last),
            moves.eq(~active | ~(waits | (last & ~cold))),
            self.image.eq(field["image"]),
            self.issue.eq(active & moves),
            self.i.ready.eq(moves & loads),
            self.stride.eq(field["stride"] != 0),
            self.pitch.eq(field["words"] + field["skip"] + 1),
            self.group_first.eq(fresh),
            self.plane_last.eq(word_last),
            self.dy.eq(start.dy),
            self.dx.eq(start.dx),
            self.word.eq(word),
            self.address.eq(address),
            self.phase.eq(phase),
            self.weights.eq(weights),
            self.final.eq(self.issue & last & start.final),
        ]
        with m.If(self.issue & last):
            m.d.sync += [cooling.eq(field["cooling"]), cold.eq(field["cooling"] == 0)]
        with m.Elif(~cold):
            m.d.sync += [cooling.eq(cooling - 1), cold.eq(cooling == 1)]

        p = self.i.payload
        with m.If(moves):
            m.d.sync += [
                fresh.eq(loads & self.i.valid & p.group_first),
                word.eq(word + 1), word_flag.eq(word + 1 == field["words"]),
                address.eq(address + 1), weights.eq(weights + 1),
            ]
            with m.If(loads | word_last):
                m.d.sync += [word.eq(0), word_flag.eq(field["words"] == 0)]
            with m.If(loads):
                m.d.sync += [
                    active.eq(self.i.valid), start.eq(p), plane.eq(0), plane_flag.eq(field["planes"] == 0),
                    ky.eq(p.ky), kx.eq(p.kx), y.eq(p.y), x.eq(p.x), ky_flag.eq(p.ky_last), kx_flag.eq(p.kx_last),
                    phase.eq(p.phase), address.eq(p.address), weights.eq(p.weights),
                ]
            with m.Elif(word_last & ~kx_last):
                wrap = phase == self.columns - 1
                m.d.sync += [
                    kx.eq(kx + 1), x.eq(x + 1), phase.eq(Mux(wrap, 0, phase + 1)),
                    kx_flag.eq((kx + 1 == field["kernel_w"]) | (x + 1 == field["in_width"])),
                    address.eq(Mux(wrap, address + field["skip"] + 1, address - field["words"])),
                ]
            with m.Elif(word_last & ~ky_last):
                next_row = start.address + field["row_pitch"]
                next_weights = start.weights + field["row_taps"]
                m.d.sync += [
                    kx.eq(start.kx), x.eq(start.x), kx_flag.eq(start.kx_last), phase.eq(start.phase),
                    ky.eq(ky + 1), y.eq(y + 1),
                    ky_flag.eq((ky + 1 == field["kernel_h"]) | (y + 1 == field["in_height"])),
                    start.address.eq(next_row), address.eq(next_row),
                    start.weights.eq(next_weights), weights.eq(next_weights),
                ]
            with m.Elif(word_last):  # next plane: only 1 x 1 kernels have more than one
                m.d.sync += [
                    plane.eq(plane + 1), plane_flag.eq(plane + 1 == field["planes"]), weights.eq(start.weights),
                ]
        self._control(m, x, double=(plane != 0) & (word == 0), last=last)
        return m

    def _control(self, m, x, *, double, last):
        """What a beat does to the accumulators, worked out in the cycle after it."""
        beat = Signal(data.StructLayout({
            "valid": 1, "x": x.shape(), "double": 1, "last": 1, "final": 1}))
        m.d.sync += [
            beat.valid.eq(self.issue), beat.x.eq(x), beat.double.eq(double), beat.last.eq(last),
            beat.final.eq(self.final),
        ]
        enable = Signal(self.columns)
        for column in range(self.columns):
            pixel = Signal(signed(len(x) + 2), name=f"pixel_{column}")
            m.d.comb += [
                pixel.eq(beat.x + Mux(self.stride, 2 * column, column)),
                enable[column].eq(self.image | ((pixel >= 0) & (pixel <= self._fields["in_width"]))),
            ]
        with m.If(beat.valid):
            m.d.comb += [
                self.control.enable.eq(enable),
                self.control.double.eq(beat.double),
                self.control.last.eq(beat.last),
                self.control.final.eq(beat.final),
            ]

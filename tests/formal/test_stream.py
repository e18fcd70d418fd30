"""The skid buffer, by induction: a queue of at most two that keeps its promises, with no path through it."""

import pytest
from amaranth import Module, Mux, Signal
from amaranth.hdl import Assert
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.stream import StreamBuffer
from tests.formal.prove import Verdict, prove, registers

WIDTH = 4
INPUTS = {"i": In(stream.Signature(WIDTH)), "ready": In(1)}


def connect(m, device, side):
    """Drive the device's inputs from those of ``side``, a pair of a stream and ``ready``."""
    i, ready = side
    m.d.comb += [device.i.valid.eq(i.valid), device.i.payload.eq(i.payload), device.o.ready.eq(ready)]


class IsQueue(wiring.Component):
    """What goes in comes out, once and in order, and what is offered stays until it is taken."""

    def __init__(self, device):
        self.device = device
        super().__init__(INPUTS)

    def elaborate(self, platform):
        m = Module()
        device = self.device
        m.submodules.device, inner = registers(device)
        connect(m, device, (self.i, self.ready))
        put = device.i.valid & device.i.ready
        get = device.o.valid & device.o.ready

        count = Signal(range(4))
        first, second = Signal(WIDTH), Signal(WIDTH)
        arrives_first = count == Mux(get, 1, 0)
        m.d.sync += count.eq(count + put - get)
        with m.If(get):
            m.d.sync += first.eq(second)
        with m.If(put & arrives_first):
            m.d.sync += first.eq(device.i.payload)
        with m.If(put & ~arrives_first):
            m.d.sync += second.eq(device.i.payload)
        m.d.comb += [
            Assert(count <= 2),
            Assert(device.i.ready == (count != 2)),
            Assert(device.o.valid == (count != 0)),
            Assert((count == 0) | (device.o.payload == first)),
            Assert((count != 2) | (inner["skid"] == second)),
        ]

        waited = Signal()
        offered = Signal(WIDTH)
        m.d.sync += [waited.eq(device.o.valid & ~device.o.ready), offered.eq(device.o.payload)]
        m.d.comb += [Assert(~waited | device.o.valid), Assert(~waited | (device.o.payload == offered))]
        return m


class HasNoPath(wiring.Component):
    """Two buffers with the same past have the same outputs, whatever their inputs are now."""

    def __init__(self, *devices):
        self.devices = devices
        # Out keeps the directions that INPUTS gives.
        super().__init__({"left": Out(wiring.Signature(INPUTS)), "right": Out(wiring.Signature(INPUTS))})

    def elaborate(self, platform):
        m = Module()
        parts = []
        for name, device in zip(("left", "right"), self.devices):
            side = getattr(self, name)
            m.submodules[name], inner = registers(device)
            connect(m, device, (side.i, side.ready))
            parts.append((device, inner["skid"], (side.i.valid, side.i.payload, side.ready)))
        (left, left_skid, left_inputs), (right, right_skid, right_inputs) = parts

        differed = Signal()
        for one, other in zip(left_inputs, right_inputs):
            with m.If(one != other):
                m.d.sync += differed.eq(1)
        for one, other in ((left.i.ready, right.i.ready), (left.o.valid, right.o.valid),
                           (left.o.payload, right.o.payload), (left_skid, right_skid)):
            m.d.comb += Assert(differed | (one == other))
        return m


class Overwrites(StreamBuffer):
    """It takes more than it has room for."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.i.ready.eq(1)
        return m


class Repeats(StreamBuffer):
    """It offers once more what was taken while nothing came."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.o.valid & self.o.ready & ~self.i.valid):
            m.d.sync += self.o.valid.eq(1)
        return m


class Withdraws(StreamBuffer):
    """It takes back what is not taken at once."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.o.valid & ~self.o.ready & ~self.i.valid):
            m.d.sync += self.o.valid.eq(0)
        return m


class Overtakes(StreamBuffer):
    """What comes during a stall goes ahead of what waits."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        with m.If(self.i.valid & self.i.ready & self.o.valid & ~self.o.ready):
            m.d.sync += self.o.payload.eq(self.i.payload)
        return m


class LooksThrough(StreamBuffer):
    """A receiver that takes makes room at once."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.i.ready.eq(self.o.ready | ~self.o.valid)
        return m


def test_is_a_queue(tmp_path):
    assert prove(IsQueue(StreamBuffer(WIDTH)), tmp_path, induction=True, depth=2) is Verdict.PROVEN


def test_no_path_through_it(tmp_path):
    device = HasNoPath(StreamBuffer(WIDTH), StreamBuffer(WIDTH))
    assert prove(device, tmp_path, induction=True, depth=2) is Verdict.PROVEN


@pytest.mark.parametrize("faulty", [Overwrites, Repeats, Withdraws, Overtakes])
def test_broken_queue_is_found(faulty, tmp_path):
    assert prove(IsQueue(faulty(WIDTH)), tmp_path, depth=6) is Verdict.REFUTED


def test_path_through_it_is_found(tmp_path):
    device = HasNoPath(LooksThrough(WIDTH), LooksThrough(WIDTH))
    assert prove(device, tmp_path, depth=4) is Verdict.REFUTED

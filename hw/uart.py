"""Serial line: 8 data bits, lowest first, no parity, one stop bit."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter"]


def _check_divisor(name, divisor):
    if not isinstance(divisor, int) or divisor < 4:
        raise ValueError(f"{name} divisor must be an integer of at least 4 clock cycles, not {divisor!r}")


class UartReceiver(wiring.Component):
    """Bytes from the line.

    A start bit that is gone by its middle is ignored as noise.

    Latency: ``valid`` comes ``9 * divisor + divisor // 2 + 3`` cycles after the start bit's edge, in the middle of
    the stop bit, for one cycle only: the line does not wait. ``data`` stays until the next byte's first bit.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit, at least 4.

    Members
    -------
    rx : In(1)
        The line, asynchronous to the clock; high when idle.
    data : Out(8)
    valid : Out(1)
        A byte with a good stop bit.
    error : Out(1)
        The stop bit was low: a byte is damaged, or the line is held low. For one cycle, instead of ``valid``.
    """

    def __init__(self, *, divisor):
        _check_divisor("UartReceiver", divisor)
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "data": Out(8), "valid": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)

        # Cycles since the last border between two bits, and bits since the start bit's beginning.
        timer = Signal(range(self.divisor))
        count = Signal(range(10))
        active = Signal()
        m.d.sync += [self.valid.eq(0), self.error.eq(0)]
        with m.If(~active):
            m.d.sync += [active.eq(~line), timer.eq(0), count.eq(0)]
        with m.Else():
            with m.If(timer == self.divisor - 1):
                m.d.sync += timer.eq(0)
            with m.Else():
                m.d.sync += timer.eq(timer + 1)
            with m.If(timer == self.divisor // 2 - 1):
                m.d.sync += count.eq(count + 1)
                with m.If(count == 0):
                    m.d.sync += active.eq(~line)  # a start bit that is gone by its middle was noise
                with m.Elif(count == 9):
                    m.d.sync += [active.eq(0), self.valid.eq(line), self.error.eq(~line)]
                with m.Else():
                    m.d.sync += self.data.eq(Cat(self.data[1:], line))
        return m


class UartTransmitter(wiring.Component):
    """Bytes onto the line.

    Latency: the start bit begins 1 cycle after the transfer. The next transfer can follow ``10 * divisor + 1``
    cycles later.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit, at least 4.

    Members
    -------
    i : In(stream of 8 bits)
    tx : Out(1)
        The line; high when idle.
    """

    def __init__(self, *, divisor):
        _check_divisor("UartTransmitter", divisor)
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self.divisor))
        count = Signal(range(10))
        active = Signal()
        shifted = Signal(9, init=0x1FF)
        # Ones follow the byte: the stop bit, and the idle line.
        m.d.comb += [self.i.ready.eq(~active), self.tx.eq(shifted[0])]
        with m.If(~active):
            m.d.sync += [timer.eq(0), count.eq(0)]
            with m.If(self.i.valid):
                m.d.sync += [active.eq(1), shifted.eq(Cat(Const(0, 1), self.i.payload))]
        with m.Elif(timer != self.divisor - 1):
            m.d.sync += timer.eq(timer + 1)
        with m.Else():
            m.d.sync += [timer.eq(0), count.eq(count + 1), shifted.eq(Cat(shifted[1:], Const(1, 1)))]
            with m.If(count == 9):
                m.d.sync += active.eq(0)
        return m

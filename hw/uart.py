"""Serial line: 8 data bits, lowest first, no parity, one stop bit."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter"]


def _check_divisor(name, divisor):
    if not isinstance(divisor, int) or divisor < 4:
        raise ValueError(f"{name} divisor must be an integer of at least 4 clock cycles a bit, not {divisor!r}")


class UartReceiver(wiring.Component):
    """Bytes from the line.

    Latency: a byte comes in the middle of its stop bit. It is offered for one cycle only: the line does not wait.

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
        The stop bit was low: a byte is damaged, or the line is held low.
    """

    def __init__(self, *, divisor):
        _check_divisor("UartReceiver", divisor)
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "data": Out(8), "valid": Out(1), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)

        timer = Signal(range(self.divisor + self.divisor // 2))
        count = Signal(range(10))
        active = Signal()
        sample = active & (timer == 0)
        m.d.sync += [self.valid.eq(0), self.error.eq(0)]
        with m.If(~active):
            with m.If(~line):
                m.d.sync += [active.eq(1), count.eq(0), timer.eq(self.divisor // 2 - 1)]
        with m.Elif(sample):
            m.d.sync += [timer.eq(self.divisor - 1), count.eq(count + 1)]
            with m.If(count == 0):
                m.d.sync += active.eq(~line)  # a start bit that is gone by its middle was noise
            with m.Elif(count == 9):
                m.d.sync += [active.eq(0), self.valid.eq(line), self.error.eq(~line)]
            with m.Else():
                m.d.sync += self.data.eq(Cat(self.data[1:], line))
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m


class UartTransmitter(wiring.Component):
    """Bytes onto the line.

    Latency: the start bit begins one cycle after the transfer; a byte takes ``10 * divisor`` cycles.

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
        left = Signal(range(11))
        shifted = Signal(9, init=0x1FF)
        m.d.comb += self.i.ready.eq(left == 0)
        m.d.comb += self.tx.eq(Mux(left == 0, 1, shifted[0]))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [shifted.eq(Cat(Const(0, 1), self.i.payload)), left.eq(10), timer.eq(self.divisor - 1)]
        with m.Elif(left != 0):
            m.d.sync += timer.eq(timer - 1)
            with m.If(timer == 0):
                m.d.sync += [
                    timer.eq(self.divisor - 1), left.eq(left - 1), shifted.eq(Cat(shifted[1:], Const(1, 1))),
                ]
        return m

"""The serial link: checks requests from the line, feeds the accelerator, wraps its results into replies."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC16_X25
from amaranth.lib.wiring import In, Out

from hw.axi_stream import AxiStreamSignature
from hw.protocol import START, STOP, Status
from hw.uart import UartReceiver, UartTransmitter

__all__ = ["UartLink"]


class UartLink(wiring.Component):
    """Between the pins of a serial line and the accelerator's streams; docs/link.md has the frames.

    Payload bytes go on as they come, the last one only when CRC and STOP are known. Every request that begins,
    good or bad, ends in one transfer with TLAST on ``o``; TUSER with it says that the frame is bad.

    After a wrong CRC the error reply follows at once. After any other error the line must first be silent for
    ``timeout`` cycles, so that the rest of a broken request is not read as another one.

    While ``fault`` or ``busy`` is 1 at a request's end, good or bad, its frame is bad and the reply says why.

    The accelerator may stall for as long as a byte takes on the line; if it stalls longer, the request is
    refused. The host sends one request at a time. If it does not wait, good requests are still answered in order,
    but an error may be reported before the result of an earlier request, and of two errors in a row only one.

    Latency: a payload byte is offered 1 cycle after ``UartReceiver`` has it, the last one 1 cycle after STOP. A
    reply's start bit begins 2 cycles after the result is offered.

    Parameters
    ----------
    payload_bytes : int
        Of a request, at least 1.
    result_bytes : int
        Of a result, at least 1.
    divisor : int
        Clock cycles of a bit, at least 4.
    timeout : int
        Cycles without a byte after which a request is given up; more than the ``10 * divisor`` of a byte.

    Members
    -------
    rx : In(1)
        The line from the host, asynchronous to the clock; high when idle.
    tx : Out(1)
        The line to the host.
    o : Out(AxiStreamSignature(8, user_width=1))
        To the accelerator.
    i : In(AxiStreamSignature(8))
        From the accelerator. TLAST is not looked at: a result is ``result_bytes`` transfers.
    busy : In(1)
        The accelerator is not ready yet: every request is answered with ``NOT_READY``.
    fault : In(1)
        The accelerator will never be: every request is answered with ``STORE_DAMAGED``.

    Raises
    ------
    ValueError
        For a number below those stated.
    """

    def __init__(self, *, payload_bytes, result_bytes, divisor, timeout):
        self._receiver = UartReceiver(divisor=divisor)
        self._transmitter = UartTransmitter(divisor=divisor)
        for name, value, least in (("payload_bytes", payload_bytes, 1), ("result_bytes", result_bytes, 1),
                                   ("timeout", timeout, 10 * divisor + 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"UartLink {name} must be an integer of at least {least}, not {value!r}")
        self.payload_bytes = payload_bytes
        self.result_bytes = result_bytes
        self.divisor = divisor
        self.timeout = timeout
        super().__init__({
            "rx": In(1, init=1),
            "tx": Out(1, init=1),
            "o": Out(AxiStreamSignature(8, user_width=1)),
            "i": In(AxiStreamSignature(8)),
            "busy": In(1),
            "fault": In(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = self._receiver
        m.submodules.transmitter = self._transmitter
        m.d.comb += [self._receiver.rx.eq(self.rx), self.tx.eq(self._transmitter.tx)]
        # The last error, and whether its reply is still to be sent. An error that comes in the cycle in which the
        # one before it is taken must stay due: the receiver's statements come second.
        error = Signal(Status)
        due = Signal()
        self._reply(m, error, due)
        self._receive(m, error, due)
        return m

    def _receive(self, m, error, due):
        receiver, o = self._receiver, self.o
        m.submodules.request_crc = crc = CRC16_X25(data_width=8).create()
        # Counters begin at 0, to which a flip-flop's reset input takes them without logic.
        taken = Signal(range(self.payload_bytes))
        silence = Signal(range(self.timeout + 1))
        quiet = silence == self.timeout
        with m.If(receiver.valid | receiver.error):
            m.d.sync += silence.eq(0)
        with m.Elif(~quiet):
            m.d.sync += silence.eq(silence + 1)

        # The payload's last byte waits in the output register, not yet offered, while the rest comes.
        free = ~o.tvalid | o.tready
        with m.If(o.tready):
            m.d.sync += o.tvalid.eq(0)

        def offer(*, last, bad):
            return [o.tvalid.eq(1), o.tlast.eq(last), o.tuser.eq(bad)]

        def refuse(status):
            m.d.sync += error.eq(Mux(self.fault, Status.STORE_DAMAGED, Mux(self.busy, Status.NOT_READY, status)))

        def give_up(status):
            refuse(status)
            m.next = "GIVE UP"

        def watch():
            with m.If(receiver.error):
                give_up(Status.FRAMING)
            with m.Elif(quiet):
                give_up(Status.TIMEOUT)

        m.d.comb += crc.data.eq(receiver.data)
        with m.FSM(name="request"):
            with m.State("START"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += taken.eq(0)
                with m.If(receiver.valid & (receiver.data == START)):
                    m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                m.d.comb += crc.valid.eq(receiver.valid)
                watch()
                with m.If(receiver.valid):
                    with m.If(~free):
                        give_up(Status.OVERRUN)
                    with m.Else():
                        m.d.sync += [o.tdata.eq(receiver.data), taken.eq(taken + 1)]
                        with m.If(taken == self.payload_bytes - 1):
                            m.next = "CRC LOW"
                        with m.Else():
                            m.d.sync += offer(last=0, bad=0)
            for state, following in (("CRC LOW", "CRC HIGH"), ("CRC HIGH", "STOP")):
                with m.State(state):
                    m.d.comb += crc.valid.eq(receiver.valid)
                    watch()
                    with m.If(receiver.valid):
                        m.next = following
            with m.State("STOP"):
                watch()
                with m.If(receiver.valid):
                    with m.If(receiver.data != STOP):
                        give_up(Status.FRAMING)
                    with m.Else():
                        bad = ~crc.match_detected | self.fault | self.busy
                        m.d.sync += offer(last=1, bad=bad)
                        with m.If(bad):
                            refuse(Status.CRC)
                            m.d.sync += due.eq(1)
                        m.next = "START"
            with m.State("GIVE UP"):
                with m.If(quiet & free):
                    m.d.sync += [*offer(last=1, bad=1), due.eq(1)]
                    m.next = "START"

    def _reply(self, m, error, due):
        line = self._transmitter.i
        m.submodules.reply_crc = crc = CRC16_X25(data_width=8).create()
        taken = Signal(range(self.result_bytes))
        status = Signal(Status)
        sent = line.valid & line.ready

        def send(byte, *, following, checked=False):
            m.d.comb += [line.valid.eq(1), line.payload.eq(byte)]
            if checked:
                m.d.comb += crc.valid.eq(sent)
            with m.If(sent):
                m.next = following

        m.d.comb += crc.data.eq(line.payload)
        with m.FSM(name="reply"):
            with m.State("IDLE"):
                m.d.sync += [status.eq(Mux(due, error, Status.OK)), due.eq(0)]
                with m.If(due | self.i.tvalid):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += taken.eq(0)
                send(START, following="STATUS")
            with m.State("STATUS"):
                send(status, following="RESULT", checked=True)
                with m.If(sent & (status != Status.OK)):
                    m.next = "CRC LOW"
            with m.State("RESULT"):
                m.d.comb += [
                    line.valid.eq(self.i.tvalid), line.payload.eq(self.i.tdata), self.i.tready.eq(line.ready),
                    crc.valid.eq(sent),
                ]
                with m.If(sent):
                    m.d.sync += taken.eq(taken + 1)
                    with m.If(taken == self.result_bytes - 1):
                        m.next = "CRC LOW"
            with m.State("CRC LOW"):
                send(crc.crc[:8], following="CRC HIGH")
            with m.State("CRC HIGH"):
                send(crc.crc[8:], following="STOP")
            with m.State("STOP"):
                send(STOP, following="IDLE")

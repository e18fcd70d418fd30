"""The serial link: checks requests from the line, feeds the accelerator, and wraps its results into replies."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.crc.catalog import CRC16_IBM_3740
from amaranth.lib.wiring import In, Out

from hw.axi_stream import AxiStreamSignature
from hw.protocol import START, STOP, Status
from hw.stream import StreamBuffer
from hw.uart import UartReceiver, UartTransmitter

__all__ = ["UartLink"]


class UartLink(wiring.Component):
    """Between the pins of a serial line and the accelerator's streams; the frames are ``hw.protocol``'s.

    Payload bytes go on as they come, the last one only when CRC and stop byte are known: it carries TLAST, and TUSER
    if the frame is bad. A frame that breaks off is ended with one more byte of that kind. Each request gets one reply;
    the host waits for it before it sends the next one. Bytes before a START are ignored.

    Latency: the line's; a good frame's last byte is offered 2 cycles after the stop byte was received.

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
    rx : In(1), tx : Out(1)
    o : Out(AxiStreamSignature(8, user_width=1))
    i : In(AxiStreamSignature(8))

    Raises
    ------
    ValueError
        For a number below those stated.
    """

    def __init__(self, *, payload_bytes, result_bytes, divisor, timeout):
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
        })

    def elaborate(self, platform):
        m = Module()
        # One error waits for its reply; the host sends one request at a time.
        failed = Signal(Status)
        self._receive(m, failed)
        self._reply(m, failed)
        return m

    def _receive(self, m, failed):
        m.submodules.receiver = receiver = UartReceiver(divisor=self.divisor)
        m.d.comb += receiver.rx.eq(self.rx)
        m.submodules.buffer = buffer = StreamBuffer(data.StructLayout({"data": 8, "last": 1, "bad": 1}))
        m.d.comb += [
            self.o.tvalid.eq(buffer.o.valid), self.o.tdata.eq(buffer.o.payload.data),
            self.o.tlast.eq(buffer.o.payload.last), self.o.tuser.eq(buffer.o.payload.bad),
            buffer.o.ready.eq(self.o.tready),
        ]
        m.submodules.crc = crc = CRC16_IBM_3740(data_width=8).create()
        silence = Signal(range(self.timeout + 1))
        count = Signal(range(self.payload_bytes))
        held = Signal(8)
        check = Signal(16)
        error = Signal(Status)
        m.d.comb += [crc.data.eq(receiver.data), buffer.i.payload.data.eq(held)]
        with m.If(receiver.valid | (silence == self.timeout)):
            m.d.sync += silence.eq(0)
        with m.Else():
            m.d.sync += silence.eq(silence + 1)

        def note(status):
            with m.If(error == Status.OK):
                m.d.sync += error.eq(status)

        def watch():
            with m.If(receiver.error):
                note(Status.FRAMING)
                m.next = "QUIET"
            with m.If(silence == self.timeout):
                note(Status.TIMEOUT)
                m.next = "LAST"

        with m.FSM():
            with m.State("START"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += [count.eq(0), error.eq(Status.OK), silence.eq(0)]
                with m.If(receiver.valid & (receiver.data == START)):
                    m.next = "FIRST"
            with m.State("FIRST"):
                self._store(m, receiver, crc, held)
                with m.If(receiver.valid):
                    m.next = "CRC LOW" if self.payload_bytes == 1 else "PAYLOAD"
                watch()
            with m.State("PAYLOAD"):  # a byte pushes out the one before it
                self._store(m, receiver, crc, held)
                m.d.comb += buffer.i.valid.eq(receiver.valid)
                with m.If(receiver.valid):
                    m.d.sync += count.eq(count + 1)
                    with m.If(~buffer.i.ready):
                        note(Status.OVERRUN)
                    with m.If(count == self.payload_bytes - 2):
                        m.next = "CRC LOW"
                watch()
            with m.State("CRC LOW"):
                m.d.sync += check.eq(crc.crc)
                with m.If(receiver.valid):
                    with m.If(receiver.data != check[:8]):
                        note(Status.CRC)
                    m.next = "CRC HIGH"
                watch()
            with m.State("CRC HIGH"):
                with m.If(receiver.valid):
                    with m.If(receiver.data != check[8:]):
                        note(Status.CRC)
                    m.next = "STOP"
                watch()
            with m.State("STOP"):
                with m.If(receiver.valid):
                    with m.If(receiver.data != STOP):
                        note(Status.FRAMING)
                    m.next = "LAST"
                watch()
            with m.State("LAST"):
                m.d.comb += [
                    buffer.i.valid.eq(1), buffer.i.payload.last.eq(1), buffer.i.payload.bad.eq(error != Status.OK),
                ]
                with m.If(buffer.i.ready):
                    m.d.sync += failed.eq(error)
                    m.next = "START"
            with m.State("QUIET"):  # after a damaged byte the rest of the request is unreliable: wait for silence
                with m.If(silence == self.timeout):
                    m.next = "LAST"

    @staticmethod
    def _store(m, receiver, crc, held):
        with m.If(receiver.valid):
            m.d.sync += held.eq(receiver.data)
            m.d.comb += crc.valid.eq(1)

    def _reply(self, m, failed):
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=self.divisor)
        m.d.comb += self.tx.eq(transmitter.tx)
        m.submodules.reply_crc = crc = CRC16_IBM_3740(data_width=8).create()
        sending = Signal(Status)
        check = Signal(16)
        line = transmitter.i
        sent = line.valid & line.ready
        m.d.comb += crc.data.eq(line.payload)
        with m.FSM(name="reply"):
            with m.State("IDLE"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += sending.eq(failed)
                with m.If(failed != Status.OK):
                    m.d.sync += failed.eq(Status.OK)
                    m.next = "START"
                with m.Elif(self.i.tvalid):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += [line.valid.eq(1), line.payload.eq(START)]
                with m.If(sent):
                    m.next = "STATUS"
            with m.State("STATUS"):
                m.d.comb += [line.valid.eq(1), line.payload.eq(sending), crc.valid.eq(sent)]
                with m.If(sent):
                    with m.If(sending == Status.OK):
                        m.next = "RESULT"
                    with m.Else():
                        m.next = "CRC LOW"
            with m.State("RESULT"):
                m.d.comb += [
                    line.valid.eq(self.i.tvalid), line.payload.eq(self.i.tdata), self.i.tready.eq(line.ready),
                    crc.valid.eq(sent),
                ]
                with m.If(sent & self.i.tlast):
                    m.next = "CRC LOW"
            with m.State("CRC LOW"):
                m.d.comb += [line.valid.eq(1), line.payload.eq(crc.crc[:8])]
                m.d.sync += check.eq(crc.crc)
                with m.If(sent):
                    m.next = "CRC HIGH"
            with m.State("CRC HIGH"):
                m.d.comb += [line.valid.eq(1), line.payload.eq(check[8:])]
                with m.If(sent):
                    m.next = "STOP"
            with m.State("STOP"):
                m.d.comb += [line.valid.eq(1), line.payload.eq(STOP)]
                with m.If(sent):
                    m.next = "IDLE"

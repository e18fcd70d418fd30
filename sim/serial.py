"""A UART in Python, for benches of designs with ``rx`` and ``tx`` pins."""

import cocotb
from cocotb.triggers import FallingEdge, Timer

__all__ = ["PERIOD", "SerialLine"]

#: Nanoseconds of a clock cycle in the benches.
PERIOD = 2


class SerialLine:
    """Sends bytes into ``rx`` and collects those of ``tx``: 8 data bits, no parity, one stop bit.

    ``divisor`` is the number of clock cycles of a bit. ``received`` grows as bytes come.
    """

    def __init__(self, rx, tx, *, divisor):
        self.rx = rx
        self.tx = tx
        self.bit = divisor * PERIOD
        self.received = bytearray()
        rx.value = 1
        cocotb.start_soon(self._receive())

    async def send(self, data):
        """Send bytes without a gap."""
        for byte in data:
            for level in (0, *(byte >> index & 1 for index in range(8)), 1):
                self.rx.value = level
                await Timer(self.bit, unit="ns")

    async def receive(self, count, *, patience):
        """Wait for ``count`` bytes in all, at most ``patience`` bit times after the last one; return what came."""
        quiet = 0
        before = len(self.received)
        while len(self.received) < count and quiet < patience:
            await Timer(10 * self.bit, unit="ns")
            quiet = quiet + 10 if len(self.received) == before else 0
            before = len(self.received)
        return bytes(self.received[:count])

    async def _receive(self):
        while True:
            await FallingEdge(self.tx)
            await Timer(self.bit + self.bit // 2, unit="ns")
            byte = 0
            for index in range(8):
                byte |= int(self.tx.value) << index
                await Timer(self.bit, unit="ns")
            self.received.append(byte)

"""cocotb: requests and replies over the serial pins of a whole design."""

import os
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from sim.serial import PERIOD, SerialLine

__all__ = ["DIVISOR", "FOLDER", "PATIENCE", "REPLY", "REQUEST", "exchange"]

#: Clock cycles of a bit; the real board's is larger and the protocol does not depend on it.
DIVISOR = 4
#: Names the folder of the exchange to the simulator's process, and the files in it.
FOLDER = "POPFORGE_EXCHANGE"
REQUEST = "request.bin"
REPLY = "reply.bin"
#: The number of bytes to wait for, bit times of silence after which no more is expected, and clock cycles before the
#: request is sent, as text.
PATIENCE = "patience.txt"


@cocotb.test()
async def exchange(dut):
    """Send the request's bytes and keep what comes back."""
    folder = Path(os.environ[FOLDER])
    count, patience, wait = (int(word) for word in (folder / PATIENCE).read_text().split())
    cocotb.start_soon(Clock(dut.clk, PERIOD, unit="ns").start(start_high=False))
    dut.rx.value = 1
    dut.rst.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await Timer(wait * PERIOD, unit="ns")
    await RisingEdge(dut.clk)
    line = SerialLine(dut.rx, dut.tx, divisor=DIVISOR)
    await line.send((folder / REQUEST).read_bytes())
    (folder / REPLY).write_bytes(await line.receive(count, patience=patience))

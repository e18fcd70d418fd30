"""A board without its clock: the serial accelerator and, where its weights come from there, a model of its flash."""

import struct
import zlib

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.board_top import SerialAccelerator, has_flash_store
from hw.flash_image import STORE_OFFSET
from sim.flash_model import FlashModel

__all__ = ["SimulatedBoard", "load_cycles"]

#: Cycles from waking the flash to its first read.
WAKE_CYCLES = 72


def load_cycles(program):
    """Cycles after which a store has come from the flash, or has failed to, twice."""
    return 0 if not has_flash_store(program) else 64 * (16 + len(program.words.store_bytes())) + 4 * WAKE_CYCLES


class SimulatedBoard(wiring.Component):
    """``SerialAccelerator`` with a flash that holds its store.

    Parameters
    ----------
    program : Program
    divisor : int
        Clock cycles of a bit on the line.
    damaged : int, optional
        A bit of the store that is wrong in the flash.

    Members
    -------
    rx : In(1)
    tx : Out(1)
    """

    def __init__(self, program, *, divisor, damaged=None):
        self.program = program
        self.divisor = divisor
        self.damaged = damaged
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.serial = serial = SerialAccelerator(
            program=self.program, divisor=self.divisor, wake_cycles=WAKE_CYCLES)
        m.d.comb += [serial.rx.eq(self.rx), self.tx.eq(serial.tx)]
        if has_flash_store(self.program):
            store = bytearray(self.program.words.store_bytes())
            crc = struct.pack("<I", zlib.crc32(store))
            if self.damaged is not None:
                store[self.damaged // 8] ^= 1 << self.damaged % 8
            m.submodules.flash = flash = FlashModel(bytes(store) + crc, offset=STORE_OFFSET, wake_cycles=WAKE_CYCLES)
            wiring.connect(m, serial.flash, flash)
        return m

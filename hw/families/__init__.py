"""The families of parts: which tools make a bitstream for them, and what their cells are called and can hold."""

from .ecp5 import ECP5
from .family import Family, RamShape
from .gatemate import GATEMATE
from .gowin import GOWIN
from .ice40 import ICE40

__all__ = ["ECP5", "FAMILIES", "GATEMATE", "GOWIN", "ICE40", "Family", "RamShape"]

#: Every family that a part here belongs to.
FAMILIES = (ICE40, ECP5, GOWIN, GATEMATE)

"""AXI4-Stream at the edge of the engine."""

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["AxiStreamSignature"]


class AxiStreamSignature(wiring.Signature):
    """AXI4-Stream, seen from the sender.

    Parameters
    ----------
    width : int
        Bits of TDATA, a multiple of 8.
    user_width : int
        Bits of TUSER; 0 leaves it out.

    Members
    -------
    tdata : Out(width)
    tvalid : Out(1)
    tready : In(1)
    tlast : Out(1)
    tuser : Out(user_width)

    Raises
    ------
    ValueError
        If a width is not as stated.
    """

    def __init__(self, width, *, user_width=0):
        if not isinstance(width, int) or width < 8 or width % 8:
            raise ValueError(f"AxiStreamSignature width must be a positive multiple of 8, not {width!r}")
        if not isinstance(user_width, int) or user_width < 0:
            raise ValueError(f"AxiStreamSignature user_width must be a non-negative integer, not {user_width!r}")
        members = {"tdata": Out(width), "tvalid": Out(1), "tready": In(1), "tlast": Out(1)}
        if user_width:
            members["tuser"] = Out(user_width)
        self.width = width
        self.user_width = user_width
        super().__init__(members)

"""The PLL of the iCE40."""

from dataclasses import dataclass

from .cell import PllCell

__all__ = ["Ice40Settings", "ice40_settings"]

# Limits of the phase detector, the oscillator and the output in MHz: Lattice TN1251, sysCLOCK PLL.
DETECTOR_MHZ = (10.0, 133.0)
VCO_MHZ = (533.0, 1066.0)
OUTPUT_MHZ = (16.0, 275.0)
#: FILTER_RANGE n is for a phase detector below FILTER_MHZ[n - 1].
FILTER_MHZ = (17.0, 26.0, 44.0, 66.0, 101.0, 133.1)


@dataclass(frozen=True)
class Ice40Settings:
    """Dividers of an iCE40's PLL in the feedback mode ``SIMPLE``.

    ``output_mhz = reference / (divr + 1) * (divf + 1) / 2**divq``.
    """

    divr: int
    divf: int
    divq: int
    filter_range: int
    output_mhz: float

    def cell(self, board):
        """The cell: a PLL whose own pad has the oscillator takes it there; elsewhere it comes through the fabric."""
        kind, reference = ("PAD", "PACKAGEPIN") if board.pll_pad else ("CORE", "REFERENCECLK")
        return PllCell(
            f"SB_PLL40_{kind}", reference, output="PLLOUTGLOBAL", locked="LOCK",
            parameters={
                "FEEDBACK_PATH": "SIMPLE", "DIVR": (self.divr, 4), "DIVF": (self.divf, 7), "DIVQ": (self.divq, 3),
                "FILTER_RANGE": (self.filter_range, 3),
            },
            inputs={"RESETB": (1, 1), "BYPASS": (0, 1)},
        )


def ice40_settings(reference_mhz, part):
    """All legal settings; of those with the same output the first is the best."""
    for divr in range(16):
        detector = reference_mhz / (divr + 1)
        if not DETECTOR_MHZ[0] <= detector <= DETECTOR_MHZ[1]:
            continue
        filter_range = next(n for n, limit in enumerate(FILTER_MHZ, start=1) if detector < limit)
        for divf in range(128):
            vco = detector * (divf + 1)
            if not VCO_MHZ[0] <= vco <= VCO_MHZ[1]:
                continue
            for divq in range(1, 7):
                output = vco / (1 << divq)
                if OUTPUT_MHZ[0] <= output <= OUTPUT_MHZ[1]:
                    yield Ice40Settings(divr, divf, divq, filter_range, output)

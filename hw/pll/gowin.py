"""The PLL of Gowin's LittleBee and Arora parts."""

from dataclasses import dataclass

from .cell import PllCell
from .feedback import feedback_dividers

__all__ = ["GowinSettings", "gowin_settings"]

#: Limits of the phase detector, the oscillator and the output in MHz, by Yosys's name of the series: data sheets DS117
#: (GW1NR, speed C6/I5) and DS226 (GW2AR, C8/I7).
LIMITS = {
    "gw1n": ((3.0, 400.0), (400.0, 1200.0), (3.125, 600.0)),
    "gw2a": ((3.0, 500.0), (500.0, 1250.0), (3.90625, 625.0)),
}
DIVIDERS = range(1, 65)
OUTPUT_DIVIDERS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)


@dataclass(frozen=True)
class GowinSettings:
    """Dividers of an rPLL.

    ``output_mhz = reference / idiv * fbdiv``; the oscillator runs at ``odiv`` times this.
    """

    idiv: int
    fbdiv: int
    odiv: int
    output_mhz: float

    def cell(self, board):
        """The cell, its feedback inside; nothing of it changes while it runs."""
        return PllCell(
            "rPLL", reference="CLKIN", output="CLKOUT", locked="LOCK",
            parameters={
                "FCLKIN": f"{board.oscillator_mhz:g}", "IDIV_SEL": self.idiv - 1, "FBDIV_SEL": self.fbdiv - 1,
                "ODIV_SEL": self.odiv,
            },
            inputs={
                "RESET": (0, 1), "RESET_P": (0, 1), "CLKFB": (0, 1), "FBDSEL": (0, 6), "IDSEL": (0, 6),
                "ODSEL": (0, 6), "PSDA": (0, 4), "DUTYDA": (0, 4), "FDLY": (0, 4),
            },
        )


def gowin_settings(reference_mhz, part):
    """All legal outputs, each with the oscillator nearest to the middle of its range; the first is the best."""
    detector_mhz, vco_mhz, output_mhz = LIMITS[part.yosys]
    return (GowinSettings(*found) for found in feedback_dividers(
        reference_mhz, detector_mhz=detector_mhz, vco_mhz=vco_mhz, output_mhz=output_mhz, dividers=DIVIDERS,
        output_dividers=OUTPUT_DIVIDERS))

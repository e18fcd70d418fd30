"""The PLL of the ECP5."""

from dataclasses import dataclass

from .cell import PllCell
from .feedback import feedback_dividers

__all__ = ["Ecp5Settings", "ecp5_settings"]

# Limits of the phase detector, the oscillator and the output in MHz: ECP5 family data sheet, sysCLOCK PLL timing.
DETECTOR_MHZ = (10.0, 400.0)
VCO_MHZ = (400.0, 800.0)
OUTPUT_MHZ = (3.125, 400.0)
DIVIDERS = range(1, 129)


@dataclass(frozen=True)
class Ecp5Settings:
    """Dividers of an ECP5's PLL with its output fed back.

    ``output_mhz = reference / clki * clkfb``; the oscillator runs at ``clkop`` times this.
    """

    clki: int
    clkfb: int
    clkop: int
    output_mhz: float

    def cell(self, board):
        """The cell, with the loop's filter as ecppll sets it, whatever the frequency."""
        return PllCell(
            "EHXPLLL", reference="CLKI", output="CLKOP", feedback="CLKFB", locked="LOCK",
            attributes={
                "FREQUENCY_PIN_CLKI": f"{board.oscillator_mhz:g}", "FREQUENCY_PIN_CLKOP": f"{self.output_mhz:g}",
                "ICP_CURRENT": "12", "LPF_RESISTOR": "8", "MFG_ENABLE_FILTEROPAMP": "1", "MFG_GMCREF_SEL": "2",
            },
            parameters={
                "PLLRST_ENA": "DISABLED", "INTFB_WAKE": "DISABLED", "STDBY_ENABLE": "DISABLED",
                "DPHASE_SOURCE": "DISABLED", "OUTDIVIDER_MUXA": "DIVA", "FEEDBK_PATH": "CLKOP",
                "CLKOP_ENABLE": "ENABLED", "CLKI_DIV": self.clki, "CLKFB_DIV": self.clkfb, "CLKOP_DIV": self.clkop,
                # Phase 0, though nothing depends on it: the input clocks nothing else.
                "CLKOP_CPHASE": self.clkop - 1, "CLKOP_FPHASE": 0,
            },
            inputs={
                name: (value, 1)
                for name, value in (("RST", 0), ("STDBY", 0), ("PHASESEL0", 0), ("PHASESEL1", 0), ("PHASEDIR", 1),
                                    ("PHASESTEP", 1), ("PHASELOADREG", 1), ("PLLWAKESYNC", 0), ("ENCLKOP", 0))},
        )


def ecp5_settings(reference_mhz, part):
    """All legal outputs, each with the oscillator nearest to the middle of its range; the first is the best."""
    return (Ecp5Settings(*found) for found in feedback_dividers(
        reference_mhz, detector_mhz=DETECTOR_MHZ, vco_mhz=VCO_MHZ, output_mhz=OUTPUT_MHZ, dividers=DIVIDERS,
        output_dividers=DIVIDERS))

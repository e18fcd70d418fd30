"""The PLL of the GateMate: nextpnr finds its dividers, so only the frequencies that it can make are needed here."""

from dataclasses import dataclass

from .cell import PllCell

__all__ = ["GateMateSettings", "gatemate_settings"]

# In the mode SPEED, in MHz: the oscillator's range, of which its two prediviers see half, the highest input of the
# feedback's second divider, the highest output, and the highest reference.
VCO_MHZ = (1250.0, 2500.0)
DIVIDED_MHZ = 1666.67
SECOND_MHZ = DIVIDED_MHZ / 2
OUTPUT_MHZ = (1.0, DIVIDED_MHZ / 4)
REFERENCE_MHZ = 50.0
FIRST_DIVIDERS = range(1, 65)


@dataclass(frozen=True)
class GateMateSettings:
    """An output that the PLL makes exactly: ``reference * multiplier / (2 * divider)``."""

    multiplier: int
    divider: int
    output_mhz: float

    def cell(self, board):
        """The cell, whose clock starts when it is stable."""
        return PllCell(
            "CC_PLL", reference="CLK_REF", output="CLK0", locked="USR_PLL_LOCKED",
            parameters={
                "REF_CLK": f"{board.oscillator_mhz:g}", "OUT_CLK": f"{self.output_mhz:g}", "PERF_MD": "SPEED",
                "LOCK_REQ": 1, "LOW_JITTER": 1, "CI_FILTER_CONST": 2, "CP_FILTER_CONST": 4,
            },
            inputs={"USR_CLK_REF": (0, 1), "CLK_FEEDBACK": (0, 1), "USR_LOCKED_STDY_RST": (0, 1)},
        )


def gatemate_settings(reference_mhz, part):
    """All legal outputs."""
    if reference_mhz > REFERENCE_MHZ:
        return
    for multiplier in range(1, int(VCO_MHZ[1] / 2 / reference_mhz) + 1):
        half = reference_mhz * multiplier
        second = any(multiplier % first == 0 and half / first <= SECOND_MHZ for first in FIRST_DIVIDERS)
        if not (VCO_MHZ[0] < 2 * half and second):
            continue
        # An even divider, so that the duty cycle is a half.
        for divider in range(2, int(half / 2 / OUTPUT_MHZ[0]) + 1, 2):
            output = half / 2 / divider
            # Four decimal places are what the tool reads.
            if output <= OUTPUT_MHZ[1] and round(output, 4) == output:
                yield GateMateSettings(multiplier, divider, output)

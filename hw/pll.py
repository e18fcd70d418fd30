"""The iCE40's PLL: the dividers that make a clock from the board's oscillator."""

from dataclasses import dataclass

__all__ = ["PllSettings", "achieved_mhz", "find_settings"]

# Limits of the phase detector, the oscillator and the output in MHz: Lattice TN1251, sysCLOCK PLL.
DETECTOR_MHZ = (10.0, 133.0)
VCO_MHZ = (533.0, 1066.0)
OUTPUT_MHZ = (16.0, 275.0)
#: FILTER_RANGE n is for a phase detector below FILTER_MHZ[n - 1].
FILTER_MHZ = (17.0, 26.0, 44.0, 66.0, 101.0, 133.1)
#: A frequency that differs by more is not what the user asked for.
TOLERANCE = 0.005


@dataclass(frozen=True)
class PllSettings:
    """Dividers in the feedback mode ``SIMPLE``.

    ``output_mhz = reference / (divr + 1) * (divf + 1) / 2**divq``.
    """

    divr: int
    divf: int
    divq: int
    filter_range: int
    output_mhz: float


def find_settings(reference_mhz, output_mhz):
    """Return the settings that come closest to ``output_mhz``, both in MHz.

    Raises ``ValueError``, naming the nearest frequency that there is, if that is more than 0.5 % away.
    """
    settings = list(_legal_settings(reference_mhz))
    if not settings:
        raise ValueError(f"the PLL takes no reference of {reference_mhz:g} MHz")
    best = min(settings, key=lambda s: (abs(s.output_mhz - output_mhz), s.divr))
    if not abs(best.output_mhz - output_mhz) <= TOLERANCE * best.output_mhz:  # also for what is no number
        raise ValueError(
            f"clock must be one that the PLL makes from {reference_mhz:g} MHz, not {output_mhz:g} MHz; "
            f"the nearest is {best.output_mhz:g} MHz"
        )
    return best


def achieved_mhz(reference_mhz, output_mhz):
    """Return the clock that a design gets which asks for ``output_mhz``; the reference itself needs no PLL.

    Raises ``ValueError`` as ``find_settings`` does.
    """
    if output_mhz == reference_mhz:
        return reference_mhz
    return find_settings(reference_mhz, output_mhz).output_mhz


def _legal_settings(reference_mhz):
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
                    yield PllSettings(divr, divf, divq, filter_range, output)

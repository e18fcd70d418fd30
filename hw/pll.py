"""PLLs: the dividers that make a clock from the board's oscillator."""

from dataclasses import dataclass

from .families import ECP5, ICE40

__all__ = ["EcpPllSettings", "PllSettings", "achieved_mhz", "find_settings"]

# Limits of the phase detector, the oscillator and the output in MHz: Lattice TN1251, sysCLOCK PLL.
DETECTOR_MHZ = (10.0, 133.0)
VCO_MHZ = (533.0, 1066.0)
OUTPUT_MHZ = (16.0, 275.0)
#: FILTER_RANGE n is for a phase detector below FILTER_MHZ[n - 1].
FILTER_MHZ = (17.0, 26.0, 44.0, 66.0, 101.0, 133.1)

# The same of the ECP5: its family data sheet, sysCLOCK PLL timing.
ECP5_DETECTOR_MHZ = (10.0, 400.0)
ECP5_VCO_MHZ = (400.0, 800.0)
ECP5_OUTPUT_MHZ = (3.125, 400.0)
ECP5_DIVIDERS = range(1, 129)

#: A frequency that differs by more is not what the user asked for.
TOLERANCE = 0.005


@dataclass(frozen=True)
class PllSettings:
    """Dividers of an iCE40's PLL in the feedback mode ``SIMPLE``.

    ``output_mhz = reference / (divr + 1) * (divf + 1) / 2**divq``.
    """

    divr: int
    divf: int
    divq: int
    filter_range: int
    output_mhz: float


@dataclass(frozen=True)
class EcpPllSettings:
    """Dividers of an ECP5's PLL with its output fed back.

    ``output_mhz = reference / clki * clkfb``; the oscillator runs at ``clkop`` times this.
    """

    clki: int
    clkfb: int
    clkop: int
    output_mhz: float


def find_settings(reference_mhz, output_mhz, family=ICE40):
    """Return the settings of a family's PLL that come closest to ``output_mhz``, both in MHz.

    Raises ``ValueError``, naming the nearest frequency that there is, if that is more than 0.5 % away.
    """
    settings = list(_LEGAL_SETTINGS[family](reference_mhz))
    if not settings:
        raise ValueError(f"the PLL takes no reference of {reference_mhz:g} MHz")
    best = min(settings, key=lambda each: abs(each.output_mhz - output_mhz))
    if not abs(best.output_mhz - output_mhz) <= TOLERANCE * best.output_mhz:  # also for what is no number
        raise ValueError(
            f"clock must be one that the PLL makes from {reference_mhz:g} MHz, not {output_mhz:g} MHz; "
            f"the nearest is {best.output_mhz:g} MHz"
        )
    return best


def achieved_mhz(reference_mhz, output_mhz, family=ICE40):
    """Return the clock that a design gets which asks for ``output_mhz``; the reference itself needs no PLL.

    Raises ``ValueError`` as ``find_settings`` does.
    """
    if output_mhz == reference_mhz:
        return reference_mhz
    return find_settings(reference_mhz, output_mhz, family).output_mhz


def _ice40_settings(reference_mhz):
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
                    yield PllSettings(divr, divf, divq, filter_range, output)


def _ecp5_settings(reference_mhz):
    """All legal outputs, each with the oscillator nearest to the middle of its range; the first is the best."""
    middle = sum(ECP5_VCO_MHZ) / 2
    for clki in ECP5_DIVIDERS:
        detector = reference_mhz / clki
        if not ECP5_DETECTOR_MHZ[0] <= detector <= ECP5_DETECTOR_MHZ[1]:
            continue
        for clkfb in ECP5_DIVIDERS:
            output = detector * clkfb
            clkop = min(ECP5_DIVIDERS, key=lambda divider: abs(output * divider - middle))
            in_range = ECP5_OUTPUT_MHZ[0] <= output <= ECP5_OUTPUT_MHZ[1]
            if in_range and ECP5_VCO_MHZ[0] <= output * clkop <= ECP5_VCO_MHZ[1]:
                yield EcpPllSettings(clki, clkfb, clkop, output)


_LEGAL_SETTINGS = {ICE40: _ice40_settings, ECP5: _ecp5_settings}

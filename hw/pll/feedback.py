"""The search for the dividers of a PLL whose own output is fed back."""

__all__ = ["feedback_dividers"]


def feedback_dividers(reference_mhz, *, detector_mhz, vco_mhz, output_mhz, dividers, output_dividers):
    """Yield ``(input divider, feedback divider, output divider, output in MHz)`` of all legal outputs, each with the
    oscillator nearest to the middle of its range.

    ``output = reference / input * feedback``; the oscillator runs at ``output divider`` times this. The limits are
    (lowest, highest) in MHz, of the phase detector, the oscillator and the output; ``dividers`` are those of the input
    and of the feedback.
    """
    middle = sum(vco_mhz) / 2
    for divider in dividers:
        detector = reference_mhz / divider
        if not detector_mhz[0] <= detector <= detector_mhz[1]:
            continue
        for multiplier in dividers:
            output = detector * multiplier
            after = min(output_dividers, key=lambda each: abs(output * each - middle))
            if output_mhz[0] <= output <= output_mhz[1] and vco_mhz[0] <= output * after <= vco_mhz[1]:
                yield divider, multiplier, after, output

"""Clipping of signed values, with as little logic as the limits allow."""

from amaranth import Cat, Mux

__all__ = ["clip", "fits", "limit", "saturate"]


def fits(value, bits):
    """Whether a signed ``value`` fits ``bits`` bits."""
    high = value[bits - 1:]
    return high.all() | ~high.any()


def limit(negative, bits):
    """The lowest or highest number of ``bits`` bits."""
    return Cat((~negative).replicate(bits - 1), negative).as_signed()


def saturate(value, bits):
    """A signed ``value`` clipped to what ``bits`` bits hold."""
    if len(value) <= bits:
        return value
    return Mux(fits(value, bits), value[:bits].as_signed(), limit(value[-1], bits))


def clip(value, low, high):
    """A signed ``value`` clipped to ``low`` .. ``high``, integers on either side of 0, as wide as they need."""
    width = max(high, ~low).bit_length() + 1
    if high == ~low == (1 << width - 1) - 1:
        return saturate(value, width)
    limited = Mux(_beyond(~value, ~low), low, Mux(_beyond(value, high), high, value))
    return limited[:width].as_signed()


def _beyond(value, most):
    """Whether ``value > most``. Where both are equal either answer will do: clipping changes nothing then. So next to a
    power of two the high bits tell.
    """
    for power in (most + 1, most):
        if power & power - 1 == 0:
            return ~value[-1] & value[power.bit_length() - 1:-1].any()
    return value > most

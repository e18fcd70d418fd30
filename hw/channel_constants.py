"""Channel constants: a row's constants come in one word, and are given out field by field when they are needed."""

from amaranth import Cat, Module, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.memory import SimpleDualPortMemory

__all__ = ["ChannelConstants"]

#: Fields that are needed this much later, or more, wait in block RAM instead of registers.
_WAIT = 4


class ChannelConstants(wiring.Component):
    """Takes a word apart and delays its fields.

    Latency: ``delays`` has each field's, in cycles; 0 is combinational. A field's register bits are those of the
    cycles beyond 4, of which block RAM takes 4, or of all if there are fewer.

    Parameters
    ----------
    constants : ConstantFormat
    delays : dict of int
        By field.

    Members
    -------
    constant : In
    Of each field : Out
        As wide as the format has it; signed as there.
    """

    def __init__(self, *, constants, delays):
        self.constants = constants
        self.delays = dict(delays)
        super().__init__({"constant": In(constants.width), **{name: Out(self._shape(name)) for name in self.delays}})

    def _shape(self, name):
        _, width, is_signed = self.constants.place(name)
        return signed(width) if is_signed and width else unsigned(width)

    def elaborate(self, platform):
        m = Module()
        early = [name for name in self.delays if self.delays[name] < _WAIT]
        late = [name for name in self.delays if self.delays[name] >= _WAIT and len(getattr(self, name))]
        for name in early:
            m.d.comb += getattr(self, name).eq(self._delayed(m, self._field(name), name, self.delays[name]))
        if late:
            waiting = Cat(self._field(name) for name in late)
            m.submodules.ring = ring = SimpleDualPortMemory(width=len(waiting), depth=_WAIT)
            # Each word is overwritten in the cycle after it was read.
            place = Signal(range(_WAIT))
            m.d.sync += place.eq(place + 1)
            m.d.comb += [
                ring.write_enable.eq(1),
                ring.write_address.eq(place),
                ring.write_data.eq(waiting),
                ring.read_address.eq(place + 1),
            ]
            offset = 0
            for name in late:
                field = ring.read_data[offset:offset + len(getattr(self, name))]
                offset += len(field)
                m.d.comb += getattr(self, name).eq(self._delayed(m, field, name, self.delays[name] - _WAIT))
        return m

    def _field(self, name):
        offset, width, _ = self.constants.place(name)
        return self.constant[offset:offset + width]

    @staticmethod
    def _delayed(m, value, name, cycles):
        for stage in range(cycles):
            register = Signal(len(value), name=f"{name}_{stage}", reset_less=True)
            m.d.sync += register.eq(value)
            value = register
        return value

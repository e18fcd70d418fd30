"""Popcount in carry chains: which adders there are, on which level, and what goes through registers between them."""

from amaranth import Cat, Const, Signal

__all__ = ["AdderTree", "Chains", "chain_levels"]


def chain_levels(lanes):
    """Adder levels of so many lanes: level 1 holds up to 3, level k up to ``2**(k + 1) - 1``."""
    return max(1, lanes.bit_length() - 1)


class AdderTree:
    """Counts lanes: two numbers of k bits, and one lane as their carry in, make a number of k + 1 bits.

    ``2**k - 1`` lanes leave no end loose. There is a register behind each level in ``cuts``. ``chain`` makes the
    family's carry chains of up to ``longest`` cells, as ``Chains`` has them.

    A family's tree has two methods more: ``leaf(lanes)`` returns the bits of the count of one to three lanes, and
    ``held(lane)`` a lane a cycle later. A lane is whatever these and a chain's ``append`` take.
    """

    def __init__(self, module, cuts, chain, longest):
        self.module = module
        self.cuts = cuts
        self.chains = Chains(lambda: chain(module), longest)

    def count(self, lanes):
        """The bits of the count of a list of lanes, ``chain_levels(len(lanes))`` levels later."""
        if len(lanes) <= 3:
            return self._behind(1, self.leaf(lanes))
        level = chain_levels(len(lanes))
        largest = (1 << level) - 1
        a = self.count(lanes[:largest])
        rest, lane = lanes[largest:-1], lanes[-1]
        b = self.count(rest) if rest else []
        for earlier in range(1, level):
            if earlier in self.cuts:
                lane = self.held(lane)
                if rest and earlier > chain_levels(len(rest)):
                    b = self.register(b)
        b = [*b, *[Const(0, 1)] * (len(a) - len(b))]
        return self._behind(level, self.chains.add(level, a, b, lane))

    def register(self, bits):
        """The bits a cycle later."""
        held = Signal(len(bits), reset_less=True)
        self.module.d.sync += held.eq(Cat(bits))
        return list(held)

    def _behind(self, level, bits):
        return self.register(bits) if level in self.cuts else bits


class Chains:
    """The carry chains of a tree: adders of one level stand one behind the other, in chains of limited length.

    ``make()`` gives an empty chain with ``length``, its cells so far and those at its end; ``append(a, b, lane)``,
    which returns the sum's bits and takes ``len(a) + 1`` cells; and ``end()``.
    """

    def __init__(self, make, longest):
        self._make = make
        self._longest = longest
        self._open = {}

    def add(self, level, a, b, lane):
        """The bits of ``a + b`` and a lane on a level, where ``a`` and ``b`` are lists of as many bits."""
        chain = self._open.get(level)
        if chain is None or chain.length + len(a) + 1 > self._longest:
            if chain is not None:
                chain.end()
            chain = self._open[level] = self._make()
        return chain.append(a, b, lane)

    def end(self):
        """There are no more adders."""
        for chain in self._open.values():
            chain.end()

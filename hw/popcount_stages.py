"""How many registers a PE's popcount needs for a clock."""

from dataclasses import replace

from sw.engine import Engine

__all__ = ["popcount_stages", "with_popcount_stages"]


def popcount_stages(part, lanes, clock_mhz):
    """Return the fewest registers between the adders of a popcount of ``lanes`` lanes that let it run at ``clock_mhz``
    by ``part.popcount_ns``; as many as there can be if none do, 0 where the part's times are not known.
    """
    most = Engine.most_popcount_stages(lanes)
    if part.popcount_ns is None:
        return 0
    beside, level = part.popcount_ns
    levels = most + 1

    def period(stages):
        return beside + level * -(-levels // (stages + 1))

    return next((stages for stages in range(most) if period(stages) <= 1000 / clock_mhz), most)


def with_popcount_stages(engine, part, clock_mhz):
    """Return the engine with the ``popcount_stages`` that a clock needs on a part."""
    return replace(engine, popcount_stages=popcount_stages(part, engine.lanes, clock_mhz))

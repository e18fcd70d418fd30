"""Channel constants against the fields of words of earlier cycles."""

import random

import pytest
from amaranth.sim import Simulator

from hw.channel_constants import ChannelConstants
from sw.constants import ConstantFormat

DELAYS = {"gain": 0, "source": 0, "offset": 1, "around": 1, "before": 4, "positive": 4, "after": 6, "threshold": 7}


@pytest.mark.parametrize("constants", [
    ConstantFormat(gain=5, offset=7, source=3, around=1),
    ConstantFormat(gain=9, offset=12, source=2, around=1, threshold=6, before=5, positive=8, negative=8, after=7)])
def test_delays(constants):
    choose = random.Random(constants.width)
    words = []
    dut = ChannelConstants(constants=constants, delays=DELAYS)

    async def testbench(ctx):
        for now in range(60):
            values = {}
            for name in DELAYS:
                _, width, is_signed = constants.place(name)
                values[name] = choose.randrange(1 << width) - (1 << width >> 1 if is_signed else 0) if width else 0
            words.append(values)
            ctx.set(dut.constant, constants.pack(values))
            for name, delay in DELAYS.items():
                if now >= delay:
                    assert ctx.get(getattr(dut, name)) == words[now - delay][name], (now, name)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()

"""The layer control against its rule: the cycle of every ``begin``, and each layer's fields while they are needed."""

import random

import pytest
from amaranth.sim import Simulator

from hw.control import LayerControl
from sw.descriptor import BITS, SEQUENCER_WORDS, WORDS


def random_layers(choose, form, count, share):
    """Fields of ``count`` layers; each is 0 in all layers unless it falls into ``share``."""
    used = [name for name in form.fields if choose.random() < share]
    layers = []
    for index in range(count):
        values = {name: choose.getrandbits(field.width) if name in used else 0 for name, field in form.fields.items()}
        layers.append(values | {"first": int(index == 0), "head": int(index == count - 1)})
    return layers


def check_fields(ctx, dut, names, values):
    for name in names:
        signal = dut.fields[name]
        assert (ctx.get(signal) if len(signal) else 0) == values[name], name


@pytest.mark.parametrize(("form", "count", "share", "seed"), [
    (BITS, 1, 1.0, 1), (BITS, 2, 0.5, 2), (BITS, 3, 0.0, 3), (BITS, 5, 1.0, 4), (WORDS, 4, 1.0, 5),
])
def test_layers(form, count, share, seed):
    choose = random.Random(seed)
    layers = random_layers(choose, form, count, share)
    drain_fields = [name for name, field in form.fields.items() if field.word >= SEQUENCER_WORDS]
    dut = LayerControl(program=[word for values in layers for word in form.encode("layer", values)], format=form)
    for name, signal in dut.fields.items():
        assert len(signal) == max(values[name] for values in layers).bit_length()

    async def testbench(ctx):
        cycle, issued, drained = 0, 0, -1  # reset counts as the layer before: issued in cycle 0, drained before it
        for number in range(4 * count):
            values = layers[number % count]
            earliest = max(issued + SEQUENCER_WORDS + 1, drained + 1)
            wait = {"frame": earliest + choose.randint(-5, 10), "room": earliest + choose.randint(-5, 10),
                    "weights": earliest + choose.randint(-9, 6)}
            check = max(earliest, wait["weights"], wait["frame"] if values["first"] else 0,
                        wait["room"] if values["head"] else 0)
            begin = check + form.drain_words + 1
            previous = layers[number % count - 1]
            while cycle < begin:
                # A level that the layer does not wait for may be anything.
                ctx.set(dut.frame_available, cycle >= wait["frame"] if values["first"] else choose.randrange(2))
                ctx.set(dut.result_room, cycle >= wait["room"] if values["head"] else choose.randrange(2))
                ctx.set(dut.fetched, cycle >= wait["weights"])
                ctx.set(dut.issued, 0)
                ctx.set(dut.drained, cycle == drained)
                assert not ctx.get(dut.begin) and not ctx.get(dut.begin_frame), cycle
                if number and cycle <= drained:
                    check_fields(ctx, dut, drain_fields, previous)
                await ctx.tick()
                cycle += 1
            ctx.set(dut.drained, 0)
            assert ctx.get(dut.begin)
            assert ctx.get(dut.begin_frame) == values["first"]
            issued = begin + choose.randint(1, 12)
            drained = issued + choose.randint(1, 30)
            while cycle < issued:
                check_fields(ctx, dut, form.fields, values)
                await ctx.tick()
                cycle += 1
                assert ctx.get(dut.layer) == number % count
                assert not ctx.get(dut.begin)
            ctx.set(dut.issued, 1)
            await ctx.tick()
            cycle += 1

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("form", [BITS, WORDS])
@pytest.mark.parametrize("length", [0, 1, -1, +1])
def test_program_that_is_cut_short(form, length):
    length += 2 * form.words if length in (-1, 1) else 0
    with pytest.raises(ValueError,
                       match=rf"^LayerControl program must be a multiple of {form.words} words, not {length}$"):
        LayerControl(program=[0] * length, format=form)

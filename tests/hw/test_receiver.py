"""The frame receiver against a list of frames: which bytes are written, what is committed, what is dropped and why."""

import random

import pytest
from amaranth.sim import Simulator

from hw.receiver import FrameError, FrameReceiver


def outcome(beats, length, user):
    """How a frame of ``length`` transfers ends, and at which of them."""
    if length < beats:
        return FrameError.SHORT, length - 1
    if length > beats:
        return FrameError.LONG, beats - 1
    return FrameError.REFUSED if user else None, length - 1


FRAMES = {
    "good": [(0, False)] * 3,
    "short, then good": [(-1, False), (0, False), (-1, True), (0, False)],
    "long, then good": [(1, False), (0, False), (5, True), (0, False)],
    "much too long": [(13, False), (0, False)],
    "refused, then good": [(0, True), (0, False)],
    "each after each": [(0, False), (-1, False), (-1, False), (2, False), (1, False), (0, True), (-1, True),
                        (0, True), (3, True), (0, False), (0, False)],
}


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize(("beats", "word_beats", "seed"), [
    (1, 1, 1), (2, 1, 2), (5, 1, 3), (8, 2, 4), (7, 3, 5), (2, 4, 6)])
@pytest.mark.parametrize(("gaps", "full"), [(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4)])
def test_frames(name, beats, word_beats, seed, gaps, full):
    choose = random.Random(seed)
    frames = [(beats + difference, user) for difference, user in FRAMES[name] if beats + difference > 0]
    transfers = []
    for length, user in frames:
        error, at = outcome(beats, length, user)
        for index in range(length):
            last = index == length - 1
            # TUSER means nothing before the frame's TLAST.
            noise = user if last else choose.random() < 0.5
            written = index if index < beats else None
            transfers.append((last, noise, written, error if index == at else None, error is None and index == at))
    dut = FrameReceiver(beats=beats, word_beats=word_beats)

    async def testbench(ctx):
        todo = list(transfers)
        while todo:
            last, user, index, error, commit = todo[0]
            byte, valid, room = choose.getrandbits(8), choose.random() >= gaps, choose.random() >= full
            ctx.set(dut.i.tdata, byte)
            ctx.set(dut.i.tvalid, valid)
            ctx.set(dut.i.tlast, last)
            ctx.set(dut.i.tuser, user)
            ctx.set(dut.room, room)
            assert ctx.get(dut.i.tready) == room
            if valid and room:
                todo.pop(0)
                assert ctx.get(dut.write) == (index is not None)
                if index is not None:
                    word, part = divmod(index, word_beats)
                    assert (ctx.get(dut.byte), ctx.get(dut.word), ctx.get(dut.part)) == (byte, word, part)
                    assert ctx.get(dut.word_full) == (part == word_beats - 1 or index == beats - 1)
                assert ctx.get(dut.commit) == commit
                assert ctx.get(dut.error) == (error or FrameError.NONE)
            else:
                assert not ctx.get(dut.write) and not ctx.get(dut.commit)
                assert ctx.get(dut.error) == FrameError.NONE
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("beats", [0, -1, 2.0, "8"])
def test_length_that_no_frame_has(beats):
    with pytest.raises(ValueError, match=rf"^FrameReceiver beats must be a positive integer, not {beats!r}$"):
        FrameReceiver(beats=beats)
    with pytest.raises(ValueError, match=rf"^FrameReceiver word_beats must be a positive integer, not {beats!r}$"):
        FrameReceiver(beats=8, word_beats=beats)

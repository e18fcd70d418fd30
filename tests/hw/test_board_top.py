"""A board's top: its ports and pins, its checks, and an image through the serial line."""

import re

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator

from hw.board_top import BoardTop, SerialAccelerator, board_pins
from hw.boards import BOARDS
from hw.protocol import ResultLayout, Status, decode_reply, encode_request
from sw.compile import compile_graph
from sw.engine import Engine
from sw.reference import run

DIVISOR = 4


@pytest.fixture(scope="module")
def program(tiny_mlp):
    return compile_graph(tiny_mlp, Engine(4, 1, 8))


@pytest.mark.parametrize("name", BOARDS)
def test_every_port_has_a_pin(program, name):
    board = BOARDS[name]
    top = rtlil.convert(BoardTop(program, board), name="design").split("module \\design\n")[1].split("\nend\n")[0]
    ports = re.findall(r"wire width (\d+) (?:input|output) \d+ +\\(\w+)", top)
    # The tools name the bits of a port by number, and the only bit of one by the port alone.
    bits = {port if width == "1" else f"{port}[{index}]" for width, port in ports for index in range(int(width))}
    pins = board_pins(board, program)
    assert set(pins) == bits
    assert len(set(pins.values())) == len(pins)


def test_clock(program):
    assert BoardTop(program, BOARDS["ice40"]).clock_mhz == 24
    assert BoardTop(program, BOARDS["ice40"], clock_mhz=12).clock_mhz == 12
    assert BoardTop(program, BOARDS["ice40-hx8k"], clock_mhz=60).clock_mhz == 60


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (("program", "board"), TypeError,
     "BoardTop program must be a sw.program.Program or a sw.pipeline.Pipeline, not 'program'"),
    ((None, "ice40"), TypeError, "BoardTop board must be a hw.boards.Board, not 'ice40'"),
])
def test_wrong_types(program, arguments, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        BoardTop(program if arguments[0] is None else arguments[0], arguments[1])


@pytest.mark.parametrize(("clock", "message"), [
    (23.5, "clock must be one that the PLL makes from 12 MHz"), (16.5, "clock must be within 2 % of a multiple of"),
])
def test_wrong_clock(program, clock, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        BoardTop(program, BOARDS["ice40"], clock_mhz=clock)


class Line:
    """The host's side of the serial line, in clock cycles."""

    def __init__(self, dut):
        self.dut = dut
        self.received = bytearray()

    async def send(self, ctx, content):
        for byte in content:
            for bit in (0, *((byte >> index) & 1 for index in range(8)), 1):
                ctx.set(self.dut.rx, bit)
                await ctx.tick().repeat(DIVISOR)

    async def listen(self, ctx, count):
        """Collect ``count`` bytes."""
        for _ in range(count):
            await ctx.tick().until(~self.dut.tx)
            await ctx.tick().repeat(DIVISOR // 2 - 1)
            byte = 0
            for index in range(9):
                *_, level = await ctx.tick().sample(self.dut.tx).repeat(DIVISOR)
                byte |= level << index
            assert byte >> 8, "stop bit"
            self.received.append(byte & 0xFF)

    async def reply(self, ctx, length):
        """The next ``length`` bytes."""
        for _ in range(20_000):
            if len(self.received) >= length:
                break
            await ctx.tick()
        found, self.received[:] = bytes(self.received[:length]), self.received[length:]
        return found


def test_images_through_the_serial_line(program, tiny_mlp):
    images = np.random.default_rng(3).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    expected = run(tiny_mlp, images)
    layout = ResultLayout(program.classes, program.score_bytes)
    dut = SerialAccelerator(program=program, divisor=DIVISOR)
    line = Line(dut)

    async def testbench(ctx):
        for index, image in enumerate(images):
            request = encode_request(program.image.pack(image))
            if index == 1:
                damaged = bytearray(request)
                damaged[3] ^= 0x10
                await line.send(ctx, damaged)
                status, _ = decode_reply(await line.reply(ctx, 5), layout.size)
                assert status == Status.CRC
                assert ctx.get(dut.refused) == 1
            await line.send(ctx, request)
            status, result = decode_reply(await line.reply(ctx, layout.size + 5), layout.size)
            scores, label = layout.decode(result)
            assert (status, scores, label) == (Status.OK, expected.scores[index].tolist(), expected.classes[index])
            assert (ctx.get(dut.label), ctx.get(dut.refused)) == (label, 0)
        assert not line.received

    async def listen(ctx):
        # Three results and one refusal.
        await line.listen(ctx, 3 * (layout.size + 5) + 5)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.add_testbench(listen)
    simulator.run()


@pytest.mark.parametrize(("name", "lanes", "cell"), [
    ("ice40", 16, "SB_CARRY"), ("ice40", 8, None), ("ulx3s-25f", 32, "CCU2C"), ("ulx3s-25f", 16, None),
    ("tang-nano-9k", 32, None),
])
def test_the_familys_own_popcount_is_used_where_it_is_smaller(tiny_mlp, name, lanes, cell):
    text = rtlil.convert(BoardTop(compile_graph(tiny_mlp, Engine(4, 1, lanes)), BOARDS[name]))
    assert {kind for kind in ("SB_CARRY", "CCU2C") if f"cell \\{kind} " in text} == ({cell} if cell else set())


@pytest.mark.parametrize(("lanes", "styles"), [(16, ["huge", "huge"]), (48, ["huge", "block"])])
def test_banks_of_features_lie_where_there_is_room(tiny_mlp, lanes, styles):
    """Of the UP5K's four large RAMs, 16 bits wide, three hold a bank of 48 bits."""
    text = rtlil.convert(BoardTop(compile_graph(tiny_mlp, Engine(4, 2, lanes)), BOARDS["ice40"]))
    modules = re.findall(r"module \\top\.serial\.accelerator\.features\.bank_\d\n(.*?)\nend\n", text, re.DOTALL)
    assert [re.search(r'ram_style "(\w+)"', module)[1] for module in modules] == styles

"""The host command against devices that answer well, badly or not at all, and images of every kind."""

import io
import json
import os
import re
import select
import sys
import threading
import tty
from types import SimpleNamespace

import numpy as np
import pytest

from hw import host
from hw.host import LinkError, classify, main, read_image
from hw.protocol import ResultLayout, Status, decode_request, encode_reply, encode_request
from sw import ir
from sw.errors import CompileError, DataError
from sw.reference import run

LAYOUT = ResultLayout(3)
RESULT = b"\x01\x00\xfe\xff\x2c\x01\x02"
GOOD = encode_reply(Status.OK, RESULT)


class Device:
    """A transport: it keeps the request, and its answer is a function of it."""

    def __init__(self, answer):
        self.answer = answer
        self.request = None

    def write(self, data):
        self.request = data
        self.stream = io.BytesIO(self.answer(data))

    def read(self, count):
        return self.stream.read(count)


def link_error(message):
    return pytest.raises(LinkError, match=f"^{re.escape(message)}")


@pytest.mark.parametrize("noise", [b"", b"\x00\x5a"])
def test_classify(noise):
    device = Device(lambda request: noise + GOOD)
    assert classify(device, b"image", LAYOUT) == ([1, -2, 300], 2)
    assert decode_request(device.request, 5) == b"image"


@pytest.mark.parametrize(("reply", "message"), [
    (b"", "no reply came; check the port"),
    (b"\x00\xff", "no reply came; check the port"),
    (GOOD[:1], "the reply is damaged: the reply has 1 bytes instead of 12"),
    (GOOD[:-3], "the reply is damaged: the reply has 9 bytes instead of 12"),
    (GOOD[:-1] + b"\0", "the reply is damaged: the reply ends with 0x00, not with 0x5A"),
    (GOOD[:3] + b"\x77" + GOOD[4:], "the reply is damaged: the reply has CRC 0x"),
    (encode_reply(7), "the reply is damaged: the reply has status 7"),
])
def test_no_reply_or_a_damaged_one(reply, message):
    with link_error(message):
        classify(Device(lambda request: reply), b"image", LAYOUT)


@pytest.mark.parametrize(("status", "words"), [
    (Status.CRC, "send it again"), (Status.TIMEOUT, "send it again"), (Status.FRAMING, "check the baud rate"),
    (Status.OVERRUN, "wait for each reply"), (Status.STORE_DAMAGED, "write bitstream and weights to the flash again"),
    (Status.NOT_READY, "still loading its weights"),
])
def test_refused(status, words):
    with link_error("the device refused the image: ") as caught:
        classify(Device(lambda request: encode_reply(status)), b"image", LAYOUT)
    assert words in str(caught.value)


def test_every_error_is_explained():
    assert set(host.EXPLANATIONS) == set(Status) - {Status.OK}


def test_port_that_is_not_there():
    with link_error("port no-such-port cannot be opened: "):
        host.SerialTransport("no-such-port", baud=115200)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo terminals here")
def test_serial_port():
    """A pseudo terminal stands for the board; what came before the request is forgotten."""
    board, port = os.openpty()
    tty.setraw(port)
    name = os.ttyname(port)
    transport = host.SerialTransport(name, baud=115200, timeout=20)
    os.write(board, encode_reply(Status.CRC))
    assert select.select([port], [], [], 20)[0]  # a terminal delivers when it gets to it
    received = []

    def answer():
        request = encode_request(b"image")
        while len(b"".join(received)) < len(request):
            received.append(os.read(board, 100))
        os.write(board, GOOD)

    thread = threading.Thread(target=answer)
    thread.start()
    assert classify(transport, b"image", LAYOUT) == ([1, -2, 300], 2)
    thread.join()
    assert b"".join(received) == encode_request(b"image")
    os.close(board)
    with link_error(f"port {name} failed: "):
        classify(transport, b"image", LAYOUT)
    os.close(port)


def test_serial_port_without_pyserial(monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with link_error("a serial port needs pyserial: pip install"):
        host.SerialTransport("port", baud=115200)


def test_process():
    code = f"import sys; assert sys.stdin.buffer.read().endswith(b'Z'); sys.stdout.buffer.write(bytes({list(GOOD)}))"
    assert classify(host.ProcessTransport([sys.executable, "-c", code]), b"image", LAYOUT) == ([1, -2, 300], 2)


@pytest.mark.parametrize(("code", "message"), [
    ("import sys; sys.exit('no compiler')", "the simulation failed: no compiler; it needs pip install"),
    ("raise SystemExit(3)", "the simulation failed: (it printed nothing); it needs"),
    ("", "no reply came"),
])
def test_process_that_fails(code, message):
    with link_error(message):
        classify(host.ProcessTransport([sys.executable, "-c", code]), b"image", LAYOUT)


PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
GREY = PIXELS[:, :, :1]


def write_image(path, pixels):
    height, width, channels = pixels.shape
    if path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix in (".pgm", ".ppm"):
        kind = "P5" if channels == 1 else "P6"
        path.write_bytes(f"{kind} # a comment\n#another\n{width}\t{height}\n255\n".encode() + pixels.tobytes())
    else:
        path.write_bytes(pixels.tobytes())


@pytest.mark.parametrize(("name", "pixels"), [
    ("i.npy", PIXELS), ("i.npy", GREY), ("i.pgm", GREY), ("i.ppm", PIXELS), ("i.PPM", PIXELS), ("i.raw", PIXELS),
    ("i", GREY),
])
def test_read_image(name, pixels, tmp_path):
    if name.endswith("PPM"):
        write_image(tmp_path / "i.ppm", pixels)
        (tmp_path / "i.ppm").rename(tmp_path / name)
    else:
        write_image(tmp_path / name, pixels)
    found = read_image(tmp_path / name, pixels.shape)
    assert found.dtype == np.uint8
    assert np.array_equal(found, pixels)


def test_read_array_without_channels(tmp_path):
    np.save(tmp_path / "i.npy", GREY[:, :, 0])
    assert np.array_equal(read_image(tmp_path / "i.npy", GREY.shape), GREY)


@pytest.mark.parametrize("pixels", [GREY, PIXELS])
def test_read_png(pixels, tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.fromarray(pixels.squeeze()).save(tmp_path / "i.png")
    assert np.array_equal(read_image(tmp_path / "i.png", pixels.shape), pixels)


def test_png_without_pillow(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match="PNG needs Pillow: pip install pillow"):
        read_image(tmp_path / "i.png", PIXELS.shape)


@pytest.mark.parametrize(("name", "content", "words"), [
    ("i.raw", bytes(23), "it has 23 values of uint8, the network takes 2 x 4 x 3 of uint8"),
    ("i.raw", b"", "it has 0 values of uint8"),
    ("i.ppm", b"P6 3 2 255\n" + bytes(18), "it has 2 x 3 x 3 values"),
    ("i.pgm", b"P5 4 2 255\n" + bytes(8), "it has 2 x 4 x 1 values"),
    ("i.ppm", b"P6 4 2 255\n" + bytes(20), "cannot be read"),
    ("i.ppm", b"P6 4 2 15\n" + bytes(24), "its largest value is 15, only 255 is read"),
    ("i.ppm", b"P3 4 2 255\n", "it begins with neither P5 nor P6"),
    ("i.ppm", b"P6 4", "cannot be read"),
    ("i.ppm", b"P6 #no end", "cannot be read"),
    ("i.npy", b"not an array", "cannot be read"),
    ("i.npy", b"", "cannot be read"),
])
def test_bad_image(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"^image {re.escape(str(tmp_path / name))}: .*{re.escape(words)}"):
        read_image(tmp_path / name, PIXELS.shape)


def test_array_of_another_type(tmp_path):
    np.save(tmp_path / "i.npy", PIXELS.astype(np.float32))
    with pytest.raises(DataError, match="it has 2 x 4 x 3 values of float32"):
        read_image(tmp_path / "i.npy", PIXELS.shape)


def test_missing_image(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path / "none.npy", PIXELS.shape)


@pytest.fixture
def device(monkeypatch, tiny_cnn):
    """The tiny network in the zoo, and a board that computes its reference, plus ``offset`` for class 0."""
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (4, *tiny_cnn.inputs.shape), dtype=np.uint8)
    entry = SimpleNamespace(graph=tiny_cnn, images=images, labels=np.array([2, 0, 1, 1]), name=tiny_cnn.name)
    reference = run(tiny_cnn, images)
    board = SimpleNamespace(offset=0, image=0)

    def load(name):
        if name != tiny_cnn.name:
            raise CompileError(f"unknown network: {name!r}")
        return entry

    def answer(request):
        scores = reference.scores[board.image].tolist()
        content = np.array([scores[0] + board.offset, *scores[1:]], "<i2").tobytes()
        return encode_reply(Status.OK, content + bytes([int(reference.classes[board.image])]))

    monkeypatch.setattr(host.zoo, "load", load)
    monkeypatch.setattr(host, "SerialTransport", lambda port, *, baud, timeout: Device(answer))
    board.reference, board.images = reference, images
    return board


def arguments(*more):
    return ["--network", "tiny-cnn", "--port", "fake", *more]


def test_main_prints_class_truth_and_scores(device, capsys):
    device.image = 2
    assert main(arguments("--sample", "2", "--check")) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out.splitlines() == [
        f"class {device.reference.classes[2]}", "truth 1",
        "scores " + " ".join(map(str, device.reference.scores[2].tolist())), "equal to the integer reference",
    ]


def test_main_json_of_a_file(device, capsys, tmp_path):
    np.save(tmp_path / "i.npy", device.images[0])
    assert main(arguments(str(tmp_path / "i.npy"), "--json")) == 0
    assert json.loads(capsys.readouterr().out) == {
        "network": "tiny-cnn", "class": int(device.reference.classes[0]),
        "scores": device.reference.scores[0].tolist(),
    }


def test_main_sends_the_levels_of_pixels(monkeypatch, tiny_cnn):
    levels = [pixel * 3 % 4 for pixel in range(256)]
    source = ir.Input("input", tiny_cnn.inputs.shape, tiny_cnn.inputs.bits, levels)
    graph = tiny_cnn.replace(nodes=(source, *tiny_cnn.nodes[1:]))
    images = np.random.default_rng(2).integers(0, 256, (1, *source.shape), dtype=np.uint8)
    board = Device(lambda request: encode_reply(Status.OK, RESULT))
    monkeypatch.setattr(host.zoo, "load", lambda name: SimpleNamespace(graph=graph, images=images, labels=[0]))
    monkeypatch.setattr(host, "SerialTransport", lambda port, *, baud, timeout: board)
    assert main(arguments("--sample", "0")) == 0
    assert list(decode_request(board.request, images.size)) == [levels[pixel] for pixel in images.flatten()]


def test_main_finds_a_difference(device, capsys):
    device.offset = 2
    assert main(arguments("--sample", "0", "--check")) == 1
    assert "NOT equal to the integer reference" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "words"), [
    (["--sample", "4"], "--sample must be from 0 to 3 for network tiny-cnn, not 4"),
    (["--sample", "-1"], "--sample must be from 0 to 3 for network tiny-cnn, not -1"),
    (["none.npy"], "image none.npy: cannot be read"),
    (["--sample", "0", "--network", "other"], "unknown network: 'other'"),
    (["--sample", "0", "--board", "none"], "board must be one of"),
])
def test_main_errors_are_one_line(device, capsys, monkeypatch, tmp_path, options, words):
    monkeypatch.chdir(tmp_path)
    assert main(arguments(*options)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith("hw.host: ") and words in line


@pytest.mark.parametrize("options", [
    [], ["--port", "x"], ["--sample", "0"], ["--port", "x", "--simulate", "--sample", "0"],
    ["--port", "x", "i.npy", "--sample", "0"],
])
def test_incomplete_command(options, capsys):
    with pytest.raises(SystemExit) as caught:
        main(options)
    assert caught.value.code == 2
    assert "usage: hw.host" in capsys.readouterr().err


def test_main_reports_a_link_error(device, capsys, monkeypatch):
    monkeypatch.setattr(host, "SerialTransport", lambda port, *, baud, timeout: Device(lambda request: b""))
    assert main(arguments("--sample", "0")) == 2
    assert capsys.readouterr().err.startswith("hw.host: no reply came; ")

"""``python -m hw.host``: classify an image on a board over its serial port, or on the simulated design."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from hw.boards import BOARDS, find_board
from hw.fit import choose_engine
from hw.protocol import ProtocolError, ResultLayout, Status, decode_reply, encode_request
from sw import zoo
from sw.errors import CompileError, DataError
from sw.program import compile_graph, save_program
from sw.reference import run

__all__ = ["LinkError", "ProcessTransport", "SerialTransport", "classify", "main", "read_image"]

BAUD = 115_200

EXPLANATIONS = {
    Status.CRC: "a byte was damaged or lost on the line (the CRC does not match); send it again",
    Status.TIMEOUT: "a byte was lost on the line (the request broke off); send it again",
    Status.FRAMING: "a byte was damaged on the line (wrong stop); check the baud rate and send it again",
    Status.OVERRUN: "the accelerator was still busy; wait for each reply before the next request",
}


class LinkError(Exception):
    """No reply, or one that says that the request failed; the message says what to do."""


class SerialTransport:
    """A serial port. Raises ``LinkError`` if it cannot be opened."""

    def __init__(self, port, *, baud=BAUD, timeout=5.0):
        try:
            import serial
        except ImportError:
            raise LinkError("a serial port needs pyserial: pip install 'popforge[link]', or use --simulate") from None
        try:
            self._port = serial.Serial(port, baud, timeout=timeout)
        except (OSError, ValueError) as error:
            raise LinkError(f"port {port!r} cannot be opened: {error}") from error

    def exchange(self, request, reply_bytes):
        """Send ``request`` and return at most ``reply_bytes`` bytes, fewer after the timeout."""
        self._port.reset_input_buffer()
        self._port.write(request)
        return self._port.read(reply_bytes)


class ProcessTransport:
    """The simulated design, a process that takes the request on its standard input."""

    def __init__(self, program):
        self._program = program

    def exchange(self, request, reply_bytes):
        """As ``SerialTransport.exchange``."""
        with tempfile.TemporaryDirectory() as folder:
            save_program(self._program, folder)
            result = subprocess.run(
                [sys.executable, "-m", "sim.link", "--program", folder], input=request, check=False,
                capture_output=True,
                cwd=Path(__file__).resolve().parent.parent,
            )
        if result.returncode:
            lines = result.stderr.decode(errors="replace").strip().splitlines() or ["(it printed nothing)"]
            raise LinkError(f"the simulation failed: {lines[-1]}; it needs pip install 'popforge[sim]', a C++ "
                            f"compiler, make and perl")
        return result.stdout[:reply_bytes]


def classify(transport, payload, layout):
    """Send one packed image; return its scores (a list) and class.

    Raises ``LinkError`` if the device reports an error, or the reply is missing or damaged.
    """
    reply = transport.exchange(encode_request(payload), layout.size + 5)
    if not reply:
        raise LinkError("no reply came: check the port, the baud rate, and that the board runs this network")
    try:
        status, result = decode_reply(reply, layout.size)
        if status is not Status.OK:
            raise LinkError(f"the device refused the image: {EXPLANATIONS[status]}")
        return layout.decode(result)
    except ProtocolError as error:
        raise LinkError(f"the reply is damaged: {error}") from error


def read_image(path, shape):
    """An image file as ``uint8 (H, W, C)``: .npy, .pgm/.ppm (binary), or raw bytes.

    Raises ``DataError`` if the file cannot be read or has another size.
    """
    path = Path(path)
    height, width, channels = shape
    try:
        if path.suffix == ".npy":
            pixels = np.load(path, allow_pickle=False)
        else:
            content = path.read_bytes()
            pixels = np.frombuffer(_portable_map(path, content) if content[:2] in (b"P5", b"P6") else content, np.uint8)
    except (OSError, ValueError) as error:
        raise DataError(f"image {path}: cannot be read ({error}); give a .npy, .pgm, .ppm or raw file") from error
    if pixels.dtype != np.uint8 or pixels.size != height * width * channels:
        raise DataError(f"image {path}: has {pixels.size} values of {pixels.dtype}, the network takes "
                        f"{height} x {width} x {channels} values of uint8")
    return pixels.reshape(shape)


def _portable_map(path, content):
    """The pixels of a binary PGM or PPM with 8 bits a value."""
    fields, position = [], 2
    while len(fields) < 3:
        while content[position:position + 1].isspace():
            position += 1
        end = position
        if content[position:position + 1] == b"#":
            position = content.index(b"\n", position)
            continue
        while not content[end:end + 1].isspace():
            end += 1
        fields.append(int(content[position:end]))
        position = end
    if fields[2] != 255:
        raise DataError(f"image {path}: its largest value is {fields[2]}, only 255 (8 bits) is read")
    return content[position + 1:]


def _arguments(arguments):
    parser = argparse.ArgumentParser(prog="python -m hw.host", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", help="serial port of the board, such as /dev/ttyUSB1 or COM4")
    where.add_argument("--simulate", action="store_true", help="no board: run the design in Verilator")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("image", nargs="?", help="image file: .npy, .pgm, .ppm or raw bytes, of the network's size")
    what.add_argument("--sample", type=int, metavar="K", help="image K of those shipped with the network")
    parser.add_argument("--network", default=zoo.default(), help="name or folder (default %(default)s)")
    parser.add_argument("--board", default=next(iter(BOARDS)), help="whose array is simulated (default %(default)s)")
    parser.add_argument("--baud", type=int, default=BAUD, help="bits a second (default %(default)s)")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for a reply (default %(default)s)")
    parser.add_argument("--check", action="store_true", help="compare with the integer reference")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
    return parser.parse_args(arguments)


def _image(options, entry):
    if options.sample is None:
        return read_image(options.image, entry.graph.inputs.shape)
    if not 0 <= options.sample < len(entry.images):
        raise DataError(f"--sample {options.sample}: network {entry.graph.name} has samples 0 to "
                        f"{len(entry.images) - 1}")
    return entry.images[options.sample]


def _run(options):
    entry = zoo.load(options.network)
    graph = entry.graph
    image = _image(options, entry)
    program = compile_graph(graph, choose_engine(graph, find_board(options.board)))
    if options.simulate:
        transport = ProcessTransport(program)
    else:
        transport = SerialTransport(options.port, baud=options.baud, timeout=options.timeout)
    scores, category = classify(transport, program.image.pack(image), ResultLayout(program.classes))
    labels = graph.metadata.get("labels") or [str(index) for index in range(program.classes)]
    report = {"network": graph.name, "class": category, "label": labels[category], "scores": scores}
    if options.check:
        reference = run(graph, image[None])
        report["equal"] = scores == reference.scores[0].tolist() and category == int(reference.classes[0])
    if options.sample is not None:
        report["truth"] = labels[int(entry.labels[options.sample])]
    return report


def main(arguments=None):
    """The command line; returns the exit code."""
    options = _arguments(arguments)
    try:
        report = _run(options)
    except (CompileError, LinkError, TypeError, ValueError) as error:
        print(f"hw.host: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report))
    else:
        print(f"class {report['class']}: {report['label']}")
        if "truth" in report:
            print(f"truth: {report['truth']}")
        print("scores: " + " ".join(str(score) for score in report["scores"]))
        if "equal" in report:
            print("equal to the integer reference" if report["equal"] else "NOT equal to the integer reference")
    return 0 if report.get("equal", True) else 1


if __name__ == "__main__":
    sys.exit(main())

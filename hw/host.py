"""``python -m hw.host``: classify an image on a board over its serial port, or on the simulated design."""

import argparse
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from hw.boards import BOARDS, find_board
from hw.fit import choose_engine
from hw.protocol import ProtocolError, ResultLayout, Status, decode_reply, encode_request, read_reply
from sw import zoo
from sw.compile import compile_graph, interface_of
from sw.errors import CompileError, DataError
from sw.pack import pack_image
from sw.pipeline_file import load_design
from sw.program import save_program
from sw.reference import run

__all__ = ["LinkError", "ProcessTransport", "SerialTransport", "classify", "main", "read_image"]

TIMEOUT = 5.0

EXPLANATIONS = {
    Status.CRC: "bytes were damaged on the line (wrong CRC); send it again",
    Status.TIMEOUT: "bytes were lost on the line (the request broke off); check that the board runs this network, and "
                    "send it again",
    Status.FRAMING: "bytes were damaged or added on the line (wrong stop); check the baud rate, and send it again",
    Status.OVERRUN: "the accelerator was busy; wait for each reply before the next request",
    Status.STORE_DAMAGED: "its weights in the flash are missing or damaged (wrong CRC); write bitstream and weights to "
                          "the flash again, and restart the board",
    Status.NOT_READY: "it is still loading its weights from the flash; send it again",
}


class LinkError(Exception):
    """No reply, or one that says that the request failed; the message says what to do."""


class SerialTransport:
    """A serial port at ``baud`` bits per second. Raises ``LinkError`` if it cannot be opened, read or written."""

    def __init__(self, port, *, baud, timeout=TIMEOUT):
        try:
            import serial
        except ImportError:
            raise LinkError("a serial port needs pyserial: pip install 'popforge[link]', or use --simulate") from None
        self._name = port
        try:
            self._port = serial.Serial(port, baud, timeout=timeout, write_timeout=timeout)
        except (OSError, ValueError) as error:
            raise LinkError(f"port {port} cannot be opened: {error}") from error

    def write(self, data):
        """Send bytes; what came before is forgotten."""
        try:
            # pyserial's own way to forget them raises what is no OSError where the device is gone.
            self._port.read(self._port.in_waiting)
            self._port.write(data)
        except OSError as error:
            raise LinkError(f"port {self._name} failed: {error}") from error

    def read(self, count):
        """Up to ``count`` bytes, fewer after the timeout."""
        try:
            return self._port.read(count)
        except OSError as error:
            raise LinkError(f"port {self._name} failed: {error}") from error


class ProcessTransport:
    """A process that takes a request on its standard input and writes what comes back to its standard output."""

    def __init__(self, command):
        self._command = command
        self._reply = io.BytesIO()

    def write(self, data):
        """Run the process. Raises ``LinkError`` if it fails."""
        result = subprocess.run(self._command, input=data, check=False, capture_output=True,
                                cwd=Path(__file__).resolve().parent.parent)
        if result.returncode:
            lines = result.stderr.decode(errors="replace").strip().splitlines() or ["(it printed nothing)"]
            raise LinkError(f"the simulation failed: {lines[-1]}; it needs pip install 'popforge[sim]', a C++ "
                            f"compiler, make and perl")
        self._reply = io.BytesIO(result.stdout)

    def read(self, count):
        """Up to ``count`` bytes, fewer if there are no more."""
        return self._reply.read(count)


def classify(transport, payload, layout):
    """Send one packed image and return its scores (a list) and class.

    Raises ``LinkError`` if the device reports an error, or the reply is missing or damaged.
    """
    transport.write(encode_request(payload))
    reply = read_reply(transport.read, layout.size)
    if not reply:
        raise LinkError("no reply came; check the port, the baud rate, and that the board runs this network")
    try:
        status, result = decode_reply(reply, layout.size)
        if status is not Status.OK:
            raise LinkError(f"the device refused the image: {EXPLANATIONS[status]}")
        return layout.decode(result)
    except ProtocolError as error:
        raise LinkError(f"the reply is damaged: {error}") from error


def read_image(path, shape):
    """An image file as ``uint8`` of ``shape`` (H, W, C), by the ending of its name.

    ``.npy`` holds ``(H, W, C)``, or ``(H, W)`` of one channel; ``.pgm`` and ``.ppm`` are the binary kinds with
    8 bits a value; ``.png`` needs Pillow; anything else is H * W * C bytes, row by row, channels innermost.

    Raises ``DataError`` if the file cannot be read or holds another shape or type.
    """
    path = Path(path)
    try:
        pixels = _READERS.get(path.suffix.lower(), _read_bytes)(path, shape)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"image {path}: cannot be read ({error})") from error
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    if pixels.dtype != np.uint8 or pixels.shape != shape:
        found = " x ".join(map(str, pixels.shape))
        raise DataError(f"image {path}: it has {found} values of {pixels.dtype}, the network takes "
                        f"{' x '.join(map(str, shape))} of uint8")
    return pixels


def _read_npy(path, shape):
    return np.asarray(np.load(path, allow_pickle=False))


def _read_bytes(path, shape):
    content = np.frombuffer(path.read_bytes(), np.uint8)
    return content.reshape(shape) if content.size == np.prod(shape) else content


def _read_portable_map(path, shape):
    content, fields, position = path.read_bytes(), [], 2
    channels = {b"P5": 1, b"P6": 3}.get(content[:2])
    if channels is None:
        raise ValueError("it begins with neither P5 nor P6, the binary kinds")
    while len(fields) < 3:
        line = content[position:].lstrip()
        position = len(content) - len(line)
        if line.startswith(b"#"):
            position = content.index(b"\n", position)
        else:
            word = line.split(maxsplit=1)[0] if line else b""
            fields.append(int(word))
            position += len(word)
    width, height, largest = fields
    if largest != 255:
        raise ValueError(f"its largest value is {largest}, only 255 is read")
    # One blank character ends the header.
    return np.frombuffer(content[position + 1:], np.uint8).reshape(height, width, channels)


def _read_png(path, shape):
    try:
        from PIL import Image
    except ImportError:
        raise DataError(f"image {path}: PNG needs Pillow: pip install pillow, or give .npy, .pgm or .ppm") from None
    with Image.open(path) as picture:
        return np.array(picture.convert("L" if shape[2] == 1 else "RGB"))


_READERS = {".npy": _read_npy, ".pgm": _read_portable_map, ".ppm": _read_portable_map, ".png": _read_png}


def _arguments(arguments):
    parser = argparse.ArgumentParser(prog="hw.host", description="Classify an image on a board, or simulate that.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", help="serial port of the board, such as /dev/ttyUSB1 or COM4")
    where.add_argument("--simulate", action="store_true", help="no board: run the design in Verilator")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("image", nargs="?", help=".npy, .pgm, .ppm, .png or raw bytes, of the network's size")
    what.add_argument("--sample", type=int, metavar="K", help="test image K of those that come with the network")
    parser.add_argument("--network", metavar="NAME|FOLDER", default=zoo.default(),
                        help="a network of the zoo, or a folder with one (default: %(default)s)")
    parser.add_argument("--board", default=next(iter(BOARDS)), help="name of the board (default: %(default)s)")
    parser.add_argument("--program", type=Path, metavar="FOLDER",
                        help="with --simulate: the design that hw.build wrote there (default: what it would choose)")
    parser.add_argument("--baud", type=int, help="bits a second (default: the board's)")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, metavar="S",
                        help="seconds to wait for a reply of a board (default: %(default)g)")
    parser.add_argument("--check", action="store_true", help="compare with the integer reference")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
    return parser.parse_args(arguments)


def _image(options, entry):
    if options.sample is None:
        return read_image(options.image, entry.graph.inputs.shape)
    if not 0 <= options.sample < len(entry.images):
        raise DataError(f"--sample must be from 0 to {len(entry.images) - 1} for network {entry.graph.name}, "
                        f"not {options.sample}")
    return entry.images[options.sample]


def _simulated(options, graph, folder):
    """The transport to the simulation of ``options.program``, or of one that is saved in ``folder``."""
    if options.program is None:
        save_program(compile_graph(graph, choose_engine(graph, find_board(options.board))), folder)
    elif (found := load_design(options.program).network) != graph.name:
        raise CompileError(f"program {options.program} is for network {found}, not {graph.name}; give --network")
    print("simulating; a design's first simulation builds its model, which takes a minute or two", file=sys.stderr)
    where = Path(options.program or folder).resolve()
    return ProcessTransport([sys.executable, "-m", "sim.link", "--program", str(where)])


def _run(options):
    entry = zoo.load(options.network)
    graph = entry.graph
    image = _image(options, entry)
    interface = interface_of(graph)
    payload = pack_image(image, bits=graph.inputs.bits, flat=interface.flat, levels=graph.inputs.levels)
    layout = ResultLayout(interface.classes, interface.score_bytes)
    with tempfile.TemporaryDirectory() as folder:
        if options.simulate:
            transport = _simulated(options, graph, folder)
        else:
            baud = options.baud or find_board(options.board).baud
            transport = SerialTransport(options.port, baud=baud, timeout=options.timeout)
        scores, category = classify(transport, payload, layout)
    labels = graph.metadata.get("labels")
    report = {"network": graph.name, "class": category, "scores": scores}
    if labels:
        report["label"] = labels[category]
    if options.sample is not None:
        report["truth"] = int(entry.labels[options.sample])
    if options.check:
        reference = run(graph, image[np.newaxis])
        report["equal"] = scores == reference.scores[0].tolist() and category == int(reference.classes[0])
    return report


def main(arguments=None):
    """Run the command and return its exit code: 0, 1 if ``--check`` finds a difference, 2 for any error."""
    options = _arguments(arguments)
    try:
        report = _run(options)
    except (CompileError, LinkError, ValueError) as error:
        print(f"hw.host: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report))
    else:
        print(f"class {report['class']}" + (f": {report['label']}" if "label" in report else ""))
        if "truth" in report:
            print(f"truth {report['truth']}")
        print("scores " + " ".join(map(str, report["scores"])))
        if "equal" in report:
            print("equal to the integer reference" if report["equal"] else "NOT equal to the integer reference")
    return 0 if report.get("equal", True) else 1


if __name__ == "__main__":
    sys.exit(main())

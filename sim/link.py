"""The simulated board: a request on standard input, its reply on standard output, through the design's serial pins.

``python -m sim.link --program FOLDER`` builds a Verilator model of the serial accelerator (once for each program) and
passes the bytes through it; ``hw.host`` uses it in place of a serial port.
"""

import argparse
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

from sim.board import SimulatedBoard, load_cycles
from sim.link_bench import DIVISOR, FOLDER, PATIENCE, REPLY, REQUEST
from sim.simulate import FOLDER as MODELS
from sim.verilate import build, run
from sw.errors import CompileError
from sw.pipeline_file import load_design

__all__ = ["exchange", "main"]

#: Bytes of a reply beyond the result: start, status, CRC and stop (docs/link.md).
REPLY_FRAMING = 5


def exchange(program, request, *, replies=1, folder=MODELS, at_once=False, damaged=None):
    """Send ``request`` (bytes) over the serial line of a simulated accelerator; return the bytes that come back.

    It waits for ``replies`` replies, or until the line has been silent for as long as a frame could take. The request
    is sent when the weights have come from the flash, if they do, or ``at_once``; ``damaged`` is a bit of them that is
    wrong there.
    """
    board = SimulatedBoard(program, divisor=DIVISOR, damaged=damaged)
    runner, target = build(board, name="serial", folder=folder)
    count = replies * (program.result_bytes + REPLY_FRAMING)
    patience = 2 * program.schedule.latency_cycles // DIVISOR + 4000
    with tempfile.TemporaryDirectory(dir=target) as name:
        place = Path(name)
        (place / REQUEST).write_bytes(request)
        (place / PATIENCE).write_text(f"{count} {patience} {1 if at_once else 1 + load_cycles(program)}")
        run(runner, target, name="serial", module="sim.link_bench", environment={FOLDER: str(place)})
        return (place / REPLY).read_bytes()


def main(arguments=None):
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sim.link", description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True, type=Path, metavar="FOLDER",
                        help="a compiled program, as hw.build writes it")
    options = parser.parse_args(arguments)
    try:
        program = load_design(options.program)
    except CompileError as error:
        print(f"sim.link: {error}", file=sys.stderr)
        return 2
    with redirect_stdout(sys.stderr):
        reply = exchange(program, sys.stdin.buffer.read())
    sys.stdout.buffer.write(reply)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

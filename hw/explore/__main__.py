"""The command ``python -m hw.explore``."""

import argparse
import json
import signal
import sys
from pathlib import Path

from sw.errors import CompileError

from ..build.plan import OptionError
from . import OUTPUTS, explore
from .options import Options
from .result import table

EXAMPLES = """examples:
  python -m hw.explore --board ice40                        the most frames/s of the default network
  python -m hw.explore --board ice40 --frames-per-second 300   the smallest array that gives 300 frames/s
  python -m hw.explore --builds 0                           by exact cycles and estimated cells alone, in seconds
  python -m hw.explore --board ulx3s-85f --builds 16 --seeds 4 --scheduler tcp://HOST:8786
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """Say what is wrong in one line, as for any other bad input."""
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def _parser():
    usual = Options()
    parser = _Parser(
        prog="hw.explore", description="Search for the array of a network on a board: by exact cycles and estimated "
        "cells, then by place and route of the best.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--board", default=usual.board, help="name of the board (default: %(default)s)")
    parser.add_argument("--network", metavar="NAME|FOLDER", help="a network of the zoo, or a folder with one")
    for name, what in (("rows", "output channels"), ("columns", "output pixels"), ("lanes", "synapses of each")):
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"only arrays with so many {what} at once")
    parser.add_argument("--frames-per-second", type=float, metavar="R",
                        help="search for the fewest logic cells that give so many (default: the most frames/s)")
    parser.add_argument("--clock-mhz", type=float, metavar="MHZ", help="this clock alone (default: the highest met)")
    parser.add_argument("--logic-share", type=float, metavar="SHARE",
                        help="try arrays up to this share of the part's logic cells (default: the family's)")
    parser.add_argument("--builds", type=int, default=usual.builds, metavar="K",
                        help="arrays to place and route; 0 estimates only (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=usual.seeds, metavar="N",
                        help="placer seeds of each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=usual.seed, metavar="N", help="the first (default: %(default)s)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, default=usual.jobs, metavar="N",
                       help="builds at a time, each in a process of its own (default: %(default)s)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="build on the workers of this Dask scheduler")
    parser.add_argument("--limit-minutes", type=float, metavar="N", help="stop a tool after so long (default: its own)")
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="output folder; what is built there is not built again (default: "
                             "build/explore-BOARD-NETWORK)")
    parser.add_argument("--json", action="store_true", help="print the result on standard output, and nothing else")
    return parser


def main(arguments=None):
    """Run the command and return its exit code: 0, 1 if no build gives what was asked for, 2 for bad input."""
    given = vars(_parser().parse_args(arguments))
    as_json = given.pop("json")
    # A process that is told to end stops its builds too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    messages = sys.stderr if as_json else sys.stdout
    try:
        result, out = explore(Options(**given), stream=messages)
    except (OptionError, CompileError, OSError) as error:
        print(f"hw.explore: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hw.explore: stopped; the same command goes on behind the builds that ended", file=sys.stderr)
        return 130
    print(json.dumps(result, indent=1) if as_json else _summary(result, out))
    if result["best"] is None and given["builds"]:
        print(f"hw.explore: none of {len(result['builds'])} builds gives what was asked for; the logs are in "
              f"{out / 'logs'}", file=sys.stderr)
        return 1
    return 0


def _summary(result, out):
    """The front of the estimates or the table of the builds, and the winner's command."""
    if result["builds"]:
        header, rows = table(result)
    else:
        header = ("array", "drain", "buffers", "cycles", f"frames/s at {result['clock_mhz']:g} MHz",
                  "logic cells, estimated", "block RAMs")
        rows = [_front_row(each) for each in result["front"]]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    if result["best"]:
        lines += ["", result["best"]["command"]]
    return "\n".join([*lines, f"written to {out}: {', '.join(OUTPUTS)}"])


def _front_row(candidate):
    array, needs = candidate["array"], candidate["cells_estimated"]
    return (f"{array['rows']} x {array['columns']} x {array['lanes']}", str(array["drain"]),
            str(array["window_buffers"]), f"{candidate['cycles_per_frame']:,}",
            f"{candidate['frames_per_second']:,.0f}", f"{needs['logic_cells']:,}", f"{needs['block_rams']:,}")


if __name__ == "__main__":
    sys.exit(main())

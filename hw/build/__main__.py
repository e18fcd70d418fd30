"""The command ``python -m hw.build``."""

import argparse
import json
import sys
import traceback
from pathlib import Path

from sw import zoo
from sw.errors import CompileError

from ..boards import BOARDS
from ..tools import ToolError
from . import build, check
from .plan import OptionError, Options
from .weights_only import replace_weights

EXAMPLES = """examples:
  python -m hw.build --board ice40                   the default network for the iCEBreaker
  python -m hw.build --board ice40-hx8k --check      does it fit, and how many cycles does a frame take
  python -m hw.build --rows 8 --columns 3 --json     a given array; the report on standard output
  python -m hw.build --network mlp-fashion --engines 2
                                                     two arrays in a row, each with a part of the layers
  python -m hw.build --weights-only --network mine --out build/ice40-cnn-fashion
                                                     other weights in a finished build, in seconds
"""


CELL_TITLES = {"logic_cells": "logic cells", "block_rams": "block RAMs", "large_rams": "large RAMs"}


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        """Say what is wrong in one line, as for any other bad input."""
        self.exit(2, f"{self.prog}: {message}; see --help\n")


def _parser():
    parser = _Parser(
        prog="hw.build", description="Build a bitstream of a trained network, with a report.", epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--board", default="ice40", help="name of the board (default: ice40)")
    parser.add_argument("--network", metavar="NAME|FOLDER", help="a network of the zoo, or a folder with one")
    for name, what in (("rows", "output channels"), ("columns", "output pixels"), ("lanes", "synapses of each")):
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{what} at once (default: the fastest that fits)")
    for name, what in (("drain", "rows that leave the array in a cycle"),
                       ("window-buffers", "sets of registers for the image's windows, 1 or 2")):
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{what}; with --rows, --columns and --lanes")
    parser.add_argument("--engines", type=int, default=1, metavar="N",
                        help="engines in a row, each with a part of the layers (default: 1)")
    parser.add_argument("--popcount-stages", type=int, metavar="N",
                        help="registers between the adders of a popcount (default: as many as the clock needs)")
    parser.add_argument("--clock-mhz", type=float, metavar="MHZ", help="the engine's clock (default: the board's)")
    parser.add_argument("--seed", type=int, metavar="N", help="place and route's first seed (default: 1)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="output folder (default: build/BOARD-NETWORK)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="only say whether it fits, and the cycles: no synthesis")
    how.add_argument("--weights-only", action="store_true",
                     help="put the network into the finished build in the output folder: no place and route")
    parser.add_argument("--json", action="store_true", help="print the report on standard output, and nothing else")
    parser.add_argument("--list-boards", action="store_true", help="list the boards and stop")
    parser.add_argument("--list-networks", action="store_true", help="list the zoo's networks and stop")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more, and show where an error came from")
    return parser


def main(arguments=None):
    """Run the command and return its exit code: 0, 1 if a tool failed, 2 for bad input."""
    options = _parser().parse_args(arguments)
    if options.list_boards:
        return _list_boards()
    if options.list_networks:
        return _list_networks()
    messages = sys.stderr if options.json else sys.stdout
    wanted = Options(
        board=options.board, network=options.network, rows=options.rows, columns=options.columns, lanes=options.lanes,
        drain=options.drain, window_buffers=options.window_buffers, popcount_stages=options.popcount_stages,
        engines=options.engines, clock_mhz=options.clock_mhz, seed=options.seed, out=options.out,
    )
    try:
        if options.check:
            report, out = check(wanted, stream=messages), None
        else:
            way = replace_weights if options.weights_only else build
            report, out = way(wanted, stream=messages, verbose=options.verbose)
    except (OptionError, CompileError, ToolError, OSError) as error:
        if options.verbose:
            traceback.print_exc()
        print(f"hw.build: {error}", file=sys.stderr)
        return 1 if isinstance(error, ToolError) else 2
    except KeyboardInterrupt:
        print("hw.build: stopped", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print(_summary(report, out))
    return 0


def _list_boards():
    for board in BOARDS.values():
        part = board.part
        print(
            f"{board.name:17} {board.title}: {part.name} {board.package}, {part.logic_cells:,} logic cells, "
            f"{part.block_rams} block RAMs, {part.large_rams} large RAMs, {board.clock_mhz:g} MHz"
        )
    return 0


def _list_networks():
    for name in zoo.names():
        graph = zoo.load(name).graph
        accuracy = graph.metadata["accuracy"]
        height, width, channels = graph.inputs.shape
        note = ", the default" if name == zoo.default() else ""
        print(
            f"{name:20} {height} x {width} x {channels} pixels of {graph.inputs.bits} bits, "
            f"{100 * accuracy['integer']:.2f} % of {accuracy['images']:,} test images right{note}"
        )
    return 0


def _arrays(report):
    """A line for the array, or for each engine's with its layers and cycles."""
    if report["array"]:
        return [f"  array       {_shape(report['array'])}"]
    return [
        f"  engine {number}    {_shape(engine['array'])}: {', '.join(engine['layers'])}; {engine['cycles']:,} cycles, "
        f"{100 * engine['share_of_slowest']:.0f} % of the slowest"
        for number, engine in enumerate(report["engines"], start=1)]


def _shape(array):
    return f"{array['rows']} rows x {array['columns']} columns x {array['lanes']} lanes"


def _summary(report, out):
    """The report in a few lines."""
    clock = report["clock_mhz_constraint"]
    held = report["held_up_by_post_processing"]
    causes = ", ".join(f"{cause.replace('_', ' ')} {cycles:,}"
                       for cause, cycles in report["cycles_by_cause"].items() if cycles)
    lines = [
        f"{report['network']} on {report['board']} ({report['board_title']}, {report['part']})",
        *_arrays(report),
        f"  synapses    {report['synapses_per_cycle']:,} a cycle, {100 * report['array_utilisation']:.1f} % useful",
        f"  cycles      {report['cycles_per_frame']:,} a frame, latency {report['latency_cycles']:,}",
        f"  of these    {causes}",
        *([f"  held up     {', '.join(held)} by post-processing"] if held else []),
        f"  speed       {report['frames_per_second']:,.0f} frames/s at {clock:g} MHz",
        f"  serial link {report['link']['frames_per_second']:,.0f} frames/s",
    ]
    if report["accuracy"]:
        accuracy = report["accuracy"]
        lines.append(f"  accuracy    {100 * accuracy['integer']:.2f} % of {accuracy['images']:,} test images")
    if report["kind"] == "check":
        cells, available, note = report["cells_estimated"], report["cells_available"], " (estimated)"
    else:
        cells, available, note = report["cells"]["used"], report["cells"]["available"], ""
    for kind in report["cells_available"]:
        if available.get(kind):
            mark = note if kind == "logic_cells" else ""
            lines.append(f"  {CELL_TITLES[kind]:11} {cells[kind]:,} of {available[kind]:,}{mark}")
    if report["kind"] == "check":
        lines.append("it fits; build it by leaving out --check")
    else:
        clock_line = f"  clock       {clock:g} MHz needed, nextpnr estimates {report['clock_mhz_estimate']:.2f} MHz"
        lines.insert(6 + len(_arrays(report)) + bool(held), clock_line)
        if "built_for" in report:
            lines.append(f"  placed      with the weights of {report['built_for']}; these were put in afterwards")
        lines.append(f"written to {out}: {report['files']['bitstream']}, {report['files']['page']}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

"""The command ``python -m hw.bench``."""

import argparse
import json
import signal
import sys
from pathlib import Path

from sw.files import write_atomic

from ..tools import ROOT
from .document import as_document, write_document
from .rows import ROWS
from .runner import measure_rows
from .tables import make_tables

__all__ = ["main"]

#: What is written to the output folder at the end of every run.
DATA = "bench.json"


def _parser():
    parser = argparse.ArgumentParser(
        prog="hw.bench", description="Measure designs, bare arrays and peers with the same tools, and print tables.",
        epilog="A row is measured again only if its sources, its network, or the tools have changed.")
    parser.add_argument("--only", action="append", metavar="NAME", help="measure this row alone; may be repeated")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), metavar="DIR",
                        help="folder for all files (default: build/bench)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="rows at a time, 1 or 2 (default: 1)")
    parser.add_argument("--write-docs", action="store_true", help="write docs/performance.md, its data and its plot")
    parser.add_argument("--list", action="store_true", help="list the rows and stop")
    return parser


def main(arguments=None):
    """Run the command and return its exit code: 0, 1 if a row could not be measured, 2 for bad input."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        for row in ROWS.values():
            print(f"{row.name:20} {row.kind:7} on {row.board}")
        return 0
    if options.jobs not in (1, 2):
        parser.error(f"--jobs must be 1 or 2, not {options.jobs}: a row takes a core and gigabytes of memory")
    if unknown := [name for name in options.only or () if name not in ROWS]:
        parser.error(f"no row {unknown[0]!r}; there are {', '.join(ROWS)}")
    if options.only and options.write_docs:
        parser.error("--write-docs needs all rows; leave out --only")
    rows = [row for row in ROWS.values() if not options.only or row.name in options.only]
    try:
        results = measure_rows(rows, options.out, jobs=options.jobs)
    except KeyboardInterrupt:
        print("hw.bench: stopped; what was measured is kept", file=sys.stderr)
        return 130
    write_atomic(options.out / DATA, json.dumps(as_document(results), indent=1) + "\n")
    for table in make_tables(results):
        print(f"\n{table.text()}")
    lost = [result for result in results if "reason" in result]
    for result in lost:
        print(f"\n{result['name']}: {result['reason']}")
    print(f"\nwritten to {options.out / DATA}")
    if options.write_docs:
        write_document(results, ROOT / "docs")
        print("written to docs/performance.md")
    return 1 if lost else 0


if __name__ == "__main__":
    # Asked to end, it stops its tools as if interrupted by hand.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())

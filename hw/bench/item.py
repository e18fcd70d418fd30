"""``python -m hw.bench.item NAME FOLDER``: measure one row, in a process that can be stopped."""

import importlib
import json
import signal
import sys
from pathlib import Path

from sw.errors import CompileError
from sw.files import write_atomic

from ..tools import ToolError
from .rows import ROWS

__all__ = ["MEASUREMENTS", "VALUES", "main"]

#: Module and function that measure a kind of row: of the row and a folder.
MEASUREMENTS = {
    "design": ("hw.bench.designs", "measure_design"),
    "array": ("hw.bench.arrays", "measure_array"),
    "peer": ("hw.bench.da4ml_peer", "measure_peer"),
}

#: The file that is written.
VALUES = "values.json"


def main(arguments=None):
    """Run the command and return its exit code: 0, or 1 if a tool failed."""
    name, folder = sys.argv[1:] if arguments is None else arguments
    row, folder = ROWS[name], Path(folder)
    # The tools under way are stopped then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    module, function = MEASUREMENTS[row.kind]
    try:
        values = getattr(importlib.import_module(module), function)(row, folder)
    except (ToolError, CompileError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    write_atomic(folder / VALUES, json.dumps(values, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

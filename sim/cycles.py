"""``python -m sim.cycles FOLDER --network NAME``: cycles of a compiled network, counted in simulation.

``FOLDER`` holds a program as ``python -m hw.build`` writes it, beside the bitstream. Test images of the network go
through the Verilator model of its accelerator back to back; their scores must be the reference's.
"""

import argparse
import json
import sys
from pathlib import Path

from sim.cycles_bench import RECORDS
from sim.job import load_records
from sim.prepare import program_job
from sim.simulate import FOLDER, simulate
from sw import zoo
from sw.errors import CompileError
from sw.pipeline_file import load_design

__all__ = ["count_cycles", "main"]


def count_cycles(program, graph, images, *, folder=FOLDER):
    """Simulate ``images`` (``uint8 (N, H, W, C)``, at least three) and return what was counted, for JSON.

    ``frames`` is their number; ``cycles_per_frame`` lists the cycles between the results' last bytes, the first frame's
    left out, which waits for its input alone; ``latency_cycles`` is the first frame's, from its last input transfer to
    its result's last byte. Raises ``RuntimeError`` if a result is not the reference's.
    """
    job = program_job(program, graph, images)
    results = simulate(job, name="cycles", tests=".*", module="sim.cycles_bench", folder=folder)
    records = load_records(results.parent / "cycles", RECORDS)
    return {
        "frames": len(records),
        "cycles_per_frame": [after.sent - before.sent for before, after in zip(records, records[1:], strict=False)],
        "latency_cycles": records[0].sent - records[0].arrived,
    }


def main(arguments=None):
    """Run the command and return its exit code: 0, 1 if the simulation failed, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="sim.cycles", description="Count a compiled network's cycles in simulation.")
    parser.add_argument("program", type=Path, metavar="FOLDER",
                        help="folder with a program, or with those of engines in a row")
    parser.add_argument("--network", metavar="NAME|FOLDER", required=True, help="the network that it was compiled from")
    parser.add_argument("--frames", type=int, default=8, metavar="N", help="test images, at least 3 (default: 8)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the counts as JSON there, not to the output")
    options = parser.parse_args(arguments)
    if options.frames < 3:
        parser.error(f"--frames must be at least 3, not {options.frames}")
    try:
        entry = zoo.load(options.network)
        images = entry.images[:options.frames]
        if len(images) < options.frames:
            parser.error(f"--frames must be at most {len(images)}, the network's test images, not {options.frames}")
        counted = json.dumps(count_cycles(load_design(options.program), entry.graph, images))
    except (CompileError, OSError) as error:
        print(f"sim.cycles: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"sim.cycles: {error}", file=sys.stderr)
        return 1
    if options.out is None:
        print(counted)
    else:
        options.out.write_text(counted + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

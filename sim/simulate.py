"""Build the bench of a job and run cocotb tests on it, in one call."""

from pathlib import Path

from sim.bench import Bench
from sim.job import save_job
from sim.verilate import build, run

__all__ = ["FOLDER", "simulate"]

#: Where models and jobs are kept between runs; a model of the same design is not built again.
FOLDER = Path(__file__).resolve().parent.parent / "build" / "sim"


def simulate(job, *, name, tests, module="sim.frames_bench", folder=FOLDER, built_from=None, device=None, sources=()):
    """Run the cocotb tests of ``module`` whose names match ``tests`` (a regular expression).

    ``built_from`` is the program of the hardware where that is not the job's; ``device`` and ``sources`` are those of
    ``sim.bench.Bench`` and ``sim.verilate.build``. Returns the path of the xUnit
    results; the job's records are in the folder ``name`` beside it. Raises ``RuntimeError`` if a test fails.
    """
    share = 1
    while share < len(job.payloads):
        share *= 2
    bench = Bench(built_from or job.program, frames=share, device=device)
    runner, target = build(bench, name="bench", folder=folder, sources=sources)
    environment = save_job(target / name, job)
    return run(runner, target, name="bench", module=module, environment=environment, filter=tests)

"""What a worker does: one array at one clock through synthesis, place and route."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from sw import zoo
from sw.compile import compile_graph
from sw.errors import CompileError

from ..boards import BOARDS
from ..build.plan import Plan
from ..build.progress import Progress
from ..build.stages import generate_design, place_and_route, synthesise
from ..flow import SYNTHESIS_TIMEOUT, DoesNotFit
from ..tools import ToolError
from .digest import sources_digest
from .job import Trial

__all__ = ["run_job"]


def run_job(job):
    """Build a ``Job`` in a temporary folder and return its ``Trial``. What the tools do wrong is part of it.

    Raises ``RuntimeError`` where the sources are not those that sent the job.
    """
    if job.digest != sources_digest(BOARDS[job.board]):
        raise RuntimeError("this worker has other sources or tools than the one that sent the job; install the same")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="popforge-") as name:
        folder, logs = Path(name) / "design", Path(name) / "logs"
        for path in (folder, logs, Path(name) / "network"):
            path.mkdir()
        for file, contents in job.network:
            (Path(name) / "network" / file).write_bytes(contents)
        board, entry = BOARDS[job.board], zoo.load(Path(name) / "network")
        program = compile_graph(entry.graph, job.engine, shared_store=board.flash is not None)
        trial = Trial(job.engine, job.clock_mhz, program.schedule.cycles_per_frame, board.part.family.clock_margin)
        try:
            trial = _place(Plan(board, job.clock_mhz, entry, program), job, trial, folder, logs)
        except (ToolError, CompileError) as error:
            trial = replace(trial, failure=str(error), too_large=isinstance(error, DoesNotFit))
        texts = {path.name: path.read_text(errors="replace") for path in sorted(logs.iterdir())}
        # The folder is gone when a reader sees these: he finds the logs where the store puts them.
        problems = {seed: text.replace(f"{logs}/", f"logs/{job.name}/") for seed, text in trial.problems.items()}
        failure = trial.failure and trial.failure.replace(f"{logs}/", f"logs/{job.name}/")
    return replace(trial, failure=failure, problems=problems, logs=texts, seconds=round(time.monotonic() - start, 1))


def _place(plan, job, trial, folder, logs):
    """The trial with what each seed gives: one that hangs says nothing of the next."""
    estimates, problems, cells = {}, {}, {}
    generate_design(plan, folder)
    synthesise(plan, folder, logs, Progress(["synthesise"], None),
               limit=min(SYNTHESIS_TIMEOUT, job.limit or SYNTHESIS_TIMEOUT))
    for seed in job.seeds:
        try:
            placement = place_and_route(plan, folder, logs / f"nextpnr-seed{seed}.log", seed=seed, tries=1,
                                        limit=job.limit)
        except DoesNotFit:
            raise
        except ToolError as error:
            problems[seed] = str(error)
        else:
            estimates[seed] = placement.clock_mhz
            cells = {kind: used for kind, (used, _) in placement.cells.items()}
    failure = None if estimates else f"no seed was placed: {next(iter(problems.values()))}"
    return replace(trial, estimates=estimates, problems=problems, cells=cells, failure=failure)

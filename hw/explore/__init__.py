"""The search for an array: by exact cycles and estimated cells first, then by place and route of the best."""

import json
import sys
import tempfile
import time
from importlib.resources import files

from sw.files import write_atomic

from ..build.plan import OptionError
from ..build.progress import Progress
from .candidates import find_candidates
from .options import make_goal, make_setting
from .result import make_result, table

__all__ = ["OUTPUTS", "explore"]

STEPS = ("load network", "estimate arrays")
#: What a search writes to its folder, beside ``builds`` and ``logs``.
OUTPUTS = ("explore.json", "explore.svg", "explore.png", "explore.html")


def explore(options, *, stream=None):
    """Search as ``hw.explore.options.Options`` say, and return the result, as ``explore.json`` has it, and its folder.

    Progress goes to ``stream``. Builds that end are written to the folder at once, and are not built again by a later
    search with the same sources; the result is written at the end.

    Raises ``OptionError`` and ``sw.errors.CompileError`` for what cannot be searched. A build that fails is part of the
    result.
    """
    progress = Progress(STEPS, stream)
    setting = make_setting(options, progress)
    with progress.step("estimate arrays"):
        candidates = find_candidates(
            setting.entry.graph, setting.board, wanted=(options.rows, options.columns, options.lanes),
            share=options.logic_share, tell=_counter(progress))
    goal = make_goal(setting, candidates)
    done = _build(setting, goal, stream) if options.builds else []
    result = make_result(setting, candidates, done, goal)
    _write(result, setting.out)
    return result, setting.out


def _counter(progress):
    """Says how far the estimates are, every ten seconds."""
    begin = last = time.monotonic()

    def tell(number, total):
        nonlocal last
        now = time.monotonic()
        if now - last > 10:
            last = now
            left = (now - begin) / number * (total - number)
            progress.note(f"{number:,} of {total:,} shapes, at most {left:.0f} s left")

    return tell


def _build(setting, goal, stream):
    # Imported here so that a search by estimates alone, which needs no Amaranth, takes no time to start.
    from .search import search
    from .store import Store

    def tell(line):
        if stream is not None:
            print(line, file=stream, flush=True)

    options, executor = setting.options, _executor(setting.options)
    try:
        with tempfile.TemporaryDirectory() as folder:
            network = setting.network_files(folder)
        tell(f"placing up to {options.builds} arrays, {executor.slots} at a time")
        return search(goal, setting.make_job(network), executor, Store(setting.out), tell)
    finally:
        executor.close()


def _executor(options):
    from .executors import DaskExecutor, LocalExecutor

    if options.scheduler is None:
        return LocalExecutor(options.jobs)
    try:
        return DaskExecutor(options.scheduler)
    except ImportError:
        raise OptionError(f"--scheduler needs Dask, which is not installed beside {sys.executable}: pip install "
                          f"'popforge[explore]'") from None
    except (OSError, ValueError) as error:
        raise OptionError(f"no Dask scheduler answers at {options.scheduler}: {error}") from None


def _write(result, out):
    from jinja2 import Environment, StrictUndefined

    from .plot import pareto_plot

    svg, png = pareto_plot(result)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files(__package__) / "page.html").read_text())
    header, rows = table(result)
    contents = (json.dumps(result, indent=1) + "\n", svg, png,
                template.render(result=result, plot=svg, header=header, rows=rows))
    for name, content in zip(OUTPUTS, contents, strict=True):
        write_atomic(out / name, content)

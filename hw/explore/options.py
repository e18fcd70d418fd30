"""What to search, and what is settled before the search starts."""

from dataclasses import dataclass
from pathlib import Path

from sw.graph_file import save_graph

from ..build.plan import OptionError, board_and_clock, load_network
from .clocks import legal_clocks
from .digest import sources_digest
from .goals import Fastest, Smallest
from .job import Job

__all__ = ["Options", "Setting", "make_goal", "make_setting"]


@dataclass(frozen=True)
class Options:
    """What to search; ``board``, ``network`` and the array's dimensions as in ``hw.build.plan.Options``.

    ``frames_per_second`` are wanted of the fewest logic cells; ``None`` asks for as many as there can be. ``clock_mhz``
    fixes the clock. ``builds`` arrays are placed, with ``seeds`` seeds from ``seed`` on, ``jobs`` at a time, or on the
    Dask ``scheduler``; none with 0. A tool runs for ``limit_minutes`` at most. ``logic_share`` is the share of the
    part's logic cells up to which an array is tried, the family's unless given.
    """

    board: str = "ice40"
    network: str | None = None
    rows: int | None = None
    columns: int | None = None
    lanes: int | None = None
    frames_per_second: float | None = None
    clock_mhz: float | None = None
    logic_share: float | None = None
    builds: int = 4
    seeds: int = 2
    seed: int = 1
    jobs: int = 1
    scheduler: str | None = None
    limit_minutes: float | None = None
    out: Path | None = None

    def check(self):
        """Raise ``OptionError`` for a number that is out of its range."""
        for name, least in (("builds", 0), ("seeds", 1), ("jobs", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise OptionError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("frames_per_second", "limit_minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OptionError(f"{name.replace('_', ' ')} must be above 0, not {value:g}")
        if self.logic_share is not None and not 0 < self.logic_share <= 1:
            raise OptionError(f"logic share must be above 0 and at most 1, not {self.logic_share:g}")


@dataclass(frozen=True)
class Setting:
    """A ``Board``, the clock in MHz to begin with, a ``sw.zoo.ZooEntry``, and the output folder."""

    options: Options
    board: object
    clock_mhz: float
    entry: object
    out: Path

    @property
    def clocks(self):
        """The clocks in MHz to choose from, rising."""
        return legal_clocks(self.board) if self.options.clock_mhz is None else [self.clock_mhz]

    def make_job(self, files):
        """Return the function that makes a candidate's ``Job`` at a clock; ``files`` are of ``network_files``."""
        options, digest = self.options, sources_digest(self.board)
        limit = None if options.limit_minutes is None else 60 * options.limit_minutes
        seeds = tuple(range(options.seed, options.seed + options.seeds))

        def make(candidate, clock_mhz):
            return Job(self.board.name, files, candidate.engine, clock_mhz, seeds, limit, digest)

        return make

    def network_files(self, folder):
        """The files of the network, as a ``Job`` has them; they are written to ``folder`` on the way."""
        return tuple((path.name, path.read_bytes()) for path in save_graph(self.entry.graph, folder))


def make_setting(options, progress):
    """Return the ``Setting``. Raises ``OptionError`` and ``sw.errors.CompileError``."""
    options.check()
    board, clock_mhz = board_and_clock(options)
    entry = load_network(options, progress)
    out = options.out or Path("build") / f"explore-{board.name}-{entry.graph.name}"
    return Setting(options, board, clock_mhz, entry, Path(out))


def make_goal(setting, candidates):
    """Return what the options ask for. Raises ``sw.errors.FitError`` if no array is fast enough."""
    options = setting.options
    if options.frames_per_second is None:
        fixed = options.clock_mhz is not None
        return Fastest(candidates, builds=options.builds, clock_mhz=setting.clock_mhz,
                       clocks=() if fixed else setting.clocks)
    return Smallest(candidates, frames_per_second=options.frames_per_second, builds=options.builds,
                    clock_mhz=setting.clock_mhz, clocks=setting.clocks)

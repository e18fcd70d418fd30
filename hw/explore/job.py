"""One array at one clock: what is sent to a worker, and what comes back."""

from dataclasses import dataclass, field, replace

from sw.engine import Engine

from ..boards import BOARDS

__all__ = ["Job", "Trial", "failed"]


@dataclass(frozen=True)
class Job:
    """What to build: ``network`` are the files of a graph's folder, ``((name, contents), ...)``.

    ``clock_mhz`` is one that the board's PLL makes, each of ``seeds`` is placed, and a tool runs for ``limit`` seconds
    at most, its own limit if ``None``. ``digest`` is that of the sources which sent it.
    """

    board: str
    network: tuple[tuple[str, bytes], ...]
    engine: Engine
    clock_mhz: float
    seeds: tuple[int, ...]
    limit: float | None
    digest: str

    @property
    def name(self):
        """Array and clock, as a file's name."""
        engine = self.engine
        return (f"{engine.rows}x{engine.columns}x{engine.lanes}-drain{engine.drain}-buffers{engine.window_buffers}-"
                f"{self.clock_mhz:g}mhz")

    def with_seeds(self, seeds):
        """The same with other seeds."""
        return replace(self, seeds=seeds)


@dataclass(frozen=True)
class Trial:
    """What became of a job.

    ``estimates`` are nextpnr's of the clock in MHz, by seed; ``problems`` what became of the seeds that have none.
    ``cells`` are used after packing, by kind. ``failure`` says why nothing was placed, for lack of cells if
    ``too_large``; else it is ``None``. ``logs`` are the tools' by name, ``margin`` is the family's ``clock_margin``.
    """

    engine: Engine
    clock_mhz: float
    cycles: int
    margin: float
    estimates: dict[int, float] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    cells: dict[str, int] = field(default_factory=dict)
    failure: str | None = None
    too_large: bool = False
    seconds: float = 0.0
    logs: dict[str, str] = field(default_factory=dict)

    @property
    def seed(self):
        """The seed with the highest estimate, ``None`` without any."""
        return max(self.estimates, key=self.estimates.get, default=None)

    @property
    def reached_mhz(self):
        """The clock that the best seed bears, the family's margin taken off; 0 without any."""
        return max(self.estimates.values(), default=0.0) / self.margin

    @property
    def meets_clock(self):
        """Whether the best seed bears the clock that was asked for."""
        return self.reached_mhz >= self.clock_mhz

    @property
    def frames_per_second(self):
        """At the clock asked for, 0 if it is not met."""
        return 1e6 * self.clock_mhz / self.cycles if self.meets_clock else 0.0

    def with_earlier(self, earlier):
        """This and the seeds of an earlier trial of the same array at the same clock."""
        estimates = earlier.estimates | self.estimates
        return replace(self, estimates=estimates, problems=earlier.problems | self.problems,
                       cells=self.cells or earlier.cells, seconds=earlier.seconds + self.seconds,
                       failure=None if estimates else self.failure)


def failed(job, cycles, reason):
    """The ``Trial`` of a job that came to nothing, for a reason outside the tools."""
    return Trial(job.engine, job.clock_mhz, cycles, BOARDS[job.board].part.family.clock_margin, failure=reason)

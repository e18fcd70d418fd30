"""What is searched for: the next arrays and clocks to build, from what the builds so far gave.

A goal has ``start(slots)`` and ``after(trial)``, which return steps, ``(Candidate, clock in MHz)``, to build next, and
``best(trials)``, the one that wins or ``None``. None of its steps comes twice.
"""

from sw.errors import FitError

from .clocks import highest_up_to, lowest_from

__all__ = ["Fastest", "Smallest"]

#: Clocks at which one array is built at most.
CLOCKS_OF_ARRAY = 4
#: Builds that come to nothing are replaced by others, up to this many times those asked for.
ATTEMPTS = 2
#: The estimate of logic cells is never further off.
MARGIN = 1.1


class Fastest:
    """The most frames/s: the arrays with the fewest cycles a frame, each at the highest clock that it bears.

    ``clock_mhz`` is the clock of each array's first build; ``clocks``, rising, are those that may follow, none for that
    one alone. ``builds`` arrays are placed.
    """

    def __init__(self, candidates, *, builds, clock_mhz, clocks=()):
        # Of each shape one: the others differ in what leaves the array, not in what makes it slow.
        order = {}
        for candidate in sorted(candidates, key=lambda each: (each.cycles, each.needs.logic_cells)):
            order.setdefault(candidate.shape, candidate)
        self._order = list(order.values())
        self._clock_mhz, self._clocks = clock_mhz, clocks
        self._builds, self._attempts = builds, ATTEMPTS * builds
        self._begun = {}
        self._best = 0.0

    def start(self, slots):
        """See the module."""
        return [step for _ in range(self._builds) for step in self._another()]

    def after(self, trial):
        """See the module."""
        self._best = max(self._best, trial.frames_per_second)
        candidate, clocks = self._begun[trial.engine]
        if not trial.reached_mhz:
            return self._another() if len(clocks) == 1 else []
        target = highest_up_to(self._clocks, trial.reached_mhz)
        met = trial.clock_mhz if trial.meets_clock else 0.0
        if (target is None or target in clocks or len(clocks) == CLOCKS_OF_ARRAY or target <= met
                or 1e6 * target / candidate.cycles <= self._best):
            return []
        clocks.append(target)
        return [(candidate, target)]

    def best(self, trials):
        """See the module."""
        placed = [trial for trial in trials if trial.meets_clock]
        return max(placed, key=lambda each: (each.frames_per_second, -each.cells["logic_cells"]), default=None)

    def _another(self):
        number = len(self._begun)
        if number >= min(len(self._order), self._attempts):
            return []
        candidate = self._order[number]
        self._begun[candidate.engine] = candidate, [self._clock_mhz]
        return [(candidate, self._clock_mhz)]


class Smallest:
    """The fewest logic cells at ``frames_per_second`` or more, each array at the lowest clock that gives them.

    ``clock_mhz`` is the clock that an array is taken to bear until one bore more; ``clocks``, rising, are all that
    there are, ``(clock_mhz,)`` for that one alone.

    Raises ``FitError`` if no clock makes any array as fast.
    """

    def __init__(self, candidates, *, frames_per_second, builds, clock_mhz, clocks):
        self._wanted = frames_per_second
        self._attempts, self._builds = ATTEMPTS * builds, builds
        clocked = [(each, lowest_from(clocks, each.cycles * frames_per_second / 1e6)) for each in candidates]
        self._clock_of = {each.engine: clock for each, clock in clocked if clock is not None}
        if not self._clock_of:
            fastest = min(candidates, key=lambda each: each.cycles)
            raise FitError(
                f"no array gives {frames_per_second:,.0f} frames/s: of those that fit by estimate the fastest, "
                f"{fastest.engine}, gives {1e6 * clocks[-1] / fastest.cycles:,.0f} at {clocks[-1]:g} MHz; ask for "
                f"that, or use a larger part")
        able = [each for each in candidates if each.engine in self._clock_of]
        self._left = sorted(able, key=lambda each: (each.needs.logic_cells, each.cycles))
        # Where none is fast enough at that clock, the first to try is the one that needs the least above it.
        self._reach = max(clock_mhz, min(self._clock_of.values()))
        self._best = None
        self._placed = 0
        self._met = set()

    def start(self, slots):
        """See the module."""
        return [step for _ in range(min(slots, self._builds)) for step in self._another()]

    def after(self, trial):
        """See the module."""
        self._reach = max(self._reach, trial.reached_mhz)
        if trial.reached_mhz:
            self._placed += 1
        if trial.meets_clock:
            cells = trial.cells["logic_cells"]
            self._best = cells if self._best is None else min(self._best, cells)
            # What follows of this shape has more cells.
            self._met.add((trial.engine.rows, trial.engine.columns, trial.engine.lanes))
        return self._another() if self._placed < self._builds else []

    def best(self, trials):
        """See the module."""
        enough = [trial for trial in trials if trial.frames_per_second >= self._wanted]
        return min(enough, key=lambda each: (each.cells["logic_cells"], -each.frames_per_second), default=None)

    def _another(self):
        for candidate in self._left:
            if self._best is not None and candidate.needs.logic_cells > MARGIN * self._best:
                return []
            clock = self._clock_of[candidate.engine]
            if clock <= self._reach and self._attempts and candidate.shape not in self._met:
                self._left.remove(candidate)
                self._attempts -= 1
                return [(candidate, clock)]
        return []

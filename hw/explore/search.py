"""The search itself: steps of a goal become builds, and builds the next steps, until the goal has no more."""

import time
from collections import deque

from .job import failed

__all__ = ["search"]


def search(goal, make_job, executor, store, tell=lambda line: None):
    """Return ``[(job, trial), ...]`` of all steps of ``goal`` (``hw.explore.goals``) in the order in which they ended.

    ``make_job(candidate, clock_mhz)`` gives a step's ``Job``; those that ``store`` has are not built again, those of
    which it has some seeds are built for the others. ``executor`` is as in ``hw.explore.executors``, and left open.
    ``tell(line)`` is called for each build that ends.
    """
    steps, running, done, seconds = deque(goal.start(executor.slots)), {}, [], []
    begin = time.monotonic()
    while steps or running:
        while steps:
            candidate, clock = steps.popleft()
            job = make_job(candidate, clock)
            known = store.load(job)
            missing = job.seeds if known is None else tuple(
                seed for seed in job.seeds if seed not in known.estimates | known.problems)
            if known is not None and (known.too_large or not missing):
                done.append((job, known))
                tell(f"{_line(known)}, built before")
                steps.extend(goal.after(known))
                continue
            part = job.with_seeds(missing)
            running[part] = job, candidate, known
            executor.submit(part)
            tell(f"{candidate.engine}, drain {candidate.engine.drain}, {clock:g} MHz: to build")
        if running:
            part, outcome = executor.next()
            job, candidate, known = running.pop(part)
            trial = failed(job, candidate.cycles, outcome) if isinstance(outcome, str) else outcome
            if known is not None:
                trial = trial.with_earlier(known)
            store.save(job, trial)
            done.append((job, trial))
            seconds.append(trial.seconds)
            steps.extend(goal.after(trial))
            tell(f"{_line(trial)}, {_left(len(done), len(running) + len(steps), begin, len(seconds))}")
    return done


def _left(done, open_, begin, built):
    """How far the search is: builds done and under way or waiting, and how long these take if they are like the others.

    A goal may add further ones.
    """
    minutes = (time.monotonic() - begin) / built * open_ / 60
    return f"{done} done, {open_} to go" + (f", about {minutes:.0f} min" if open_ else "")


def _line(trial):
    """A trial in a line."""
    head = f"{trial.engine}, drain {trial.engine.drain}, {trial.clock_mhz:g} MHz"
    if trial.failure is not None:
        return f"{head}: {trial.failure}"
    seeds = ", ".join([*(f"seed {seed} {mhz:.1f} MHz" for seed, mhz in trial.estimates.items()),
                       *(f"seed {seed}: {problem}" for seed, problem in trial.problems.items())])
    speed = f"{trial.frames_per_second:,.0f} frames/s" if trial.meets_clock else "too slow for its clock"
    return f"{head}: {speed}, {trial.cells['logic_cells']:,} logic cells ({seeds})"

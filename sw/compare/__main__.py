"""``python -m sw.compare``: train methods under one budget, and write a table and a plot."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool

from tqdm import tqdm  # type: ignore[import-untyped]

from sw.command import run_command
from sw.compare.measure import Result
from sw.compare.options import listing, parse
from sw.compare.plan import Plan, make_plan
from sw.compare.plot import plot
from sw.compare.run import run_jobs
from sw.compare.table import as_json, as_markdown, counted, rows
from sw.files import write_atomic

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0; 1 when the integer reference differs from PyTorch, or a process was ended; 2 for input that it cannot use; 130
    when interrupted.
    """
    return run_command("sw.compare", lambda: _main(arguments),
                       "the same command goes on behind the last whole epochs")


def _main(arguments: list[str] | None) -> int:
    given = parse(arguments)
    if given.list:
        print(listing())
        return 0
    try:
        return _compare(given, shlex.join(["python", "-m", "sw.compare", *(sys.argv[1:] if arguments is None else
                                                                           arguments)]))
    except BrokenProcessPool:
        print("sw.compare: a process was ended from outside, for memory as a rule; give fewer --jobs, the same command "
              "goes on", file=sys.stderr)
        return 1


def _compare(given: argparse.Namespace, command: str) -> int:
    plan = make_plan(given)
    results: list[Result] = []
    threads = given.threads or max(1, len(os.sched_getaffinity(0)) // given.jobs)
    tqdm.write(f"{counted(len(plan.networks), 'network')}, {counted(len(plan.jobs), 'training')} of "
               f"{counted(plan.budget['epochs'], 'epoch')} of {counted(plan.images, 'image')} of {plan.data} on "
               f"{plan.device}")
    try:
        # One after the other, so that those before an interruption are kept.
        results.extend(run_jobs(plan.jobs, given.jobs, threads, progress=sys.stderr.isatty()))
    finally:
        if results:  # what there is, when interrupted too
            _write(given, plan, results, command)
    differ = sum(result.integers.scores_differ for result in results if result.integers is not None)
    if differ:
        print(f"sw.compare: {differ} scores of the integer reference differ from PyTorch's in integer mode; this is an "
              f"error of Popforge", file=sys.stderr)
    return 1 if differ else 0


def _write(given: argparse.Namespace, plan: Plan, results: Sequence[Result], command: str) -> None:
    found = rows(plan.networks, results)
    title = ", ".join([plan.data, counted(plan.images, "image"), counted(plan.budget["epochs"], "epoch"),
                       counted(len(plan.seeds), "seed")])
    svg, png = plot(found, title)
    for ending, content in (("json", as_json(plan, found, results, command)),
                            ("md", as_markdown(plan, found, results, command)), ("svg", svg), ("png", png)):
        write_atomic(given.out / f"comparison.{ending}", content)
    tqdm.write(f"wrote {given.out / 'comparison.md'}, .json, .svg and .png")


if __name__ == "__main__":
    sys.exit(main())

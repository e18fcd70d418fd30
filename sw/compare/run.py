"""All jobs of a comparison, a few at a time, with a line after each."""

import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from statistics import fmean

from tqdm import tqdm  # type: ignore[import-untyped]

from sw.compare.measure import Result, load_result, run_job
from sw.compare.plan import Job

__all__ = ["run_jobs", "seconds_left"]


def run_jobs(jobs: Sequence[Job], processes: int, threads: int, progress: bool = False) -> Iterator[Result]:
    """The results of all jobs, those that are finished first, then each as it ends, with a line of progress.

    One process is this one, and ``progress`` then shows a bar in an epoch; each of more has ``threads`` threads too.
    Raises ``CompileError`` and ``OSError`` of any job, and ``BrokenProcessPool`` when a process was ended; processes
    are then stopped, as when the caller leaves.
    """
    found = [(job, load_result(job)) for job in jobs]
    done = [result for _, result in found if result is not None]
    left = [job for job, result in found if result is None]
    if done:
        tqdm.write(f"{len(done)} of {len(jobs)} trainings are done before")
    yield from done
    for job, result in (_alone(left, threads, progress) if processes == 1 else _together(left, processes, threads)):
        done.append(result)
        left.remove(job)
        tqdm.write(_line(result, len(done), len(jobs), seconds_left(left, done, processes)))
        yield result


def _alone(jobs: Sequence[Job], threads: int, progress: bool) -> Iterator[tuple[Job, Result]]:
    for job in list(jobs):
        yield job, run_job(job, threads, progress)


def _together(jobs: Sequence[Job], processes: int, threads: int) -> Iterator[tuple[Job, Result]]:
    others = set(multiprocessing.active_children())
    # Not forked: PyTorch's threads do not survive that.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, initializer=_begin)
    try:
        running = {pool.submit(run_job, job, threads): job for job in jobs}
        for future in as_completed(running):
            yield running[future], future.result()
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """An interrupt is the parent's to handle, and no bars are shown here."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Instead of a semaphore, which a process that is terminated would leave behind.
    tqdm.set_lock(threading.RLock())


def seconds_left(left: Sequence[Job], done: Sequence[Result], processes: int) -> float:
    """An estimate for ``left``: what ``done`` took, of the same network, else of the same model, else of any."""
    total = 0.0
    for job in left:
        same = [each for each in done if each.model == job.model]
        alike = [each for each in same if each.method == job.method]
        total += fmean(each.seconds for each in alike or same or done)
    return total / max(1, min(processes, len(left)))


def _line(result: Result, count: int, total: int, left: float) -> str:
    integers = f"integer {result.integers.accuracy:.2%}" if result.integers else f"no integers ({result.problem})"
    remaining = f", about {left / 60:.0f} min left" if count < total else ""
    return (f"{count}/{total}: {result.model} {result.method} seed {result.seed}: {result.accuracy:.2%}, {integers}, "
            f"{result.seconds:.0f} s{remaining}")

"""Where builds run: in processes of this machine, or on a Dask cluster.

Either has ``slots``, the builds that run at a time; ``submit(job)``, which returns at once; ``next()``, which waits for
any job to end and returns it with its ``Trial``, or with the reason, a string, why there is none; and ``close()``,
which stops what still runs.
"""

import multiprocessing
import os
import queue
import signal
from collections import deque
from multiprocessing.connection import wait

from .run import run_job

__all__ = ["DaskExecutor", "LocalExecutor"]


#: A scheduler that has not answered after so long is not there.
CONNECT_SECONDS = 10


class LocalExecutor:
    """Runs ``slots`` jobs at a time, each in a process of its own: one that is killed takes no other with it."""

    def __init__(self, slots, work=run_job):
        self.slots = slots
        self._work = work
        self._waiting = deque()
        self._running = {}
        # Not forked: the tools' runtime has threads.
        self._context = multiprocessing.get_context("spawn")

    def submit(self, job):
        """See the module."""
        self._waiting.append(job)
        self._fill()

    def next(self):
        """See the module."""
        connection = wait(list(self._running))[0]
        job, process = self._running.pop(connection)
        try:
            outcome = connection.recv()
        except EOFError:
            outcome = None
        connection.close()
        process.join()
        if outcome is None:
            _end(process)
            outcome = f"the build's process ended with exit code {process.exitcode}, as if killed for lack of memory"
        self._fill()
        return job, outcome

    def close(self):
        """See the module."""
        self._waiting.clear()
        for _, process in self._running.values():
            _end(process)
            process.join()
        self._running.clear()

    def _fill(self):
        while self._waiting and len(self._running) < self.slots:
            job = self._waiting.popleft()
            reader, writer = self._context.Pipe(duplex=False)
            process = self._context.Process(target=_run, args=(writer, self._work, job))
            process.start()
            writer.close()
            self._running[reader] = job, process


def _run(connection, work, job):
    # A group of its own: its tools are stopped with it, and an interrupt is its parent's to handle.
    os.setsid()
    connection.send(_outcome(work, job))


def _outcome(work, job):
    try:
        return work(job)
    except Exception as error:  # an error of ours ends one build, not the search
        return f"{type(error).__name__}: {error}"


def _end(process):
    """Kill a process and the tools that it runs."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it has no group yet, or nothing is left of it
        process.kill()


class DaskExecutor:
    """Runs jobs on the workers of the Dask scheduler at ``address``, which have Popforge and its tools installed.

    Raises ``ImportError`` where Dask is not installed, and ``OSError`` if there is no scheduler.
    """

    def __init__(self, address, work=run_job):
        from distributed import Client

        self._client = Client(address, timeout=CONNECT_SECONDS)
        self._work = work
        self._ended = queue.SimpleQueue()
        self._jobs = {}

    @property
    def slots(self):
        """Threads of all workers; one where none is there yet."""
        return sum(self._client.nthreads().values()) or 1

    def submit(self, job):
        """See the module."""
        future = self._client.submit(_outcome, self._work, job, pure=False)
        self._jobs[future.key] = job, future
        future.add_done_callback(self._ended.put)

    def next(self):
        """See the module."""
        future = self._ended.get()
        job, _ = self._jobs.pop(future.key)
        try:
            return job, future.result()
        except Exception as error:  # Dask has many for a worker that is gone
            return job, f"the Dask worker failed: {type(error).__name__}: {error}"

    def close(self):
        """See the module."""
        self._client.cancel([future for _, future in self._jobs.values()])
        self._client.close()

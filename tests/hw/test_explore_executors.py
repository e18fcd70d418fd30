"""Where builds run: results, errors, killed processes, and jobs that are left when a search ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from hw.explore import executors
from hw.explore.executors import DaskExecutor, LocalExecutor


def square(number):
    if number < 0:
        raise ValueError(f"{number} is below 0")
    return number * number


def slow(number):
    time.sleep(1)
    return number


def killed(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def with_a_tool(path):
    """Starts a process, as a tool's is, and waits for it for ever."""
    tool = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(path, "w") as file:
        file.write(f"{tool.pid}\n")
    tool.wait()


def together(folder):
    """Ends once there are two of these at a time."""
    own = folder / f"{os.getpid()}"
    own.touch()
    end = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    return len(list(folder.iterdir()))


def run_all(executor, jobs):
    try:
        for job in jobs:
            executor.submit(job)
        return sorted((executor.next() for _ in jobs), key=lambda item: item[0])
    finally:
        executor.close()


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_results_and_errors_belong_to_their_jobs():
    assert run_all(LocalExecutor(2, square), [3, -1, 5]) == [(-1, "ValueError: -1 is below 0"), (3, 9), (5, 25)]


def test_a_killed_process_takes_no_other_with_it():
    (_, first), (_, second), (_, third) = run_all(LocalExecutor(2, killed), [1, 2, 3])
    assert (first, third) == (1, 3)
    assert second == "the build's process ended with exit code -9, as if killed for lack of memory"


def test_jobs_run_side_by_side(tmp_path):
    executor = LocalExecutor(2, together)
    folders = [tmp_path, tmp_path]
    assert [found for _, found in run_all(executor, folders)] == [2, 2]


def test_what_is_left_is_stopped_with_its_tools(tmp_path):
    path = tmp_path / "tool"
    executor = LocalExecutor(1, with_a_tool)
    executor.submit(path)
    executor.submit(path)
    end = time.monotonic() + 60
    while not (path.exists() and path.read_text()) and time.monotonic() < end:
        time.sleep(0.01)
    process = int(path.read_text())
    assert is_alive(process)
    executor.close()
    while is_alive(process) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_alive(process)


@pytest.fixture
def cluster():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'popforge[explore]'")
    with distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="inproc://") as found:
        yield found


@pytest.mark.filterwarnings("ignore")
def test_dask(cluster):
    executor = DaskExecutor(cluster.scheduler_address, square)
    assert executor.slots == 2
    assert run_all(executor, [3, -1, 5]) == [(-1, "ValueError: -1 is below 0"), (3, 9), (5, 25)]


@pytest.mark.filterwarnings("ignore")
def test_dask_that_loses_a_job(cluster):
    executor = DaskExecutor(cluster.scheduler_address, slow)
    executor.submit(1)
    executor.submit(2)
    ((_, future), _) = executor._jobs.values()
    future.cancel()
    outcomes = dict(executor.next() for _ in range(2))
    executor.close()
    assert outcomes[1].startswith("the Dask worker failed: ") and "ancel" in outcomes[1]
    assert outcomes[2] == 2


def test_no_scheduler(monkeypatch):
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'popforge[explore]'")
    monkeypatch.setattr(executors, "CONNECT_SECONDS", 1)
    with pytest.raises(OSError, match="Timed out"):
        DaskExecutor("tcp://127.0.0.1:9", square)

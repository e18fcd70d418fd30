"""The command: what it prints and writes, what it does with bad input, and one search with the real tools."""

import io
import json
import shlex
from types import SimpleNamespace

import pytest

import hw.build.__main__ as build_command
from hw import explore as package
from hw.boards import BOARDS
from hw.explore import OUTPUTS, explore
from hw.explore.__main__ import main
from hw.explore.job import Trial
from hw.explore.options import Options
from sw import zoo as zoo_package
from sw.compile import compile_graph
from sw.errors import CompileError


@pytest.fixture
def zoo(monkeypatch, tiny_cnn, tiny_mlp, huge_cnn, tmp_path):
    """A zoo of three small networks, and an empty folder to work in."""
    entries = {graph.name: SimpleNamespace(graph=graph, accuracy={}) for graph in (tiny_cnn, tiny_mlp, huge_cnn)}

    def load(name):
        if name not in entries:
            raise CompileError(f"unknown network: {name!r}")
        return entries[name]

    for name, value in {"default": lambda: "tiny-cnn", "load": load}.items():
        monkeypatch.setattr(zoo_package, name, value)
    monkeypatch.chdir(tmp_path)


class FakeExecutor:
    """Places anything: a clock that falls with the array's size, cells 3 % above 500 + 4 for each synapse."""

    slots = 2
    instances = []

    def __init__(self, graph):
        self.graph, self.jobs, self.built, self.closed = graph, [], 0, False
        self.instances.append(self)

    def submit(self, job):
        self.jobs.append(job)

    def next(self):
        job = self.jobs.pop(0)
        self.built += 1
        cycles = compile_graph(self.graph, job.engine).schedule.cycles_per_frame
        synapses = job.engine.synapses_per_cycle
        if job.engine.rows % 5 == 0:
            return job, "the build's process ended with exit code -9"
        return job, Trial(job.engine, job.clock_mhz, cycles, 1.0, cells={"logic_cells": 515 + 4 * synapses,
                          "block_rams": 7}, estimates={seed: 50 - synapses / 100 - seed for seed in job.seeds},
                          logs={"yosys.log": "fine\n"}, seconds=2.0)

    def close(self):
        self.closed = True


@pytest.fixture
def fake(zoo, tiny_cnn, monkeypatch):
    FakeExecutor.instances.clear()
    monkeypatch.setattr(package, "_executor", lambda options: FakeExecutor(tiny_cnn))
    return FakeExecutor.instances


def test_estimates_alone_print_the_front(zoo, capsys, tmp_path):
    assert main(["--network", "tiny-mlp", "--columns", "1", "--builds", "0", "--out", "out"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    lines = output.out.splitlines()
    assert lines[0].startswith("[1/2] load network") and lines[1].startswith("[2/2] estimate arrays")
    assert lines[2].split("  ")[-1].strip() == "block RAMs" and "frames/s at 24 MHz" in lines[2]
    assert lines[-1] == f"written to out: {', '.join(OUTPUTS)}"
    result = json.loads((tmp_path / "out" / "explore.json").read_text())
    assert len(lines) == 4 + len(result["front"])
    assert (result["builds"], result["best"]) == ([], None)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(OUTPUTS)
    speeds = [each["frames_per_second"] for each in result["front"]]
    assert speeds == sorted(speeds) and speeds[-1] == max(each["frames_per_second"] for each in result["candidates"])


def test_search_writes_its_result_and_a_second_one_builds_nothing(fake, capsys, tmp_path):
    arguments = ["--columns", "1", "--lanes", "16", "--builds", "3", "--out", "out"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads((tmp_path / "out" / "explore.json").read_text())
    best, builds = result["best"], result["builds"]
    assert best["frames_per_second"] == max(build["frames_per_second"] for build in builds)
    assert len({tuple(build["array"].values()) for build in builds if not build["failure"]}) == 3
    assert best["command"] in lines
    assert (result["board"], result["goal"], result["part"]) == ("ice40", "most frames/s", "iCE40UP5K")
    # What was built at 24 MHz bears more, and is built again at that.
    assert best["clock_mhz"] > 24 and best["clock_mhz"] <= best["clock_mhz_estimates"]["1"]
    assert (fake[0].built, fake[0].closed) == (len(builds), True)
    svg = (tmp_path / "out" / "explore.svg").read_text()
    assert svg.startswith("<svg") and "placed and routed" in svg
    assert (tmp_path / "out" / "explore.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "out" / "explore.html").read_text()
    assert best["command"] in page and svg in page
    assert len(list((tmp_path / "out" / "builds").iterdir())) == len(builds)
    assert len(list((tmp_path / "out" / "logs").glob("*/yosys.log"))) == sum(not build["failure"] for build in builds)

    assert main(arguments) == 0
    assert "built before" in capsys.readouterr().out
    again = json.loads((tmp_path / "out" / "explore.json").read_text())
    assert again["best"] == best
    assert fake[1].built == sum(bool(build["failure"]) for build in builds)


def test_winners_command_is_taken_by_the_build(fake, monkeypatch, capsys):
    result, _ = explore(Options(columns=1, lanes=16, builds=2))
    words = shlex.split(result["best"]["command"])
    assert words[:3] == ["python", "-m", "hw.build"]
    seen = []
    monkeypatch.setattr(build_command, "build", lambda options, **kwargs: seen.append(options) or ({}, None))
    monkeypatch.setattr(build_command, "_summary", lambda report, out: "")
    assert build_command.main(words[3:]) == 0
    (options,) = seen
    array = result["best"]["array"]
    assert {name: getattr(options, name) for name in array} == array
    assert (options.board, options.network, options.seed) == ("ice40", "tiny-cnn", result["best"]["seed"])
    assert options.clock_mhz == pytest.approx(result["best"]["clock_mhz"], rel=1e-4)


def test_smallest_at_a_rate(fake, capsys):
    assert main(["--columns", "1", "--frames-per-second", "5000", "--builds", "3", "--json"]) == 0
    output = capsys.readouterr()
    result = json.loads(output.out)
    enough = [build for build in result["builds"] if build["frames_per_second"] >= 5000]
    assert result["best"]["cells"]["logic_cells"] == min(build["cells"]["logic_cells"] for build in enough)
    assert result["goal"] == "fewest logic cells"
    assert "to go" in output.err


def test_a_given_clock_is_the_only_one(fake):
    result, _ = explore(Options(columns=1, lanes=16, builds=2, clock_mhz=30.0))
    assert {build["clock_mhz"] for build in result["builds"]} == {30.0}


def test_nothing_that_meets_its_clock(fake, capsys):
    assert main(["--rows", "5", "--columns", "1", "--lanes", "16", "--builds", "1"]) == 1
    assert "none of 1 builds gives what was asked for; the logs are in " in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "message"), [
    (["--board", "ice"], "board must be one of "),
    (["--network", "nothing"], "unknown network: 'nothing'"),
    (["--network", "huge-cnn"], "network huge-cnn does not fit board ice40: it needs at least "),
    (["--rows", "48", "--columns", "7", "--lanes", "64"],
     "network tiny-cnn with an array of 48 rows x 7 columns x 64 lanes does not fit board ice40: it needs "),
    (["--frames-per-second", "1e9", "--columns", "1", "--lanes", "16"], "no array gives 1,000,000,000 frames/s: of "),
    (["--frames-per-second", "0"], "frames per second must be above 0, not 0"),
    (["--builds", "-1"], "builds must be at least 0, not -1"),
    (["--seeds", "0"], "seeds must be at least 1, not 0"),
    (["--jobs", "0"], "jobs must be at least 1, not 0"),
    (["--logic-share", "1.1"], "logic share must be above 0 and at most 1, not 1.1"),
    (["--limit-minutes", "nan"], "limit minutes must be above 0, not nan"),
    (["--clock-mhz", "16.5"], "clock must be within 2 % of a multiple"),
    (["--lanes", "many"], "argument --lanes: invalid int value: 'many'; see --help"),
    (["--jobs", "2", "--scheduler", "tcp://a:1"], "argument --scheduler: not allowed with argument --jobs"),
])
def test_bad_input_is_one_line_and_exit_code_2(zoo, capsys, tmp_path, arguments, message):
    try:
        code = main(arguments)
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"hw.explore: {message}")
    assert not list(tmp_path.iterdir())


def test_scheduler_without_dask(zoo, capsys, monkeypatch):
    def no_dask(address):
        raise ImportError

    monkeypatch.setattr("hw.explore.executors.DaskExecutor", no_dask)
    assert main(["--columns", "1", "--lanes", "16", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "--scheduler needs Dask, which is not installed beside " in capsys.readouterr().err


def test_scheduler_that_does_not_answer(zoo, capsys, monkeypatch):
    def no_answer(address):
        raise OSError("timed out")

    monkeypatch.setattr("hw.explore.executors.DaskExecutor", no_answer)
    assert main(["--columns", "1", "--lanes", "16", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9: timed out" in capsys.readouterr().err


def test_interrupt_says_how_to_go_on(zoo, capsys, monkeypatch):
    def interrupted(options, *, stream):
        raise KeyboardInterrupt

    monkeypatch.setattr("hw.explore.__main__.explore", interrupted)
    assert main([]) == 130
    assert capsys.readouterr().err == (
        "hw.explore: stopped; the same command goes on behind the builds that ended\n")


@pytest.mark.slow
def test_real_builds_and_the_winner_again(tiny_cnn, zoo, tmp_path):
    stream = io.StringIO()
    options = Options(network="tiny-cnn", rows=4, columns=1, lanes=8, builds=1, seeds=2, limit_minutes=4)
    result, out = explore(options, stream=stream)
    best = result["best"]
    assert BOARDS["ice40"].clock_mhz < best["clock_mhz"] <= best["clock_mhz_estimates"][best["seed"]]
    assert abs(best["cells_estimated"]["logic_cells"] / best["cells"]["logic_cells"] - 1) < 0.25
    logs = {path.name for path in out.glob("logs/*/*")}
    assert {"yosys.log", "nextpnr-seed1.log"} <= logs
    assert build_command.main([*shlex.split(best["command"])[3:], "--out", str(tmp_path / "again")]) == 0
    report = json.loads((tmp_path / "again" / "report.json").read_text())
    assert report["clock_mhz_estimate"] == best["clock_mhz_estimates"][best["seed"]]
    assert report["cells"]["used"] == best["cells"] and report["seed"] == best["seed"]
    assert report["cycles_per_frame"] == best["cycles_per_frame"]

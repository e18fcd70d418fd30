"""Other weights in a finished build: the same files as a whole build's, or a refusal that changes nothing."""

import dataclasses
import json
import re
import shutil
from importlib.resources import files

import numpy as np
import pytest
from jschon import JSON, JSONSchema, create_catalog

from hw import flow
from hw.board_top import BoardTop
from hw.boards import BOARDS
from hw.build import build
from hw.build.__main__ import main
from hw.build.plan import Options
from hw.build.stages import output_files
from hw.build.weights_only import WEIGHTS_STEPS, replace_weights
from hw.flash_image import STORE_OFFSET, flash_image
from hw.ram_contents import CODECS, find_blocks, read_blocks
from hw.tools import run_tool
from sw.compile import compile_graph
from sw.engine import Engine
from sw.graph_file import save_graph
from sw.program import load_program, save_program
from tests.sw.networks import random_cnn, random_mlp
from tests.sw.word_networks import Unit, random_residual

UNPACKERS = {"ice40": "yowasp-iceunpack", "ulx3s-25f": "yowasp-ecpunpack"}

#: Of a build on each board: a network by seed, and the shape of its ROMs' RAMs: width, and words.
BUILDS = {
    "ice40": (lambda seed: random_cnn(seed, bits=2, channels=(8, 16), pools=(1,)),
              {"weights": (16, 256), "rom": (16, 256)}),
    "ulx3s-25f": (lambda seed: random_mlp(seed, sizes=((8, 8, 1), 16, 3)),
                  {"weights": (36, 512), "rom": (9, 2048)}),
}


def save(graph, folder, name, integer):
    """Save a graph as ``folder/name``, under that name, and return the folder as an option's value."""
    accuracy = {"float": 0.75, "integer": integer, "images": 300}
    save_graph(dataclasses.replace(graph, name=name, metadata={"accuracy": accuracy}), folder / name)
    return str(folder / name)


def contents(folder):
    """Every file in a folder but logs, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def cells(path):
    """Cells of a netlist with their parameters; what is not defined is 0."""
    modules = json.loads(path.read_text())["modules"]
    module = modules.get("design") or modules["top"]
    return {
        name: (cell["type"], {parameter: value.replace("x", "0") if parameter.startswith("INIT") else value
                              for parameter, value in cell["parameters"].items()})
        for name, cell in module["cells"].items()
    }


class Builds:
    """A build of network ``first``, one of ``second``, and one of ``first`` into which ``second`` was put."""

    def __init__(self, board, folder):
        graph, self.shapes = BUILDS[board]
        self.board = BOARDS[board]
        self.family = self.board.part.family
        networks = [save(graph(seed), folder, name, seed / 4) for seed, name in ((1, "first"), (2, "second"))]
        self.first_folder, self.second_folder, self.patched = (
            folder / name for name in ("of-first", "of-second", "patched"))
        self.options = Options(board=board, network=networks[1], out=self.patched)
        built = Options(board=board, rows=4, columns=1, lanes=8)
        self.first, _ = build(dataclasses.replace(built, network=networks[0], out=self.first_folder))
        self.second, _ = build(dataclasses.replace(built, network=networks[1], out=self.second_folder))
        shutil.copytree(self.first_folder, self.patched)
        self.report, _ = replace_weights(self.options)
        self.networks = networks


@pytest.fixture(scope="module", params=BUILDS)
def builds(request, tmp_path_factory):
    return Builds(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.slow
def test_files_are_those_of_a_whole_build(builds):
    first, second, patched = map(contents, (builds.first_folder, builds.second_folder, builds.patched))
    names = output_files(builds.family)
    same = {names[what] for what in ("bitstream", "textual_bitstream", "rtlil", "verilog", "pin_constraints",
                                     "verilog_of_the_accelerator_alone", "program", "program_contents")}
    assert {name for name in second if second[name] == patched[name]} >= same
    assert {name for name in first if first[name] == second[name]} == {names["pin_constraints"]}
    for what in ("netlist", "placed_netlist"):
        assert cells(builds.patched / names[what]) == cells(builds.second_folder / names[what])
        assert cells(builds.patched / names[what]) != cells(builds.first_folder / names[what])
    assert set(patched) == set(second)


@pytest.mark.slow
def test_bitstream_holds_the_roms(builds, tmp_path):
    names, codec = output_files(builds.family), CODECS[builds.family]
    shutil.copy(builds.patched / names["bitstream"], tmp_path / "bitstream")
    run_tool(UNPACKERS[builds.board.name], ["bitstream", "unpacked"], folder=tmp_path, log=tmp_path / "log", timeout=60)
    blocks = read_blocks((tmp_path / "unpacked").read_text(), codec)
    program = load_program(builds.patched)
    paths = {
        name: path for path in cells(builds.patched / names["netlist"])
        for name in builds.shapes if re.search(rf"tail\.(drain\.)?{name}(\$\d+)?\.memory\.0\.0$", path)
    }
    assert set(paths) == set(builds.shapes)
    for name, words, width in (("weights", program.weight_words(), program.weights.shape[1]),
                               ("rom", program.threshold_words(), program.threshold_width)):
        columns, depth = builds.shapes[name]
        rams = [paths[name][:-1] + str(column) for column in range(-(-width // columns))]
        headings = find_blocks(rams, (builds.patched / names["placed_netlist"]).read_text(),
                               (builds.patched / names["textual_bitstream"]).read_text(), codec)
        bits = np.concatenate([blocks[headings[ram]].reshape(depth, columns) for ram in rams], axis=1)
        found = [sum(int(bit) << index for index, bit in enumerate(row)) for row in bits]
        assert found == words + [0] * (depth - len(words))


@pytest.mark.slow
def test_report_tells_of_both_networks(builds):
    create_catalog("2020-12")
    schema = JSONSchema(json.loads((files("hw.report") / "schema.json").read_text()))
    report = builds.report
    assert schema.evaluate(JSON(report)).valid
    assert json.loads((builds.patched / "report.json").read_text()) == report
    assert (report["network"], report["built_for"]) == ("second", "first")
    assert report["accuracy"]["integer"] == 0.5
    assert tuple(report["steps"]) == WEIGHTS_STEPS
    own = {"steps", "files", "built_for"}
    assert {key: value for key, value in report.items() if key not in own} == {
        key: value for key, value in builds.second.items() if key not in own}
    assert all((builds.patched / name).is_file() for name in report["files"].values())
    page = (builds.patched / "report.html").read_text()
    assert "<h1>second on the" in page
    assert "Placed and routed with the weights of first; those of second" in page


@pytest.mark.slow
def test_there_and_back(builds, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(builds.patched, out)
    assert main(["--weights-only", "--board", builds.board.name, "--network", builds.networks[0], "--out", str(out)]
                ) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"[1/{len(WEIGHTS_STEPS)}] load network")
    assert "  placed      with the weights of first; these were put in afterwards" in lines
    before, after = contents(builds.first_folder), contents(out)
    names = output_files(builds.family)
    changed = {names[what] for what in ("netlist", "placed_netlist", "report", "page")}
    assert {name for name in before if before[name] != after[name]} <= changed
    assert sorted(before) == sorted(after)


@pytest.mark.slow
def test_a_build_that_does_not_hold_what_it_says_is_left_alone(builds, tmp_path, capsys):
    """One bit of a weight in the configuration, or the logic around the ROMs, is another."""
    names, codec = output_files(builds.family), CODECS[builds.family]
    placed, path = (builds.patched / names[what] for what in ("placed_netlist", "textual_bitstream"))
    ram = next(name for name in cells(builds.patched / names["netlist"]) if re.search(r"weights(\$\d+)?\.memory", name))
    text = path.read_text()
    heading = find_blocks([ram], placed.read_text(), text, codec)[ram]
    start = text.index(f"\n{heading}\n") + len(heading) + 2
    flipped = text[:start] + ("1" if text[start] == "0" else "0") + text[start + 1:]
    design = (builds.patched / names["rtlil"]).read_text()
    for name, other, message in (
        (names["textual_bitstream"], flipped,
         f"its configuration does not hold what its design has in block RAM {ram}"),
        (names["rtlil"], design.replace("cell $add ", "cell $sub ", 1),
         "the logic around the ROMs is another one; it may come from another version of Popforge"),
        (names["placed_netlist"], '{"modules": {"top": {"cells": {}}}}',
         "its placed netlist and its configuration do not fit its design ("),
    ):
        out = tmp_path / name
        shutil.copytree(builds.patched, out)
        (out / name).write_text(other)
        before = contents(out)
        assert main(["--weights-only", "--board", builds.board.name, "--network", builds.networks[0],
                     "--out", str(out)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"hw.build: the build in {out} cannot take other weights: {message}")
        assert error.endswith("; build it without --weights-only\n")
        assert contents(out) == before


@pytest.mark.slow
def test_store_in_flash(tmp_path):
    graphs = [random_residual(seed, (6, 6, 1), 4, units=(Unit(16), Unit(16))) for seed in (32, 33)]
    first, second = (save(graph, tmp_path, name, 0.5) for graph, name in zip(graphs, ("first", "second")))
    out = tmp_path / "out"
    options = Options(network=first, rows=4, columns=3, lanes=16, out=out)
    build(options)
    before = contents(out)
    report, _ = replace_weights(dataclasses.replace(options, network=second))
    after = contents(out)
    assert report["files"]["flash_image"] == "design.flash.bin"
    assert after["design.bin"] == before["design.bin"]
    store = compile_graph(graphs[1], Engine(4, 3, 16), shared_store=True, least=load_program(out)).words.store_bytes()
    assert store not in before["design.flash.bin"]
    assert after["design.flash.bin"][STORE_OFFSET:].startswith(store)
    assert after["design.flash.bin"] == flash_image(after["design.bin"], store)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A network called ``first``, its program, and the design made of it."""
    folder = tmp_path_factory.mktemp("generated")
    graph, out = BUILDS["ice40"][0](1), folder / "build" / "ice40-first"
    out.mkdir(parents=True)
    save(graph, folder, "first", 0.5)
    program = compile_graph(dataclasses.replace(graph, name="first"), Engine(4, 1, 8))
    save_program(program, out)
    flow.write_rtlil(BoardTop(program, BOARDS["ice40"]), out, "design")
    return folder


@pytest.fixture
def finished(generated, tmp_path, build_sample):
    """A folder that looks like a build of ``first``, as far as refusals look."""
    shutil.copytree(generated, tmp_path, dirs_exist_ok=True)
    out = tmp_path / "build" / "ice40-first"
    (out / "report.json").write_text(json.dumps(build_sample | {"network": "first"}))
    for name in ("design.json", "design.placed.json", "design.asc", "design.bin"):
        (out / name).write_text("{}")
    return out


@pytest.mark.parametrize(("arguments", "message"), [
    (["--out", "{tmp}/nothing"], ("no finished build in {tmp}/nothing ([Errno 2] No such file or directory: "
                                 "'{tmp}/nothing/report.json'); give the folder of one with --out, or build it "
                                 "without --weights-only")),
    (["--board", "ulx3s-25f"], ("the build in {out} is for board ice40, not ulx3s-25f; give --board ice40, or another "
                               "--out")),
    (["--rows", "8"], ("the build in {out} has an array of 4 rows x 1 columns x 8 lanes, not of 8 rows x 1 columns x 8 "
                      "lanes; leave out --rows, --columns and --lanes, or build it without --weights-only")),
    (["--clock-mhz", "36"], ("the build in {out} has a clock of 24 MHz, not 36 MHz; leave out --clock-mhz, or build it "
                            "without --weights-only")),
    (["--engines", "2"], ("--weights-only is for a build of one engine, and --engines asks for 2; build it without "
                          "--weights-only")),
    (["--seed", "2"], "--seed is for place and route, which --weights-only leaves out; give one of them"),
    (["--check"], "argument --check: not allowed with argument --weights-only; see --help"),
    (["--network", "nothing"], "unknown network: 'nothing'."),
])
def test_refusals(finished, tmp_path, capsys, arguments, message):
    before = contents(finished)
    names = {"tmp": tmp_path, "out": finished}
    wanted = ["--weights-only", "--network", str(tmp_path / "first"), "--out", str(finished),
              *(argument.format(**names) for argument in arguments)]
    try:
        code = main(wanted)
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2
    assert capsys.readouterr().err.startswith(f"hw.build: {message.format(**names)}")
    assert contents(finished) == before
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize(("name", "text", "message"), [
    ("report.json", "{", "no finished build in {out} ("),
    ("report.json", "[]", "no finished build in {out} ("),
    ("report.json", '{"board": "ice40", "network": "first"}',
     "the build in {out} has a report without place and route; build it without --weights-only"),
    ("report.json", '{"board": "ice40", "engines": [{}, {}]}',
     "the build in {out} has 2 engines in a row, and --weights-only is for one; build it without --weights-only"),
    ("program.json", "{}", "the build in {out} cannot be read: program {out}: schema None, this version reads 3; "),
    ("program.npz", "", "the build in {out} cannot be read: program {out}: program.npz does not match the sha256 in "),
    ("design.il", None, "the build in {out} lacks design.il; build it without --weights-only"),
    ("design.asc", None, "the build in {out} lacks design.asc; build it without --weights-only"),
])
def test_damaged_builds(finished, tmp_path, capsys, name, text, message):
    if text is None:
        (finished / name).unlink()
    else:
        (finished / name).write_text(text)
    before = contents(finished)
    assert main(["--weights-only", "--network", str(tmp_path / "first"), "--out", str(finished)]) == 2
    assert capsys.readouterr().err.startswith(f"hw.build: {message.format(out=finished)}")
    assert contents(finished) == before


@pytest.mark.parametrize(("graph", "lines"), [
    (random_cnn(2, (8, 9, 1), bits=2, channels=(8, 16), pools=(1,)),
     ["image 8x8x1 in the build, 8x9x1 in the network"]),
    (random_cnn(2, bits=2, channels=(8, 24), pools=(1,)),
     ["weight ROM (words, bits) 72x32 in the build, 106x32 in the network"]),
    (random_mlp(2, sizes=((8, 8, 1), 16, 3)), ["bits of a pixel 2 in the build, 1 in the network",
                                               "packed 1-bit input no in the build, yes in the network"]),
])
def test_network_of_another_shape(finished, tmp_path, capsys, graph, lines):
    network = save(graph, tmp_path, "second", 0.5)
    before = contents(finished)
    assert main(["--weights-only", "--network", network, "--out", str(finished)]) == 2
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == (f"hw.build: second does not fit the build in {finished}, which is for first; build it without "
                     f"--weights-only; it differs:")
    assert {f"  - {line}" for line in lines} <= set(rest)
    assert contents(finished) == before


def test_another_version_of_the_generator(finished, tmp_path, capsys):
    design = finished / "design.il"
    design.write_text(design.read_text().replace("cell $add ", "cell $sub ", 1))
    before = contents(finished)
    assert main(["--weights-only", "--network", str(tmp_path / "first"), "--out", str(finished)]) == 2
    assert capsys.readouterr().err == (
        f"hw.build: the build in {finished} cannot take other weights: the logic around the ROMs is another one; it "
        f"may come from another version of Popforge; build it without --weights-only\n")
    assert contents(finished) == before


def test_family_whose_files_are_not_known(finished, tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(CODECS, BOARDS["ice40"].part.family)
    assert main(["--weights-only", "--network", str(tmp_path / "first"), "--out", str(finished)]) == 2
    assert capsys.readouterr().err == ("hw.build: --weights-only is for ECP5, and board ice40 has a part of iCE40; "
                                       "build it without --weights-only\n")


def test_default_folder(finished, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--weights-only", "--network", "first", "--rows", "5"]) == 2
    assert "the build in build/ice40-first has an array of 4 rows" in capsys.readouterr().err
